package graph

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAProbeThatIsThrottledLeavesThePaceAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := onEmulator(t, 0)
		key := laneKey{tenant: testTenant}
		pacedAt(client, key, 100)
		lane, read := client.gate.find(key), readOf(testTenant)
		for range 300 {
			p, refused := client.gate.enter(t.Context(), read, false)
			if refused != nil {
				t.Fatal(refused)
			}
			client.gate.leave(read, p, nil)
		}
		throttled := &Error{Meta: Meta{Status: 429}, RetryAfter: 5 * time.Second, HasRetryAfter: true}
		for attempt := range 3 {
			p, refused := client.gate.enter(t.Context(), read, false)
			if refused != nil || p.lanes[0].probe != (attempt > 0) {
				t.Fatalf("attempt %d: %v, %+v", attempt, refused, p)
			}
			client.gate.leave(read, p, throttled)
			if lane.pace.ceiling < 50 {
				t.Errorf("after attempt %d the pace is to be below %v calls a second", attempt, lane.pace.ceiling)
			}
			time.Sleep(5 * time.Second)
		}
	})
}

func TestAPatientCallBehindAProbeThatHangsIsToldSoInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := onEmulator(t, 0)
		closedFor(client, testTenant, time.Second)
		time.Sleep(time.Second)
		read := readOf(testTenant)
		if p, refused := client.gate.enter(t.Context(), read, false); refused != nil || !p.lanes[0].probe {
			t.Fatalf("no probe: %v", refused)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, refused := client.gate.enter(ctx, read, true)
		if took := time.Since(start); refused == nil || refused.Kind != KindThrottled || took >= 2500*time.Millisecond {
			t.Errorf("got %+v after %v", refused, took)
		}
	})
}

func TestAProbeThatHungDoesNotSpeakForTheNext(t *testing.T) {
	for name, end := range map[string]func(g *gate, call *Request, p pass){
		"it got no answer": func(g *gate, call *Request, p pass) { g.leave(call, p, &Error{Kind: KindUnreachable}) },
		"it was not sent":  func(g *gate, call *Request, p pass) { g.leave(call, p, &Error{Kind: KindInvalidRequest}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, _ := onEmulator(t, 0)
				closedFor(client, testTenant, time.Second)
				time.Sleep(time.Second)
				read := readOf(testTenant)
				first, refused := client.gate.enter(t.Context(), read, false)
				if refused != nil {
					t.Fatal(refused)
				}
				time.Sleep(longestProbe)
				second, refused := client.gate.enter(t.Context(), read, false)
				if refused != nil || !second.lanes[0].probe {
					t.Fatalf("no second probe: %v", refused)
				}
				end(client.gate, read, first)
				if _, refused := client.gate.enter(t.Context(), read, false); refused == nil {
					t.Error("a third probe goes while the second is out")
				}
				end(client.gate, read, second)
				if p, refused := client.gate.enter(t.Context(), read, false); refused != nil || !p.lanes[0].probe {
					t.Errorf("no third probe when the second has ended: %v", refused)
				}
			})
		})
	}
}

func TestDialsThatHangKeepNoPlaceFromTheWritesThatFollow(t *testing.T) {
	overMemory(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, client *Client, network *inMemory) {
		network.lost.Store(mostWrites)
		var hanging sync.WaitGroup
		for range mostWrites {
			hanging.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := client.Do(ctx, call(http.MethodPost)); err == nil {
					t.Error("a write got through a network that takes none")
				}
			})
		}
		hanging.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if got := <-begin(t, ctx, client, call(http.MethodPost)); got.err != nil {
			t.Errorf("the network is well again: %+v after %v", got.err, got.took)
		}
	})
}
