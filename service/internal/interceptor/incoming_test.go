package interceptor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// waitingCall returns a call whose headers are there, nil when there is no room for it.
func waitingCall(ctx context.Context, in *incoming, who string) *call {
	c := &call{Context: ctx}
	if in.begin(c, who) != nil {
		return nil
	}
	return c
}

// Calls that send no message leave room for those of others, and end after a minute.
func TestCallsWithoutMessageAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newIncoming(8)
		var greedy []*call
		for {
			c := waitingCall(t.Context(), in, "greedy")
			if c == nil {
				break
			}
			if greedy = append(greedy, c); len(greedy) > 8 {
				t.Fatal("there is no bound")
			}
		}
		if len(greedy) != 4 {
			t.Errorf("one client has %d of 8, want half", len(greedy))
		}
		for range 10 {
			c := waitingCall(t.Context(), in, "other")
			if c == nil {
				t.Fatal("there is no room for another client")
			}
			// Twice, as of a stream: with its message, and at its end.
			c.arrived()
			c.arrived()
		}
		greedy[0].arrived()
		again := waitingCall(t.Context(), in, "greedy")
		if again == nil {
			t.Fatal("there is no room although a message came")
		}
		time.Sleep(incomingTime - time.Second)
		synctest.Wait()
		if again.Err() != nil {
			t.Error("a call ended before its time")
		}
		time.Sleep(2*time.Second + sweepInterval)
		synctest.Wait()
		if greedy[0].Err() != nil || greedy[1].Err() == nil || again.Err() == nil {
			t.Errorf("after a minute: %v, %v, %v", greedy[0].Err(), greedy[1].Err(), again.Err())
		}
		if in.calls.all != 0 || len(in.calls.byTenant) != 0 || len(in.waiting) != 0 || in.ticking {
			t.Errorf("%d places are still taken, %d calls wait, ticking is %t", in.calls.all, len(in.waiting), in.ticking)
		}
	})
}

// Calls that end without a message, such as those that their client resets at once, give their places to the next ones.
func TestCallsThatEndWithoutMessageLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newIncoming(8)
		for n := range 1000 {
			ctx, reset := context.WithCancel(t.Context())
			if n%4 == 0 {
				time.Sleep(minSweep)
			}
			if waitingCall(ctx, in, "greedy") == nil {
				t.Fatalf("there is no room for call %d", n)
			}
			reset()
		}
		time.Sleep(sweepInterval)
		synctest.Wait()
		if in.calls.all != 0 || len(in.waiting) != 0 {
			t.Errorf("%d places are still taken, %d calls wait", in.calls.all, len(in.waiting))
		}
	})
}
