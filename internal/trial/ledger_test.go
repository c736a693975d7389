package trial

import (
	"maps"
	"slices"
	"testing"
)

func TestLedgerJoinsRequestsAndPolicies(t *testing.T) {
	t.Parallel()
	l := NewLedger()
	// Read while it was under way, and read again.
	under := entry{Seq: 6, Kind: "request", Method: "DELETE", ClientRequestID: "c"}
	l.add([]entry{
		{Seq: 1, Kind: "request", Method: "POST", ClientRequestID: "a", Status: 201},
		{Seq: 2, Kind: "request", Method: "GET", ClientRequestID: "b", Status: 200},
		{Seq: 3, Kind: "change", Cause: 1, ID: "p1", To: "inactive"},
		{Seq: 4, Kind: "change", Cause: 2, ID: "p2", To: "inactive"},
		{Seq: 5, Kind: "change", Cause: 1, ID: "p1", From: "inactive", To: "active"},
		under,
		{Seq: 7, Kind: "change", Cause: 6, ID: "p1", From: "inactive"},
		{Seq: 8, Kind: "change", ID: "p3", From: "inactive"},
	})
	under.Fault = "cut"
	l.add([]entry{under, {Seq: 7, Kind: "change", Cause: 6, ID: "p1", From: "inactive"}})
	for _, c := range []struct{ got, want map[string][]string }{
		{l.Created, map[string][]string{"a": {"p1"}}},
		{l.Removed, map[string][]string{"c": {"p1"}}},
		{l.Faults, map[string][]string{"c": {"cut"}}},
	} {
		if !maps.EqualFunc(c.got, c.want, slices.Equal) {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}
