package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestJudgeFindsEachFault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		write            write
		created, removed map[string][]string
		fault            string
	}{
		{"created", write{id: "a", kind: create, ok: true, policy: "p"}, map[string][]string{"a": {"p"}}, nil, ""},
		{"deleted", write{id: "a", kind: remove, ok: true, policy: "p"}, nil, map[string][]string{"a": {"p"}}, ""},
		{"failed and done", write{id: "a", kind: create}, map[string][]string{"a": {"p"}}, nil, ""},
		{"failed", write{id: "a", kind: create}, nil, nil, ""},
		{"lost", write{id: "a", kind: create, ok: true, policy: "p"}, nil, nil, "was not carried out"},
		{"delete is lost", write{id: "a", kind: remove, ok: true, policy: "p"}, nil, nil, "was not carried out"},
		{"doubled", write{id: "a", kind: create, ok: true, policy: "p"}, map[string][]string{"a": {"p", "q"}}, nil, "2 times"},
		{"failed and doubled", write{id: "a", kind: create}, map[string][]string{"a": {"p", "q"}}, nil, "2 times"},
		{"another policy", write{id: "a", kind: remove, ok: true, policy: "p"}, nil, map[string][]string{"a": {"q"}}, `of policy "p"`},
		{"another operation", write{id: "a", kind: create, ok: true, policy: "p"}, nil, map[string][]string{"a": {"p"}}, "something else"},
		{"nobody's", write{id: "a", kind: create}, map[string][]string{"b": {"p"}}, nil, "no client sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := judge([]write{c.write}, c.created, c.removed)
			found := strings.Join(v.faults, "\n")
			if c.fault == "" && found != "" || !strings.Contains(found, c.fault) {
				t.Errorf("faults %q, want one with %q", found, c.fault)
			}
		})
	}
}

func TestFiguresSayWhyARateIsNotHeld(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		calls int
		slow  int
		err   error
		fault string
	}{
		{"held", 1000, 9, nil, ""},
		{"slow", 1000, 11, nil, "99 of 100 calls took up to 80.0 ms besides the time in Graph"},
		{"failed", 1000, 0, errors.New("any"), "calls failed: map[Unknown:1]"},
		{"too few", 900, 0, nil, "only 900 calls/s ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := figures{rate: 1000, lasts: time.Second, window: &window{failed: map[string]int{}}}
			for n := range c.calls {
				took := time.Millisecond
				if n >= c.calls-c.slow {
					took = 80 * time.Millisecond
				}
				var err error
				if n == 0 {
					err = c.err
				}
				f.ended(getService, took, err)
			}
			f.all = f.took[getService]
			f.own = &ownTimes{seen: f.all}
			found := strings.Join(f.faults(50*time.Millisecond), "\n")
			if c.fault == "" && found != "" || !strings.Contains(found, c.fault) {
				t.Errorf("faults %q, want one with %q", found, c.fault)
			}
		})
	}
}

func TestGrowthComparesQuarters(t *testing.T) {
	t.Parallel()
	var f figures
	// The first quarter, in which a server fills its pools, does not count.
	for _, mebi := range []int64{10, 20, 100, 100, 100, 100, 120, 120} {
		f.seconds = append(f.seconds, second{resident: mebi << 20})
	}
	if got := f.growth(); got < 0.199 || got > 0.201 {
		t.Errorf("growth %v, want 0.2", got)
	}
}

const page = `# HELP x_seconds Time.
x_seconds_bucket{m="a",le="0.1"} 3
x_seconds_bucket{m="a",le="1"} 4
x_seconds_bucket{m="a",le="+Inf"} 4
x_seconds_sum{m="a"} 0.5
x_seconds_count{m="a"} 4
x_seconds_bucket{m="b",le="0.1"} 94
x_seconds_bucket{m="b",le="1"} 96
x_seconds_bucket{m="b",le="+Inf"} 96
x_seconds_sum{m="b"} 1.5
x_seconds_count{m="b"} 96
`

func TestHistogramsAreAddedUp(t *testing.T) {
	t.Parallel()
	h := readHistogram(page, "x_seconds")
	if h.count != 100 || h.mean() != 0.02 || h.bound(0.97) != "100 ms" || h.bound(0.98) != "1000 ms" {
		t.Errorf("%+v", h)
	}
	if d := h.less(h); d.count != 0 || d.sum != 0 {
		t.Errorf("%+v less itself is %+v", h, d)
	}
}
