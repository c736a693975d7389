package trial

import (
	"maps"
	"slices"
	"testing"
)

func TestLedgerJoinsRequestsAndPolicies(t *testing.T) {
	t.Parallel()
	l := NewLedger()
	l.add([]entry{
		{Seq: 1, Kind: "request", Method: "POST", ClientRequestID: "a"},
		{Seq: 2, Kind: "request", Method: "GET", ClientRequestID: "b"},
		{Seq: 3, Kind: "change", Cause: 1, ID: "p1", To: "inactive"},
		{Seq: 4, Kind: "change", Cause: 2, ID: "p2", To: "inactive"},
		{Seq: 5, Kind: "change", Cause: 1, ID: "p1", From: "inactive", To: "active"},
		{Seq: 6, Kind: "request", Method: "DELETE", ClientRequestID: "c"},
		{Seq: 7, Kind: "change", Cause: 6, ID: "p1", From: "inactive"},
		{Seq: 8, Kind: "change", ID: "p3", From: "inactive"},
	})
	for _, c := range []struct{ got, want map[string][]string }{
		{l.Created, map[string][]string{"a": {"p1"}}},
		{l.Removed, map[string][]string{"c": {"p1"}}},
	} {
		if !maps.EqualFunc(c.got, c.want, slices.Equal) {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}
