package main

import (
	"fmt"
	"slices"
)

// verdict is what became of all writes.
type verdict struct {
	writes, failed, lost, doubled int
	faults                        []string
}

// judge compares what clients saw with what the emulator has done. A write that returned OK was done once, to the
// policy that it told; one that failed, once or never.
func judge(made []write, created, removed map[string][]string) *verdict {
	v := &verdict{writes: len(made)}
	left := map[string]bool{}
	for _, done := range []map[string][]string{created, removed} {
		for id := range done {
			left[id] = true
		}
	}
	for _, w := range made {
		done, other := created[w.id], removed[w.id]
		if w.kind == remove {
			done, other = other, done
		}
		delete(left, w.id)
		switch {
		case len(done) > 1:
			v.doubled++
			v.faultf("%s %s was carried out %d times: %v", w.kind, w.id, len(done), done)
		case len(other) > 0:
			v.faultf("%s %s did something else: %v", w.kind, w.id, other)
		case !w.ok:
			v.failed++
		case len(done) == 0:
			v.lost++
			v.faultf("%s %s returned OK and was not carried out", w.kind, w.id)
		case done[0] != w.policy:
			v.faultf("%s %s was of policy %q, and %v was done", w.kind, w.id, w.policy, done)
		}
	}
	for _, id := range sorted(left) {
		v.faultf("something was done under %s, which no client sent", id)
	}
	return v
}

func sorted(set map[string]bool) (list []string) {
	for one := range set {
		list = append(list, one)
	}
	slices.Sort(list)
	return list
}

func (v *verdict) faultf(format string, values ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, values...))
}

func (v *verdict) String() string {
	return fmt.Sprintf("%d writes, joined with the emulator's ledger: %d lost, %d doubled, %d failed", v.writes, v.lost, v.doubled, v.failed)
}
