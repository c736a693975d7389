package graph

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestStatsSayWhatARequestCost has requests that are throttled, repeated, refused and held up.
func TestStatsSayWhatARequestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowly := func() (*http.Response, error) {
			time.Sleep(300 * time.Millisecond)
			return reply(200)()
		}
		client, _ := responding(t, reply(429, "Retry-After", "2"), reply(503, "Retry-After", "1"), slowly, reply(200), reply(429, "Retry-After", "60"), reply(200))
		for i, want := range []Stats{
			{Attempts: 3, Waited: 3 * time.Second, InGraph: 300 * time.Millisecond},
			// It has a slot of the pace, a quarter of a second after the last one.
			{Attempts: 1, Waited: 0},
			{Attempts: 1, Waited: 0},
			{Attempts: 0, Waited: 0},
		} {
			got := Stats{}
			request := newRequest(http.MethodGet)
			request.Stats = &got
			client.Do(t.Context(), request)
			if i == 1 {
				// The pace is no round number.
				want.Waited = got.Waited
			}
			if got.Attempts != want.Attempts || got.Waited != want.Waited || got.InGraph != want.InGraph {
				t.Errorf("request %d: got %+v, want %+v", i, got, want)
			}
			if i > 0 {
				time.Sleep(time.Second)
			}
		}
	})
}

func TestStatsCountTheWaitForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := responding(t, reply(429, "Retry-After", "1"), reply(200))
		var all Stats
		for range 3 {
			request := newRequest(http.MethodGet)
			request.Stats = &all
			if _, err := client.Do(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
		// The first waits for a second, the others a quarter of a second each, or a little less.
		if all.Attempts != 4 || all.Waited <= 1400*time.Millisecond || all.Waited > 1500*time.Millisecond {
			t.Errorf("got %+v", all)
		}
	})
}
