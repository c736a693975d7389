package main

import (
	"maps"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// at is a moment of a proof, in seconds.
func at(seconds float64) time.Time { return time.Unix(0, int64(seconds*1e9)) }

func TestJudgeFindsEachFault(t *testing.T) {
	t.Parallel()
	ok, bare := status.New(codes.OK, ""), status.New(codes.Unavailable, "connection reset")
	typed, err := bare.WithDetails(&emptypb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	events := []event{
		{what: terminated, begin: at(10), gone: at(14), end: at(15)},
		{what: killed, begin: at(20), gone: at(20.1), end: at(21)},
		{what: stopped, begin: at(30), gone: at(33), end: at(33)},
	}
	once := map[string][]string{"id": {"p1"}}
	for _, c := range []struct {
		name    string
		record  record
		created map[string][]string
		fault   string
	}{
		{"read", record{status: ok, begin: at(1), end: at(2)}, nil, ""},
		{"fails by itself", record{status: bare, begin: at(1), end: at(2)}, nil, "no replica was killed"},
		{"fails in a SIGTERM", record{status: bare, begin: at(11), end: at(12)}, nil, "no replica was killed"},
		{"fails in a SIGSTOP", record{status: bare, begin: at(31), end: at(32)}, nil, "no replica was killed"},
		{"cut by a SIGKILL", record{status: bare, begin: at(19), end: at(20.05)}, nil, ""},
		{"ended before the SIGKILL", record{status: bare, begin: at(19), end: at(19.9)}, nil, "no replica was killed"},
		{"begun long after the SIGKILL", record{status: bare, begin: at(20.6), end: at(20.7)}, nil, "no replica was killed"},
		{"cut with details", record{status: typed, begin: at(19), end: at(20.05)}, nil, "not a bare"},
		{"deadline in a SIGKILL", record{status: status.New(codes.DeadlineExceeded, ""), begin: at(19), end: at(22)}, nil, "not a bare"},
		{"create", record{kind: create, id: "id", status: ok, created: "p1", begin: at(1), end: at(2)}, once, ""},
		{"create that was lost", record{kind: create, id: "id", status: ok, created: "p1", begin: at(1), end: at(2)}, nil, "not carried out"},
		{"create with another id", record{kind: create, id: "id", status: ok, created: "p2", begin: at(1), end: at(2)}, once, `policy "p2"`},
		{"create that was doubled", record{kind: create, id: "id", status: ok, created: "p1", begin: at(1), end: at(2)}, map[string][]string{"id": {"p1", "p2"}}, "2 times"},
		{"cut create that was done", record{kind: created, id: "id", status: bare, begin: at(19), end: at(20.05)}, once, ""},
		{"cut create that was not", record{kind: create, id: "id", status: bare, begin: at(19), end: at(20.05)}, nil, ""},
		{"cut create that was doubled", record{kind: created, id: "id", status: bare, begin: at(19), end: at(20.05)}, map[string][]string{"id": {"p1", "p2"}}, "2 times"},
		{"create of nobody", record{status: ok, begin: at(1), end: at(2)}, once, "no client sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			made := map[string][]string{}
			maps.Copy(made, c.created)
			found := judge([]record{c.record}, events, made).faults
			if c.fault == "" && len(found) > 0 || c.fault != "" && (len(found) != 1 || !strings.Contains(found[0], c.fault)) {
				t.Errorf("faults %q, want one with %q", found, c.fault)
			}
		})
	}
}

func TestScheduleIsSeeded(t *testing.T) {
	t.Parallel()
	first, again, other := schedule(1, 100), schedule(1, 100), schedule(2, 100)
	count := map[what]int{}
	differ := false
	for i, e := range first {
		count[e.what]++
		if e != again[i] {
			t.Fatalf("event %d of seed 1 is %v and %v", i, e, again[i])
		}
		differ = differ || e != other[i]
	}
	if !differ {
		t.Error("seeds 1 and 2 give the same events")
	}
	for _, w := range []what{terminated, killed, stopped} {
		if count[w] < 20 {
			t.Errorf("%s occurs %d times in 100", w, count[w])
		}
	}
	for _, w := range []what{terminated, killed, stopped} {
		found := false
		for _, e := range schedule(1, 8) {
			found = found || e.what == w
		}
		if !found {
			t.Errorf("8 events have no %s", w)
		}
	}
}
