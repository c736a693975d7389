package main

import (
	"maps"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/m365backup/backupstorage/typederror"
)

// at is a time of the tests, in seconds.
func at(seconds float64) time.Time {
	return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func good(id, made string, begin float64, replayed bool) try {
	return try{id: id, begin: at(begin), end: at(begin + 0.1), made: made, replayed: replayed}
}

func bad(id, reason string, unknown bool, begin float64) try {
	return try{id: id, begin: at(begin), end: at(begin + 0.01), failed: true, err: typederror.Error{Code: codes.Unknown, Reason: reason, OutcomeUnknown: unknown}}
}

func unknownOf(candidate string, begin float64) try {
	t := bad("a", "OUTCOME_UNKNOWN", true, begin)
	t.err.Metadata = map[string]string{"candidateIds": candidate}
	return t
}

// slow is a refusal of a Redis that took its time.
func slow(id string, begin float64) try {
	t := bad(id, "IDEMPOTENCY_STORE_UNAVAILABLE", false, begin)
	t.end = at(begin + 0.031)
	return t
}

// repeats are n good calls of a key that was sent before.
func repeats(n int) (tries []try) {
	for i := range n {
		tries = append(tries, good(strings.Repeat("r", i+1), "p", 3+float64(i), true))
	}
	return tries
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const testLease = 10 * time.Second
	bare := try{id: "a", begin: at(100), end: at(100.1), failed: true, err: typederror.Error{Code: codes.Unavailable, OutcomeUnknown: true}}
	killed := []event{{what: replicaKilled, begin: at(100), end: at(102)}}
	otherKilled := []event{{what: replicaKilled, replica: 1, begin: at(100), end: at(102)}}
	frozen := []event{{what: replicaFrozen, begin: at(1), end: at(20)}}
	flush := []event{{what: flushed, begin: at(100), end: at(101)}}
	once := map[string][]string{"a": {"p"}}
	for _, c := range []struct {
		name   string
		tries  []try
		events []event
		made   map[string][]string
		gone   map[string][]string
		rules  map[string][]string
		fault  string // Empty for none.
	}{
		{name: "done once", tries: []try{good("a", "p", 1, false), good("b", "p", 2, true)}, made: once},
		{name: "doubled", tries: []try{good("a", "p", 1, false), good("b", "q", 2, true)}, made: map[string][]string{"a": {"p"}, "b": {"q"}}, fault: "created 2 times"},
		{name: "doubled in one call", tries: []try{good("a", "p", 1, false)}, made: map[string][]string{"a": {"p", "q"}}, fault: "created 2 times"},
		{name: "doubled in the gap", tries: []try{good("a", "p", 1, false), good("b", "q", 15, false)}, events: frozen, made: map[string][]string{"a": {"p"}, "b": {"q"}}},
		{name: "doubled by a late request", tries: []try{good("a", "p", 1, false), good("b", "q", 15, false)}, rules: map[string][]string{"a": {ruleLate}}, made: map[string][]string{"a": {"p"}, "b": {"q"}}},
		{name: "lost", tries: []try{good("a", "p", 1, false)}, fault: "not there"},
		{name: "another thing", tries: []try{good("a", "q", 1, false)}, made: once, fault: "not there"},
		{name: "deleted", tries: []try{good("a", "p", 1, false)}, made: once, gone: map[string][]string{"x": {"p"}}, fault: "not there"},
		{name: "two first answers", tries: []try{good("a", "p", 1, false), good("b", "p", 2, false)}, made: once, fault: "say that they are the first"},
		{name: "a slow Redis", tries: append([]try{good("a", "p", 1, false), slow("b", 2)}, repeats(20)...), made: once},
		{name: "a Redis that is always slow", tries: []try{good("a", "p", 1, false), slow("b", 2)}, made: once, fault: "because Redis was slow"},
		{name: "of nobody", made: once, fault: "no client sent"},
		{name: "cut by SIGKILL", tries: []try{bare}, events: killed},
		{name: "cut by SIGKILL of another replica", tries: []try{bare}, events: otherKilled, fault: "nothing explains UNAVAILABLE"},
		{name: "cut by nothing", tries: []try{bare}, fault: "nothing explains UNAVAILABLE"},
		{name: "answer lost", tries: []try{bad("a", "X", true, 1), good("b", "p", 2, true)}, made: once, rules: map[string][]string{"a": {"after"}}},
		{name: "held until the deadline", tries: []try{bad("a", "DEADLINE_EXCEEDED", true, 1)}, rules: map[string][]string{"a": {"held"}}},
		{name: "answer lost by nothing", tries: []try{bad("a", "X", true, 1), good("b", "p", 2, true)}, made: once, fault: "nothing explains X"},
		{name: "unknown since the first call was lost", tries: []try{bad("a", "X", true, 1), bad("b", "OUTCOME_UNKNOWN", true, 2)}, rules: map[string][]string{"a": {"before"}}},
		{name: "unknown before the loss", tries: []try{bad("a", "X", true, 1), bad("b", "X", true, 2)}, rules: map[string][]string{"b": {"before"}}, fault: "nothing explains X"},
		{name: "no store", tries: []try{bad("a", "IDEMPOTENCY_STORE_UNAVAILABLE", false, 100)}, events: flush},
		{name: "no store for nothing", tries: []try{bad("a", "IDEMPOTENCY_STORE_UNAVAILABLE", false, 1)}, events: flush, fault: "nothing explains IDEMPOTENCY_STORE"},
		{name: "in use", tries: []try{good("a", "p", 1, false), bad("b", "IDEMPOTENCY_KEY_IN_USE", false, 1.05)}, made: once},
		{name: "in use for nothing", tries: []try{good("a", "p", 1, false), bad("b", "IDEMPOTENCY_KEY_IN_USE", false, 30)}, made: once, fault: "nothing explains IDEMPOTENCY_KEY_IN_USE"},
		{name: "looks after a loss", tries: []try{unknownOf("q", 150)}, events: flush},
		{name: "looks long after a loss", tries: []try{unknownOf("q", 600)}, events: flush, fault: "nothing explains OUTCOME_UNKNOWN"},
		{name: "another reason", tries: []try{bad("a", "INTERNAL", false, 100)}, events: killed, fault: "nothing explains INTERNAL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var results []result
			if len(c.tries) > 0 {
				// Two keys to which nothing happened stand beside it.
				results = []result{{tries: c.tries}, {tries: []try{good("x1", "x1", 1, false)}}, {tries: []try{good("x2", "x2", 1, false)}}}
				made := map[string][]string{"x1": {"x1"}, "x2": {"x2"}}
				maps.Copy(made, c.made)
				c.made = made
			}
			found := judge(results, c.events, book{c.made, c.gone, c.rules}, testLease).faults
			if c.fault == "" && len(found) > 0 || c.fault != "" && (len(found) != 1 || !strings.Contains(found[0], c.fault)) {
				t.Errorf("faults %q, want one with %q", found, c.fault)
			}
		})
	}
}

func TestJudgeWantsAnswers(t *testing.T) {
	t.Parallel()
	results := []result{{tries: []try{bad("a", "IDEMPOTENCY_STORE_UNAVAILABLE", false, 100)}}}
	v := judge(results, []event{{what: flushed, begin: at(100), end: at(101)}}, book{}, time.Second)
	if len(v.faults) != 1 || !strings.Contains(v.faults[0], "got no answer") {
		t.Errorf("faults %q", v.faults)
	}
}

func TestScheduleIsSeeded(t *testing.T) {
	t.Parallel()
	all := []what{replicaKilled, failover, masterKilled, flushed, replicaFrozen}
	first, again, other := schedule(1, all, time.Minute), schedule(1, all, time.Minute), schedule(2, all, time.Minute)
	count, differ := map[what]int{}, false
	for i := range 50 {
		e := first()
		count[e.what]++
		if e.what == replicaFrozen && e.lasts < time.Minute {
			t.Errorf("event %d freezes a replica for %v, less than the lease", i, e.lasts)
		}
		if e != again() {
			t.Fatalf("event %d of seed 1 differs", i)
		}
		differ = differ || e != other()
	}
	if !differ {
		t.Error("seeds 1 and 2 give the same events")
	}
	for _, w := range all {
		if count[w] != 10 {
			t.Errorf("%s occurs %d times in 50", w, count[w])
		}
	}
}

func TestWeigh(t *testing.T) {
	t.Parallel()
	var even []arrival
	for n := range 100 {
		even = append(even, arrival{at(float64(n) / 10), 200})
	}
	if w := weigh(even, 10*time.Second); w.most < 1 || w.most > 1.03 || w.reached != 100 || w.refused != 0 {
		t.Errorf("at the limit: %s", w)
	}
	var double []arrival
	for n := range 200 {
		double = append(double, arrival{at(float64(n) / 20), 200})
	}
	if w := weigh(double, 10*time.Second); w.most < 2 {
		t.Errorf("at twice the limit: %s", w)
	}
	block := []arrival{{at(1), 429}, {at(2.1), 200}, {at(2.3), 200}}
	if w := weigh(block, 10*time.Second); w.openings != 1 || w.probes != 0 || w.refused != 1 {
		t.Errorf("one probe: %s", w)
	}
	block[2].Time = at(2.15)
	if w := weigh(block, 10*time.Second); w.openings != 1 || w.probes != 1 {
		t.Errorf("two probes: %s", w)
	}
}

func TestJudgeOutage(t *testing.T) {
	t.Parallel()
	stopped, back := at(10), at(20)
	// Ten calls a second of each kind, which take what they should.
	calls := func(change func(*sample)) (list []sample) {
		for n := range 400 {
			for k := range kinds {
				s := sample{kind: k, begin: at(float64(n) / 10), took: 2 * time.Millisecond}
				if k == keyed && !s.begin.Before(stopped) && s.begin.Before(back) {
					s.reason = "IDEMPOTENCY_STORE_UNAVAILABLE"
				}
				change(&s)
				list = append(list, s)
			}
		}
		return list
	}
	during := func(s *sample) bool { return !s.begin.Before(stopped) && s.begin.Before(back) }
	closes := func(s *sample) bool { return during(s) && s.begin.Before(stopped.Add(closing)) }
	for _, c := range []struct {
		name, fault string
		change      func(*sample)
	}{
		{"as it should be", "", func(*sample) {}},
		{"a plain call fails", "without a key, while Redis is stopped, got", func(s *sample) {
			if s.kind == plain && during(s) && !closes(s) {
				s.reason = "INTERNAL"
			}
		}},
		{"a call pays for the breaker", "without a key, paced, while the breaker closes, take", func(s *sample) {
			if s.kind == paced && closes(s) {
				s.took += 30 * time.Millisecond
			}
		}},
		{"a call pays later", "half of the calls without a key, paced", func(s *sample) {
			if s.kind == paced && during(s) && !closes(s) {
				s.took += 5 * time.Millisecond
			}
		}},
		{"a key is refused late", "are refused within", func(s *sample) {
			if s.kind == keyed && during(s) && !closes(s) {
				s.took = 60 * time.Millisecond
			}
		}},
		{"a key is taken", "with a key, while Redis is stopped, got map[OK", func(s *sample) {
			if s.kind == keyed && during(s) && !closes(s) {
				s.reason = ""
			}
		}},
		{"keys stay refused", "with a key, when it is back, got", func(s *sample) {
			if s.kind == keyed && !s.begin.Before(stopped) {
				s.reason = "IDEMPOTENCY_STORE_UNAVAILABLE"
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := judgeOutage(calls(c.change), stopped, back, func(string) {})
			if (err == nil) != (c.fault == "") || err != nil && (!strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%v, want one fault with %q", err, c.fault)
			}
		})
	}
}
