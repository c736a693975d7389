package graph

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const otherTenant = "11111111-2222-4333-8444-555555555555"

// pacedAt makes a lane that is paced at a number of calls a second.
func pacedAt(client *Client, key laneKey, rate float64) {
	l := client.gate.findOrMake(key)
	l.lately, l.paced = time.Now(), true
	// So far from both its ends a pace stays what it is.
	l.pace = pace{ceiling: rate / holdAt, age: time.Hour, hold: 2 * time.Hour, opened: time.Now()}
}

// closedFor closes the lane of a tenant's reads.
func closedFor(client *Client, tenant string, wait time.Duration) {
	client.gate.close(readOf(tenant), pass{}, &Error{RetryAfter: wait, HasRetryAfter: true})
}

func readOf(tenant string) *Request {
	return &Request{Method: http.MethodGet, Target: Root, Tenant: tenant, RequestID: "1", Safe: true}
}

// outcome is how a call ended, and when since it was made.
type outcome struct {
	err  *Error
	took time.Duration
}

// begin makes a call and returns when it is sent, refused or waiting.
func begin(t *testing.T, ctx context.Context, client *Client, call *Request) <-chan outcome {
	ended := make(chan outcome, 1)
	start := time.Now()
	go func() {
		_, err := client.Do(ctx, call)
		ended <- outcome{failure(t, err), time.Since(start)}
	}()
	synctest.Wait()
	return ended
}

// TestAClosedTenantCostsTheOthersNothing has 50 callers of a closed tenant who come again and again, beside one of
// another tenant who asks just as much as the application may.
func TestAClosedTenantCostsTheOthersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := onEmulator(t, 0)
		pacedAt(client, laneKey{}, 10)
		closedFor(client, testTenant, time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				for sleep(ctx, 10*time.Millisecond, nil) == nil {
					start := time.Now()
					e := failure(t, second(client.Do(t.Context(), emulatorCall(testTenant))))
					if e == nil || e.Kind != KindThrottled || e.RetryAfter < 30*time.Minute || time.Since(start) != 0 {
						t.Errorf("got %+v after %v", e, time.Since(start))
						return
					}
				}
			})
		}
		const calls = 200
		var succeeded atomic.Int64
		var others sync.WaitGroup
		for range calls {
			others.Go(func() {
				within, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := client.Do(within, emulatorCall(otherTenant)); err == nil {
					succeeded.Add(1)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		others.Wait()
		cancel()
		group.Wait()
		if n := succeeded.Load(); n != calls {
			t.Errorf("of the other tenant's calls %d of %d succeeded", n, calls)
		}
	})
}

// TestOneWhoGivesUpTakesNoTurn has two calls that wait for their turn in one lane.
func TestOneWhoGivesUpTakesNoTurn(t *testing.T) {
	for name, key := range map[string]laneKey{"tenant": {tenant: testTenant}, "application": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, upstream := answering(t, reply(200))
				pacedAt(client, key, 1)
				ctx, cancel := context.WithCancel(t.Context())
				first := begin(t, t.Context(), client, readOf(testTenant))
				gone := begin(t, ctx, client, readOf(testTenant))
				next := begin(t, t.Context(), client, readOf(testTenant))
				time.Sleep(500 * time.Millisecond)
				cancel()
				if got := <-gone; got.err == nil || got.err.Kind != KindCancelled {
					t.Errorf("who gave up: %+v", got)
				}
				<-first
				if got := <-next; got.err != nil || got.took != time.Second || len(upstream.sent) != 2 {
					t.Errorf("the one behind: %+v, requests at %v", got, upstream.sent)
				}
			})
		})
	}
}

func TestACallThatIsOverTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := answering(t, reply(200))
		pacedAt(client, laneKey{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 10 {
			if e := failure(t, second(client.Do(ctx, readOf(testTenant)))); e == nil || e.Kind != KindCancelled {
				t.Errorf("got %+v", e)
			}
		}
		if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil || got.took != 0 || len(upstream.sent) != 1 {
			t.Errorf("got %+v after requests at %v", got, upstream.sent)
		}
	})
}

func TestACallThatCannotBeSentTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := answering(t, reply(200))
		pacedAt(client, laneKey{}, 1)
		for range 10 {
			bad := readOf(testTenant)
			bad.Target = "no path"
			if e := failure(t, second(client.Do(t.Context(), bad))); e == nil || e.Kind != KindInvalidRequest {
				t.Errorf("got %+v", e)
			}
		}
		if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil || got.took != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

// TestATurnThatOneLaneGaveAndTheOtherNotIsTheNextCalls has a call that gives up in the application's lane when it has
// come through its tenant's.
func TestATurnThatOneLaneGaveAndTheOtherNotIsTheNextCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := answering(t, reply(200))
		pacedAt(client, laneKey{}, 2)
		pacedAt(client, laneKey{tenant: testTenant}, 1)
		<-begin(t, t.Context(), client, readOf(otherTenant))
		ctx, cancel := context.WithCancel(t.Context())
		gone := begin(t, ctx, client, readOf(testTenant))
		time.Sleep(250 * time.Millisecond)
		cancel()
		<-gone
		if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil || got.took != 250*time.Millisecond {
			t.Errorf("got %+v after requests at %v", got, upstream.sent)
		}
		// What was given back is not saved up.
		if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil || got.took < 500*time.Millisecond {
			t.Errorf("got %+v after requests at %v", got, upstream.sent)
		}
	})
}

// TestACallThatWaitsIsAnsweredWhenALaneCloses has calls that wait in one lane when the other closes, or their own.
func TestACallThatWaitsIsAnsweredWhenALaneCloses(t *testing.T) {
	tenant, application := laneKey{tenant: testTenant}, laneKey{}
	for _, test := range []struct {
		name         string
		slow, closes laneKey
		// behind is when the call of another tenant goes that is behind it in the application's lane.
		behind time.Duration
	}{
		{"waiting for the application, which closes", application, application, time.Minute},
		{"waiting for the application, the tenant closes", application, tenant, time.Second},
		{"waiting for the tenant, which closes", tenant, tenant, 0},
		{"waiting for the tenant, the application closes", tenant, application, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, upstream := answering(t, reply(200))
				for _, key := range []laneKey{tenant, application} {
					rate := 1000.0
					if key == test.slow {
						rate = 1
					}
					pacedAt(client, key, rate)
				}
				if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil {
					t.Fatalf("got %+v", got)
				}
				time.Sleep(10 * time.Millisecond)
				waiting := begin(t, t.Context(), client, readOf(testTenant))
				behind := begin(t, t.Context(), client, readOf(otherTenant))
				time.Sleep(490 * time.Millisecond)
				client.gate.findOrMake(test.closes).close(entry{}, time.Now().Add(time.Minute))
				if got := <-waiting; got.err == nil || got.err.Kind != KindThrottled || got.err.RetryAfter != time.Minute || got.took != 490*time.Millisecond {
					t.Errorf("got %+v", got)
				}
				switch got := <-behind; {
				case test.behind == time.Minute && test.slow == application:
					if got.err == nil || got.err.RetryAfter != time.Minute {
						t.Errorf("behind it: %+v", got)
					}
				case test.slow == application && (got.err != nil || upstream.sent[1] != test.behind):
					t.Errorf("behind it: %+v, requests at %v", got, upstream.sent)
				}
			})
		})
	}
}

// TestACallThatWaitsSeesALaneThatCameToBe has a tenant that nobody throttled when its call began to wait.
func TestACallThatWaitsSeesALaneThatCameToBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := answering(t, reply(200))
		pacedAt(client, laneKey{}, 1)
		<-begin(t, t.Context(), client, readOf(testTenant))
		waiting := begin(t, t.Context(), client, readOf(testTenant))
		closedFor(client, testTenant, time.Minute)
		if got := <-waiting; got.err == nil || got.err.Kind != KindThrottled || len(upstream.sent) != 1 {
			t.Errorf("got %+v after requests at %v", got, upstream.sent)
		}
		if got := <-begin(t, t.Context(), client, readOf(otherTenant)); got.err != nil || got.took != 0 {
			t.Errorf("another tenant: %+v", got)
		}
	})
}

// TestAProbeThatIsNotSentHoldsNobodyUp has the probe of a tenant wait for the application, and not get there.
func TestAProbeThatIsNotSentHoldsNobodyUp(t *testing.T) {
	for _, closes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client, upstream := answering(t, reply(200))
			closedFor(client, testTenant, time.Second)
			time.Sleep(time.Second)
			pacedAt(client, laneKey{}, 1)
			<-begin(t, t.Context(), client, readOf(otherTenant))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			probe := begin(t, ctx, client, readOf(testTenant))
			if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err == nil || got.err.RetryAfter < whileProbing || got.took != 0 {
				t.Errorf("while there is a probe: %+v", got)
			}
			next := time.Second
			if closes {
				client.gate.findOrMake(laneKey{}).close(entry{}, time.Now().Add(5*time.Second))
				time.Sleep(5 * time.Second)
				next = 0
			} else {
				cancel()
			}
			if got := <-probe; got.err == nil || got.took != 0 {
				t.Errorf("the probe: %+v", got)
			}
			if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil || got.took != next {
				t.Errorf("the next probe: %+v after requests at %v", got, upstream.sent)
			}
		})
	}
}

// TestAPatientCallTakesTheProbeOver has a call that was throttled itself wait for a probe that is not sent.
func TestAPatientCallTakesTheProbeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := answering(t, reply(200))
		closedFor(client, testTenant, time.Second)
		time.Sleep(time.Second)
		pacedAt(client, laneKey{}, 10)
		<-begin(t, t.Context(), client, readOf(otherTenant))
		ctx, cancel := context.WithCancel(t.Context())
		probe := begin(t, ctx, client, readOf(testTenant))
		start, entered := time.Now(), make(chan *Error, 1)
		go func() {
			p, failed := client.gate.enter(t.Context(), readOf(testTenant), true)
			p.giveBack()
			entered <- failed
		}()
		synctest.Wait()
		cancel()
		<-probe
		if failed := <-entered; failed != nil || time.Since(start) > 200*time.Millisecond {
			t.Errorf("got %v after %v", failed, time.Since(start))
		}
	})
}

// TestAPaceLearnsNothingFromACallThatIsNotSent has a call that was held up in its tenant's lane, where held up calls let
// the pace grow, and gives up in the application's.
func TestAPaceLearnsNothingFromACallThatIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := answering(t, reply(200))
		pacedAt(client, laneKey{}, 1)
		pacedAt(client, laneKey{tenant: testTenant}, 4)
		<-begin(t, t.Context(), client, readOf(testTenant))
		learnt := client.gate.find(laneKey{tenant: testTenant}).pace.age
		ctx, cancel := context.WithCancel(t.Context())
		gone := begin(t, ctx, client, readOf(testTenant))
		time.Sleep(500 * time.Millisecond)
		cancel()
		<-gone
		if age := client.gate.find(laneKey{tenant: testTenant}).pace.age; age != learnt {
			t.Errorf("the pace is %v old, and was %v", age, learnt)
		}
	})
}

// TestAProbeOfTheApplicationThatATenantsThrottleEndsLetsTheOthersGo has the application's probe answered with the
// throttle of its tenant: that says that the application may go on.
func TestAProbeOfTheApplicationThatATenantsThrottleEndsLetsTheOthersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := answering(t,
			reply(429, "Retry-After", "1", "X-Ms-Throttle-Scope", "Application/Read/app"),
			reply(429, "Retry-After", "60", "X-Ms-Throttle-Scope", "Tenant/Read/app/tenant"), reply(200))
		client.repeats = 0
		<-begin(t, t.Context(), client, readOf(testTenant))
		time.Sleep(time.Second)
		if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err == nil || got.err.Status != 429 {
			t.Fatalf("the probe: %+v", got)
		}
		if got := <-begin(t, t.Context(), client, readOf(otherTenant)); got.err != nil || got.took > time.Second {
			t.Errorf("another tenant: %+v after requests at %v", got, upstream.sent)
		}
	})
}

// TestBothLanesHaveToOpen has a call that both its lanes refuse: it is told the longer wait, and takes the probe of
// neither.
func TestBothLanesHaveToOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := answering(t, reply(200))
		closedFor(client, testTenant, time.Minute)
		client.gate.findOrMake(laneKey{}).close(entry{}, time.Now().Add(time.Second))
		for range 2 {
			if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err == nil || got.err.RetryAfter < 59*time.Second {
				t.Errorf("got %+v", got)
			}
			// Now the application is due.
			time.Sleep(time.Second)
		}
		if got := <-begin(t, t.Context(), client, readOf(otherTenant)); got.err != nil {
			t.Errorf("the application's probe: %+v", got)
		}
	})
}

// TestManyCallsGoInTurn has one more call at once than has a turn soon enough.
func TestManyCallsGoInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := answering(t, reply(200))
		var mu sync.Mutex
		var sent []string
		start := time.Now()
		client.roundTrip = func(request *http.Request, _ way) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, request.Header.Get("Client-Request-Id")+" "+time.Since(start).String())
			return reply(200)()
		}
		pacedAt(client, laneKey{}, 4)
		var waiting []<-chan outcome
		want := []string{"a 0s", "b 250ms", "c 500ms", "d 750ms", "e 1s", "f 1.25s", "g 1.5s", "h 1.75s", "i 2s"}
		for _, line := range want {
			call := readOf(testTenant)
			call.RequestID = line[:1]
			waiting = append(waiting, begin(t, t.Context(), client, call))
		}
		if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err == nil || got.err.RetryAfter < longestQueue || got.took != 0 {
			t.Errorf("one too many: %+v", got)
		}
		for _, ended := range waiting {
			<-ended
		}
		// A pace is no round number.
		for i, line := range sent {
			if got, err := time.ParseDuration(line[2:]); err != nil || line[:2] != want[i][:2] || got.Round(10*time.Millisecond) != time.Duration(i)*250*time.Millisecond {
				t.Errorf("sent %s", strings.Join(sent, ", "))
				break
			}
		}
	})
}
