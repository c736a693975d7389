package emulator

import (
	"fmt"
	"testing"
	"time"
)

func TestStepsHappenInOrderAndScheduleOthers(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var s steps
	var got []string
	say := func(word string) func(time.Time) { return func(time.Time) { got = append(got, word) } }
	s.schedule(at.Add(2), say("c"))
	s.schedule(at.Add(1), say("a"))
	s.schedule(at.Add(1), func(due time.Time) {
		got = append(got, "b")
		s.schedule(due.Add(1), say("d"))
		s.schedule(due.Add(9), say("late"))
	})
	s.settle(at, func() {})
	if len(got) != 0 {
		t.Fatalf("too early: %v", got)
	}
	s.settle(at.Add(5), func() {})
	if fmt.Sprint(got) != "[a b c d]" {
		t.Errorf("steps %v", got)
	}
}
