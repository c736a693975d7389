package main

import (
	"strings"
	"testing"
	"time"
)

func TestGuardSeesWhatIsFarOff(t *testing.T) {
	t.Parallel()
	goals := []goal{{"small", 4, 1.4, "", 5}, {"page", 5.5, 1.15, "", 5}, {"memory", 400, 140, " MB", 300}, {"told alone", 9, 1, "", 0}}
	err := guard(goals)
	if err == nil || strings.Contains(err.Error(), "small") || strings.Contains(err.Error(), "told alone") ||
		!strings.Contains(err.Error(), "page: 5.5 is more than 5") || !strings.Contains(err.Error(), "memory: 400 MB is more than 300 MB") {
		t.Errorf("the guard says %v", err)
	}
	if err := guard(goals[:1]); err != nil {
		t.Errorf("the guard says %v", err)
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	t.Parallel()
	w := work{smallCall, 64}
	s := &stage{raw: &client{cost: costs(w, 10, 20, 30)}}
	server := &target{floor: &target{cost: costs(w, 10, 20, 30)}, cost: costs(w, 40, 80, 60)}
	if got := s.against(server, w).String(); got != "2.00 (1.00 to 2.00)" {
		t.Errorf("%s", got)
	}
}

func costs(w work, all ...time.Duration) map[work][]time.Duration {
	return map[work][]time.Duration{w: all}
}
