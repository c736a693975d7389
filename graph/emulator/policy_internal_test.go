package emulator

import (
	"testing"
)

func TestSourcesOnTheWire(t *testing.T) {
	for want, s := range map[string]sources{
		"none": {}, "manual": {manual: true}, "dynamicRule": {dynamicRule: true}, "manual,dynamicRule": {true, true},
	} {
		if s.String() != want {
			t.Errorf("%+v is %s, want %s", s, s, want)
		}
	}
}

func TestThePolicyStatusIsTheAggregateOfItsUnits(t *testing.T) {
	for _, tc := range []struct {
		name  string
		on    bool
		tally map[string]int
		want  string
	}{
		{"no units, off", false, nil, policyInactive},
		{"no units, on", true, nil, policyActive},
		{"all unprotected", false, map[string]int{unitUnprotected: 3}, policyInactive},
		{"all protected", true, map[string]int{unitProtected: 3}, policyActive},
		{"some of each", true, map[string]int{unitProtected: 1, unitUnprotected: 2}, policyActiveWithErrors},
		{"one being protected", true, map[string]int{unitProtected: 1, unitProtectRequested: 1}, policyUpdating},
		{"one being unprotected", false, map[string]int{unitUnprotected: 1, unitUnprotectRequested: 1}, policyUpdating},
		{"one being removed", true, map[string]int{unitProtected: 1, unitRemoveRequested: 1}, policyUpdating},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := (&policy{on: tc.on, tally: tc.tally}).status(); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}
