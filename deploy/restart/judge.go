package main

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
)

// what happens to a replica.
type what string

const (
	terminated what = "SIGTERM"
	killed     what = "SIGKILL"
	stopped    what = "SIGSTOP"
)

// event is one thing that happened to a replica.
type event struct {
	what    what
	replica int
	begin   time.Time // When the signal was sent.
	gone    time.Time // When the process had ended, or was going on again.
	end     time.Time // When the replica took calls again.
}

// slack is how long after the end of a process a client can still send a call to it: until it has read that the
// connection has ended.
const slack = 250 * time.Millisecond

// verdict is what became of all calls.
type verdict struct {
	calls, failed, cut int
	doubled, lost      int
	unknown, done      int // Creates that failed, and those of them that were carried out.
	slowest            time.Duration
	faults             []string
}

// judge compares what clients saw with what happened and with what the emulator has done.
//
// A call may fail only because its replica was killed: with a bare UNAVAILABLE, and only if it was under way then. A
// create that returned OK was done once, and one that failed once or never.
func judge(records []record, events []event, made map[string][]string) verdict {
	v := verdict{calls: len(records)}
	ids := map[string]bool{}
	for _, r := range records {
		v.slowest = max(v.slowest, r.end.Sub(r.begin))
		if r.status.Code() != codes.OK {
			v.failed++
			if why := r.excuse(events); why != "" {
				v.faultf("%s call %s of %v to %v: %s (%s)", r.kind, r.id, clock(r.begin), clock(r.end), why, r.status)
			} else {
				v.cut++
			}
		}
		if r.kind != create && r.kind != created {
			continue
		}
		policies := made[r.id]
		switch {
		case len(policies) > 1:
			v.doubled++
			v.faultf("create %s was carried out %d times: %v", r.id, len(policies), policies)
		case r.status.Code() != codes.OK:
			v.unknown++
			v.done += len(policies)
		case len(policies) == 0:
			v.lost++
			v.faultf("create %s returned OK and was not carried out", r.id)
		case policies[0] != r.created || ids[r.created]:
			v.faultf("create %s returned policy %q, and %v was created", r.id, r.created, policies)
		}
		ids[r.created] = true
		delete(made, r.id)
	}
	for id, policies := range made {
		v.faultf("%v was created under %s, which no client sent", policies, id)
	}
	return v
}

// excuse returns why a call must not have failed as it did; empty if it may.
func (r *record) excuse(events []event) string {
	if r.status.Code() != codes.Unavailable || len(r.status.Proto().GetDetails()) > 0 {
		return "not a bare UNAVAILABLE"
	}
	if slices.ContainsFunc(events, func(e event) bool {
		return e.what == killed && r.begin.Before(e.gone.Add(slack)) && r.end.After(e.begin)
	}) {
		return ""
	}
	return "no replica was killed meanwhile"
}

func (v *verdict) faultf(format string, values ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, values...))
}

func (v *verdict) String() string {
	return fmt.Sprintf("%d calls, %d cut by SIGKILL with a bare UNAVAILABLE, %d other failures; of %d creates that failed %d had been carried out; "+
		"%d doubled, %d lost; slowest call %v", v.calls, v.cut, v.failed-v.cut, v.unknown, v.done, v.doubled, v.lost, v.slowest.Round(time.Millisecond))
}

func (k kind) String() string {
	return [...]string{"short", "slow", "create", "create (held up after)"}[k]
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
