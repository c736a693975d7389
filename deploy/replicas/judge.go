package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/m365backup/backupstorage/internal/idempotency/redisstore"
)

// slack is how long after an event the clients and the servers can still see it: until they have read that a connection
// has ended, and have asked Redis again.
const slack = 3 * time.Second

// slowRedis is what a call has waited at least that a slow Redis refused: the store waits 30 ms for Redis' replicas,
// and 45 ms for Redis. maxSlow is how many of a run's calls may be refused for that alone.
const slowRedis, maxSlow = 30 * time.Millisecond, 0.05

// book is what the emulator has done, by the request id of the call: see trial.Ledger.
type book struct{ created, removed, faults map[string][]string }

// verdict is what became of all keys.
type verdict struct {
	keys, calls            int
	fresh, replayed        int // Good answers: of the call that did the work, and of a repeated one.
	once, never            int // Keys whose thing was created once; never.
	doubled, lost, gaps    int
	failed                 map[string]int // Failed calls by reason; all of them are explained unless faults says so.
	slowest                time.Duration
	unexplained, unsettled int // unsettled: keys of which no call was told what became of them.
	slow                   int // Calls that nothing explains but a slow Redis.
	faults                 []string
}

// judge compares what clients saw with what happened, and with what the emulator has done.
//
// A key's thing is created at most once. Each good answer has the id of that thing, and all but one of them say that
// they are repeated. A call fails only for a reason that something explains.
//
// A thing that is there twice is the known gap if a process was frozen or a request was held up between the last look
// at the record and its sending: then the creates that are too many were sent by that process.
func judge(results []result, events []event, b book, lease time.Duration) *verdict {
	v := &verdict{keys: len(results), failed: map[string]int{}}
	known := map[string]bool{}
	for i := range results {
		r := &results[i]
		v.calls += len(r.tries)
		for _, t := range r.tries {
			known[t.id] = true
			v.slowest = max(v.slowest, t.end.Sub(t.begin))
		}
		v.key(r, events, b, lease)
	}
	if 3*v.unsettled > v.keys {
		v.faultf("%d of %d keys got no answer: this run proves little", v.unsettled, v.keys)
	}
	if float64(v.slow) > maxSlow*float64(v.calls) {
		v.faultf("%d of %d calls were refused because Redis was slow, and nothing says why", v.slow, v.calls)
	}
	for _, id := range sortedKeys(b.created) {
		if !known[id] {
			v.faultf("%v was created under %s, which no client sent", b.created[id], id)
		}
	}
	return v
}

func (v *verdict) key(r *result, events []event, b book, lease time.Duration) {
	var made, removed []string
	for _, t := range r.tries {
		made = append(made, b.created[t.id]...)
		removed = append(removed, b.removed[t.id]...)
	}
	switch {
	case len(made) == 0:
		v.never++
	case len(made) == 1:
		v.once++
	case r.inGap(events, b):
		v.gaps++
	default:
		v.doubled++
		v.faultf("%s: created %d times: %v\n%s", r, len(made), made, r.story(b))
	}
	fresh, told := 0, false
	for i := range r.tries {
		t := &r.tries[i]
		if t.failed {
			v.failed[t.reason()]++
			switch {
			case r.explained(i, events, b, lease):
			case t.reason() == "IDEMPOTENCY_STORE_UNAVAILABLE" && t.end.Sub(t.begin) >= slowRedis:
				v.slow++
			default:
				v.unexplained++
				v.faultf("%s: nothing explains %s of call %d\n%s", r, t.reason(), i+1, r.story(b))
			}
			continue
		}
		told = true
		if t.replayed {
			v.replayed++
		} else {
			v.fresh++
			fresh++
		}
		if !slices.Contains(made, t.made) || slices.Contains(removed, t.made) || anyHas(b.removed, t.made) {
			v.lost++
			v.faultf("%s: call %d returned %q, which is not there: created %v\n%s", r, i+1, t.made, made, r.story(b))
		}
	}
	if fresh > 1 && len(made) == 1 {
		v.faultf("%s: %d answers say that they are the first\n%s", r, fresh, r.story(b))
	}
	if !told {
		v.unsettled++
	}
}

// explained reports whether something that happened accounts for the failure of a call.
func (r *result) explained(n int, events []event, b book, lease time.Duration) bool {
	t := &r.tries[n]
	// Who died during this call or an earlier one of the key; and whether Redis was struck then.
	struck := func(begin, end time.Time, is func(event) bool) bool {
		return slices.ContainsFunc(events, func(e event) bool {
			return is(e) && begin.Before(e.end.Add(slack)) && end.After(e.begin.Add(-slack))
		})
	}
	mine := func(t *try) func(event) bool {
		return func(e event) bool { return !e.what.ofRedis() && e.replica == t.replica }
	}
	ofRedis := func(e event) bool { return e.what.ofRedis() }
	switch reason := t.err.Reason; {
	case reason == "" && t.err.Code == codes.Unavailable:
		// The runtime's own: its replica is dead.
		return struck(t.begin, t.end, func(e event) bool { return mine(t)(e) && e.what != replaced })
	case reason == "" && t.err.Code == codes.DeadlineExceeded:
		// A frozen replica answers late, or never within the deadline.
		return struck(t.begin, t.end, func(e event) bool { return e.what == replicaFrozen && e.replica == t.replica })
	case reason == "IDEMPOTENCY_STORE_UNAVAILABLE":
		// A replica that has just started or gone on has no connection to Redis yet.
		return struck(t.begin, t.end, ofRedis) || struck(t.begin, t.end, mine(t))
	case reason == "IDEMPOTENCY_KEY_IN_USE":
		return slices.ContainsFunc(r.tries, func(other try) bool {
			return other.id != t.id && other.begin.Before(t.end) && other.end.Add(lease).After(t.begin)
		})
	case t.err.OutcomeUnknown && t.err.Metadata["candidateIds"] != "" && slices.ContainsFunc(events, func(e event) bool {
		return e.what.losesRecords() && t.begin.After(e.begin) && t.begin.Before(e.end.Add(slack+redisstore.LooksFor))
	}):
		// Redis has lost records a short time ago. The key may be one of them, and a thing that has no name may be its own.
		return true
	case t.err.OutcomeUnknown:
		// The answer to this call or to an earlier one of the key was lost, or whoever was to note it died.
		for i := range r.tries {
			other := &r.tries[i]
			if other.begin.After(t.end) {
				continue
			}
			if len(b.faults[other.id]) > 0 || struck(other.begin, other.end, mine(other)) || struck(other.begin, other.end, ofRedis) {
				return true
			}
		}
	}
	return false
}

// inGap reports whether the creates of a key that are too many can be those of the known gap: a call of the key was in
// a replica when that was frozen, or the emulator held its request up.
func (r *result) inGap(events []event, b book) bool {
	return slices.ContainsFunc(r.tries, func(t try) bool {
		if slices.Contains(b.faults[t.id], ruleLate) {
			return true
		}
		return slices.ContainsFunc(events, func(e event) bool {
			return e.what == replicaFrozen && e.replica == t.replica && t.begin.Before(e.end) && t.end.After(e.begin)
		})
	})
}

// reason is what a failed call says: the reason, or the code of an error without details.
func (t *try) reason() string {
	if t.err.Reason != "" {
		return t.err.Reason
	}
	return codeNames[t.err.Code]
}

var codeNames = map[codes.Code]string{
	codes.Unavailable: "UNAVAILABLE", codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.Canceled: "CANCELLED",
	codes.Internal: "INTERNAL", codes.Unknown: "UNKNOWN",
}

func (r *result) String() string { return fmt.Sprintf("key %d (%s)", r.number, r.plan.thing) }

// story says what became of each call of a key.
func (r *result) story(b book) string {
	var s strings.Builder
	for i := range r.tries {
		t := &r.tries[i]
		fmt.Fprintf(&s, "    call %d %s, replica %d, %s to %s: ", i+1, t.id, t.replica, clock(t.begin), clock(t.end))
		if t.failed {
			fmt.Fprintf(&s, "%s (outcome unknown: %v) %s %v", t.reason(), t.err.OutcomeUnknown, t.err.Message, t.err.Metadata)
		} else {
			fmt.Fprintf(&s, "%s, repeated: %v", t.made, t.replayed)
		}
		fmt.Fprintf(&s, "; created %v, rules %v\n", b.created[t.id], b.faults[t.id])
	}
	return strings.TrimSuffix(s.String(), "\n")
}

func anyHas(lists map[string][]string, id string) bool {
	for _, list := range lists {
		if slices.Contains(list, id) {
			return true
		}
	}
	return false
}

func (v *verdict) faultf(format string, values ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, values...))
}

func (v *verdict) String() string {
	var failed []string
	for _, reason := range sortedKeys(v.failed) {
		failed = append(failed, fmt.Sprintf("%d %s", v.failed[reason], reason))
	}
	return fmt.Sprintf("%d keys, %d calls: %d first answers, %d repeated ones; failed: %s\n"+
		"created once %d, never %d; %d doubled, %d lost, %d unexplained, %d in the known gap; %d keys without an answer; slowest call %v",
		v.keys, v.calls, v.fresh, v.replayed, strings.Join(failed, ", "),
		v.once, v.never, v.doubled, v.lost, v.unexplained, v.gaps, v.unsettled, v.slowest.Round(time.Millisecond))
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
