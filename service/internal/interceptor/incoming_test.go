package interceptor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Calls that send no message leave room for those of others, and end after a minute.
func TestCallsWithoutMessageAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := incoming{newInFlight(8, false)}
		var greedy []context.Context
		for {
			ctx, err := in.begin(t.Context(), "greedy")
			if err != nil {
				break
			}
			if greedy = append(greedy, ctx); len(greedy) > 8 {
				t.Fatal("there is no bound")
			}
		}
		if len(greedy) != 4 {
			t.Errorf("one client has %d of 8, want half", len(greedy))
		}
		for range 10 {
			ctx, err := in.begin(t.Context(), "other")
			if err != nil {
				t.Fatalf("another client: %v", err)
			}
			// Twice, as of a call that passes more than one interceptor.
			arrived(ctx)
			arrived(ctx)
		}
		arrived(greedy[0])
		again, err := in.begin(t.Context(), "greedy")
		if err != nil {
			t.Errorf("after a message came: %v", err)
		}
		time.Sleep(incomingTime - time.Second)
		synctest.Wait()
		if again.Err() != nil {
			t.Error("a call ended before its time")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if greedy[0].Err() != nil || greedy[1].Err() == nil || again.Err() == nil {
			t.Errorf("after a minute: %v, %v, %v", greedy[0].Err(), greedy[1].Err(), again.Err())
		}
		if in.calls.all != 0 || len(in.calls.byTenant) != 0 {
			t.Errorf("%d places are still taken", in.calls.all)
		}
	})
}
