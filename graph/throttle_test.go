package graph

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// onEmulator makes a client of an emulator in memory, with the given delay in each direction. It counts the responses
// by status.
func onEmulator(t *testing.T, delay time.Duration, faults ...emulator.Fault) (*Client, *responses) {
	t.Helper()
	client, err := New(Options{Endpoint: "https://graph.example/v1.0", Tokens: Unsigned{}})
	if err != nil {
		t.Fatal(err)
	}
	e := emulator.New(emulator.Options{Stopped: true})
	for _, f := range faults {
		if _, err := e.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	seen := &responses{start: time.Now()}
	client.roundTrip = func(request *http.Request, _ way) (*http.Response, error) {
		time.Sleep(delay)
		if request.Body == nil {
			request.Body = http.NoBody
		}
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, request)
		seen.add(recorder.Code)
		time.Sleep(delay)
		return recorder.Result(), nil
	}
	return client, seen
}

// responses are those of an upstream, with their times.
type responses struct {
	mu    sync.Mutex
	start time.Time
	all   []timedStatus
}

type timedStatus struct {
	at     time.Duration
	status int
}

func (r *responses) add(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, timedStatus{time.Since(r.start), status})
}

func (r *responses) count(from time.Duration, status int) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		if one.at >= from && (status == 0 || one.status == status) {
			n++
		}
	}
	return n
}

func emulatorRequest(tenant string) *Request {
	return &Request{Method: http.MethodGet, Target: Root + "/protectionPolicies", Tenant: tenant, RequestID: "1", Safe: true}
}

// TestThePaceIsLearned has three times the allowed demand. It prints how much succeeds.
func TestThePaceIsLearned(t *testing.T) {
	const demand, allowed, seconds, learning = 30, 10, 60, 10 * time.Second
	for _, delay := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond} {
		for _, deadline := range []time.Duration{300 * time.Millisecond, time.Second, time.Minute} {
			t.Run(fmt.Sprintf("round trip %v, deadline %v", 2*delay, deadline), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, seen := onEmulator(t, delay, emulator.Fault{
						Operation: "*", Throttle: &emulator.Throttle{Requests: allowed, Window: emulator.Duration(time.Second), RetryAfter: emulator.Duration(time.Second)},
					})
					var group sync.WaitGroup
					var ok, local atomic.Int64
					for range demand * seconds {
						group.Go(func() {
							late := time.Since(seen.start) >= learning
							ctx, cancel := context.WithTimeout(context.Background(), deadline)
							defer cancel()
							_, err := client.Do(ctx, emulatorRequest(testTenant))
							e := failure(t, err)
							switch {
							case e == nil && late:
								ok.Add(1)
							case e != nil && e.Kind == KindThrottled:
								local.Add(1)
								if !e.HasRetryAfter || e.RetryAfter <= 0 {
									t.Errorf("no time to come back: %+v", e)
								}
							}
						})
						time.Sleep(time.Second / demand)
					}
					group.Wait()
					sent, throttled := seen.count(learning, 0), seen.count(learning, 429)
					possible := float64(allowed * (seconds - learning/time.Second))
					share, wasted := float64(ok.Load())/possible, float64(throttled)/float64(sent)
					t.Logf("after %v: %.1f %% of the allowed rate succeeds, %.1f %% of %d requests get a 429; %d are refused locally",
						learning, 100*share, 100*wasted, sent, local.Load())
					if share < 0.8 || wasted > 0.05 {
						t.Error("that is not what was promised")
					}
				})
			})
		}
	}
}

func TestABlockedTenantIsProbedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, seen := onEmulator(t, 10*time.Millisecond, emulator.Fault{Operation: "*", Tenant: emulator.TenantA, Status: 429, RetryAfter: []string{"30"}, Times: 1})
		e := failure(t, second(client.Do(t.Context(), emulatorRequest(emulator.TenantA))))
		if e == nil || e.Status != 429 {
			t.Fatalf("got %+v", e)
		}
		const callers = 500
		all := func(tenant string) (ok, local int) {
			var group sync.WaitGroup
			var succeeded, refused atomic.Int64
			for range callers {
				group.Go(func() {
					e := failure(t, second(client.Do(t.Context(), emulatorRequest(tenant))))
					switch {
					case e == nil:
						succeeded.Add(1)
					case e.Kind == KindThrottled && e.HasRetryAfter && e.RetryAfter > 0 && e.RetryAfter <= 30*time.Second:
						refused.Add(1)
					default:
						t.Errorf("got %+v", e)
					}
				})
			}
			group.Wait()
			return int(succeeded.Load()), int(refused.Load())
		}
		before, start := seen.count(0, 0), time.Now()
		if ok, local := all(emulator.TenantA); ok != 0 || local != callers || seen.count(0, 0) != before || time.Since(start) != 0 {
			t.Errorf("blocked: %d succeeded, %d refused locally, %d sent, after %v", ok, local, seen.count(0, 0)-before, time.Since(start))
		}
		if ok, _ := all(emulator.TenantB); ok != callers {
			t.Errorf("the other tenant: %d succeeded", ok)
		}
		if e := failure(t, second(client.Do(t.Context(), &Request{Method: http.MethodPost, Target: Root + "/enable", Tenant: emulator.TenantA, RequestID: "1"}))); e == nil || e.Kind != KindResponse {
			t.Errorf("a write: %+v", e)
		}
		time.Sleep(30*time.Second - time.Since(start))
		before = seen.count(0, 0)
		if ok, local := all(emulator.TenantA); ok != 1 || local != callers-1 || seen.count(0, 0) != before+1 {
			t.Errorf("due: %d succeeded, %d refused locally, %d sent", ok, local, seen.count(0, 0)-before)
		}
	})
}

func second[T, U any](_ T, second U) U { return second }

func TestAScopeSaysWhatIsBlocked(t *testing.T) {
	for _, test := range []struct {
		scope string
		// blocked is for a read and a write of the tenant, and for a read and a write of another one.
		blocked [4]bool
	}{
		{"", [4]bool{true, false, false, false}},
		{"Tenant_Application/Read/app/tenant", [4]bool{true, false, false, false}},
		{"Tenant_Application/ReadWrite/app/tenant", [4]bool{true, true, false, false}},
		{"Tenant/Write/app/tenant", [4]bool{false, true, false, false}},
		{"Application/Read/app/tenant", [4]bool{true, false, true, false}},
		{"application/readwrite/app", [4]bool{true, true, true, true}},
		{"Something/New", [4]bool{true, false, false, false}},
	} {
		t.Run(test.scope, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, upstream := responding(t, reply(429, "Retry-After", "60", "X-Ms-Throttle-Scope", test.scope), reply(200))
				client.repeats = 0
				if e := failure(t, second(client.Do(t.Context(), newRequest(http.MethodGet)))); e == nil || e.Status != 429 {
					t.Fatalf("got %+v", e)
				}
				other := "11111111-2222-4333-8444-555555555555"
				for i, c := range []*Request{
					newRequest(http.MethodGet), newRequest(http.MethodPost),
					{Method: http.MethodGet, Target: Root, Tenant: other, Safe: true}, {Method: http.MethodPost, Target: Root, Tenant: other},
				} {
					before := len(upstream.sent)
					e := failure(t, second(client.Do(t.Context(), c)))
					blocked := e != nil && e.Kind == KindThrottled && e.RetryAfter == time.Minute
					if blocked != test.blocked[i] || blocked == (len(upstream.sent) > before) {
						t.Errorf("request %d: blocked is %t, want %t; %+v", i, blocked, test.blocked[i], e)
					}
				}
			})
		})
	}
}

func TestA503BlocksOnlyWithAThrottleScope(t *testing.T) {
	for scope, blocks := range map[string]bool{"": false, "Tenant_Application/Read/app/tenant": true} {
		synctest.Test(t, func(t *testing.T) {
			headers := []string{"Retry-After", "60"}
			if scope != "" {
				headers = append(headers, "X-Ms-Throttle-Scope", scope)
			}
			client, upstream := responding(t, reply(503, headers...), reply(200))
			client.Do(t.Context(), newRequest(http.MethodGet))
			client.Do(t.Context(), newRequest(http.MethodGet))
			if blocked := len(upstream.sent) == 1; blocked != blocks {
				t.Errorf("%q: blocked is %t", scope, blocked)
			}
		})
	}
}

func TestAProbeWithoutAResponseIsFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(429, "Retry-After", "60"), cut, reply(200))
		client.repeats = 0
		for i, want := range []Kind{KindResponse, KindThrottled, KindUnreachable} {
			if i == 2 {
				time.Sleep(time.Minute)
			}
			if e := failure(t, second(client.Do(t.Context(), newRequest(http.MethodGet)))); e == nil || e.Kind != want {
				t.Errorf("request %d: %+v", i, e)
			}
		}
		if _, err := client.Do(t.Context(), newRequest(http.MethodGet)); err != nil || len(upstream.sent) != 3 {
			t.Errorf("got %v after %d requests", err, len(upstream.sent))
		}
	})
}

func TestAProbeThatHangsIsFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func() (*http.Response, error) {
			time.Sleep(time.Minute)
			return reply(200)()
		}
		client, upstream := responding(t, reply(429, "Retry-After", "60"), hang, reply(200))
		client.repeats = 0
		client.Do(t.Context(), newRequest(http.MethodGet))
		time.Sleep(time.Minute)
		ended := make(chan error)
		go func() { ended <- second(client.Do(t.Context(), newRequest(http.MethodGet))) }()
		synctest.Wait()
		time.Sleep(9 * time.Second)
		if e := failure(t, second(client.Do(t.Context(), newRequest(http.MethodGet)))); e == nil || e.Kind != KindThrottled || len(upstream.sent) != 2 {
			t.Errorf("while the probe is out: %+v after %d requests", e, len(upstream.sent))
		}
		// A probe holds the others up for 10 s.
		time.Sleep(time.Second)
		if _, err := client.Do(t.Context(), newRequest(http.MethodGet)); err != nil || len(upstream.sent) != 3 {
			t.Errorf("later: %v after %d requests", err, len(upstream.sent))
		}
		if err := <-ended; err != nil {
			t.Errorf("the probe: %v", err)
		}
	})
}

// assertionRefused is a token source that refuses every user.
type assertionRefused struct{}

func (assertionRefused) Token(_ context.Context, request TokenRequest) (string, error) {
	if request.UserAssertion != "" {
		return "", &TokenError{Kind: TokenAssertionRefused}
	}
	return "token", nil
}

func TestRequestsWithoutATokenTakeNoSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, seen := onEmulator(t, 0, emulator.Fault{Operation: "*", Status: 429, RetryAfter: []string{"1"}, Times: 1})
		client.tokens, client.repeats = assertionRefused{}, 0
		if e := failure(t, second(client.Do(t.Context(), emulatorRequest(testTenant)))); e == nil || e.Status != 429 {
			t.Fatalf("got %v", e)
		}
		time.Sleep(time.Second)
		// Once before the probe, and once while the throttle is paced.
		for range 2 {
			var group sync.WaitGroup
			for range 100 {
				group.Go(func() {
					stranger := emulatorRequest(testTenant)
					stranger.UserAssertion = "forged"
					if e := failure(t, second(client.Do(t.Context(), stranger))); e == nil || e.Kind != KindToken {
						t.Errorf("a stranger got %v", e)
					}
				})
			}
			synctest.Wait()
			if e := failure(t, second(client.Do(t.Context(), emulatorRequest(testTenant)))); e != nil {
				t.Errorf("got %v", e)
			}
			group.Wait()
			time.Sleep(time.Second)
		}
		if n := seen.count(0, 0); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
	})
}

// TestAnInvalidRequestTakesNoSlot has a tenant that is paced after a probe, and requests that cannot be sent.
func TestAnInvalidRequestTakesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(429, "Retry-After", "1"), reply(200))
		client.repeats = 0
		<-begin(t, t.Context(), client, readOf(testTenant))
		time.Sleep(time.Second)
		if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil {
			t.Fatalf("the probe: %+v", got)
		}
		time.Sleep(time.Second)
		for range 10 {
			bad := readOf(testTenant)
			bad.Target = "no path"
			if e := failure(t, second(client.Do(t.Context(), bad))); e == nil || e.Kind != KindInvalidRequest {
				t.Errorf("got %+v", e)
			}
		}
		if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil || got.took != 0 {
			t.Errorf("got %+v after requests at %v", got, upstream.sent)
		}
		if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil || got.took == 0 {
			t.Errorf("there is no pace: %+v", got)
		}
	})
}

func TestAWaitForASlotEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(429, "Retry-After", "1"), reply(200))
		client.repeats = 0
		<-begin(t, t.Context(), client, readOf(testTenant))
		time.Sleep(time.Second)
		<-begin(t, t.Context(), client, readOf(testTenant))
		ctx, cancel := context.WithCancel(t.Context())
		waiting := begin(t, ctx, client, readOf(testTenant))
		cancel()
		if got := <-waiting; got.err == nil || got.err.Kind != KindCancelled || got.err.Sent || len(upstream.sent) != 2 {
			t.Errorf("got %+v after requests at %v", got, upstream.sent)
		}
	})
}

// TestATenantsThrottleEndsTheApplicationsProbe has a throttle response of its tenant to the application's probe. It
// says that the application may go on.
func TestATenantsThrottleEndsTheApplicationsProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t,
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

// TestAStretchIsLoggedOnce has a tenant whose reads are throttled again and again, and then no longer.
func TestAStretchIsLoggedOnce(t *testing.T) {
	for _, test := range []struct {
		scope string
		want  []string
	}{
		{"", []string{"WARN tenant=" + testTenant + " kind=reads", "INFO tenant=" + testTenant + " kind=reads"}},
		{"Application/ReadWrite/app", []string{
			"WARN tenant=application kind=reads", "WARN tenant=application kind=writes", "INFO tenant=application kind=reads", "INFO tenant=application kind=writes",
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			client, err := New(Options{Endpoint: "https://graph.example/v1.0", Tokens: Unsigned{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			l := &limiter{allowed: 2, window: time.Second, retryAfter: 2 * time.Second, roundTripTime: 10 * time.Millisecond, scope: test.scope}
			client.roundTrip = l.roundTrip
			during, end := context.WithTimeout(t.Context(), time.Minute)
			defer end()
			callers(during, t, client, 3)
			if l.throttled < 4 {
				t.Fatalf("%d throttle responses", l.throttled)
			}
			l.limit(0)
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			var got []string
			for line := range strings.Lines(log.String()) {
				level, _, _ := strings.Cut(line[strings.Index(line, "level=")+len("level="):], " ")
				_, rest, _ := strings.Cut(line, "tenant=")
				rest, wait, _ := strings.Cut(strings.TrimSpace(rest), " retryAfter=")
				if (level == "WARN") != (wait == "2s") {
					t.Errorf("got %s", line)
				}
				got = append(got, level+" tenant="+rest)
			}
			// Both of the application's throttles end at the same time.
			if len(got) == 4 {
				slices.Sort(got[2:])
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestResetThrottlesForgetsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(429, "Retry-After", "60"), reply(200))
		client.repeats = 0
		client.Do(t.Context(), readOf(testTenant))
		client.ResetThrottles()
		for range 10 {
			if got := <-begin(t, t.Context(), client, readOf(testTenant)); got.err != nil || got.took != 0 {
				t.Fatalf("got %+v", got)
			}
		}
		if len(upstream.sent) != 11 {
			t.Errorf("%d requests", len(upstream.sent))
		}
	})
}
