package service_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// transitions are the changes of state that Microsoft's pages allow. They were read for this test and are not shared
// with the emulator. A kind is the Graph type or the end of its name. An empty state before a change is a creation,
// after it a deletion.
var transitions = map[string]map[string][]string{
	"ProtectionPolicy": {
		"":         {"inactive"},
		"inactive": {"updating", "active", ""},
		// A change can succeed, fail, or succeed in part, and a new one can start before the last one has ended.
		"updating":         {"active", "activeWithErrors", "inactive"},
		"active":           {"updating", "activeWithErrors", "inactive"},
		"activeWithErrors": {"updating", "active", "inactive"},
	},
	"ProtectionUnit": {
		"":                        {"unprotected", "protectRequested"},
		"unprotected":             {"protectRequested", "removeRequested", "offboardRequested", ""},
		"protectRequested":        {"protected", "unprotected", "removeRequested", "unprotectRequested"},
		"protected":               {"unprotectRequested", "removeRequested"},
		"unprotectRequested":      {"unprotected", "removeRequested"},
		"removeRequested":         {"unprotected", "protectRequested"},
		"offboardRequested":       {"offboarded", "cancelOffboardRequested"},
		"cancelOffboardRequested": {"unprotected"},
		"offboarded":              {"protectRequested"},
	},
	"ProtectionRule": {
		"":       {"active"},
		"active": {"completed", "completedWithErrors"},
		// A dynamic rule is evaluated again at intervals, and its result can change.
		"completed":           {"active", "updateRequested", "deleteRequested", "completedWithErrors", ""},
		"completedWithErrors": {"active", "updateRequested", "deleteRequested", "completed", ""},
		"updateRequested":     {"completed", "completedWithErrors"},
		"deleteRequested":     {""},
	},
	"ProtectionUnitsBulkAdditionJob": {
		"":       {"active"},
		"active": {"completed", "completedWithErrors"},
	},
	"RestoreSession": {
		"":           {"draft"},
		"draft":      {"activating", ""},
		"activating": {"active"},
		"active":     {"completed", "completedWithError", "failed"},
	},
	"RestoreArtifact": {
		"":           {"added"},
		"added":      {"scheduling", ""},
		"scheduling": {"scheduled"},
		"scheduled":  {"inProgress", "failed"},
		"inProgress": {"succeeded", "failed"},
		"succeeded":  {""},
		"failed":     {""},
	},
	"RestoreArtifactsBulkAdditionRequest": {
		"":                    {"active"},
		"active":              {"completed", "completedWithErrors"},
		"completed":           {""},
		"completedWithErrors": {""},
	},
	"BrowseSession": {
		"":         {"creating"},
		"creating": {"created", "failed"},
		"created":  {""},
		"failed":   {""},
	},
	"serviceApp": {
		"":                {"inactive", "active"},
		"inactive":        {"active", "pendingActive", ""},
		"pendingActive":   {"active", "inactive", ""},
		"active":          {"pendingInactive", ""},
		"pendingInactive": {"inactive", "active", ""},
	},
	"serviceStatus": {
		"disabled":               {"enabled"},
		"enabled":                {"protectionChangeLocked", "disabled"},
		"protectionChangeLocked": {"restoreLocked", "enabled"},
		"restoreLocked":          {"disabled", "enabled"},
	},
	"dataStore": {"": {"initialising"}, "initialising": {"ready"}},
}

// stateless kinds have contents but no states.
var stateless = []string{"emailNotificationsSetting", "displayName", "protectionSources", "group", "mailFolder", "site", "drive", "mail", "file", "folder"}

// checkTransitions replays a ledger: every change must be allowed, and must start at the state in which the last change
// of the resource ended.
func checkTransitions(t *testing.T, entries []emulator.Entry) {
	t.Helper()
	last := make(map[string]string)
	wrong := make(map[string]int)
	changes := 0
	for _, entry := range entries {
		if entry.Kind != emulator.EntryChange || slices.Contains(stateless, entry.Resource) {
			continue
		}
		changes++
		kind := kindOf(entry.Resource)
		if !slices.Contains(transitions[kind][entry.From], entry.To) {
			wrong[fmt.Sprintf("%s from %q to %q is impossible", entry.Resource, entry.From, entry.To)]++
		}
		// Seeded units change by the thousand in one entry, so single ones are not followed.
		key := entry.Tenant + entry.Resource + entry.ID
		if state, ok := last[key]; ok && entry.Count <= 1 && state != entry.From {
			wrong[fmt.Sprintf("%s was %q and changed from %q", entry.Resource, state, entry.From)]++
		}
		last[key] = entry.To
	}
	if changes == 0 {
		t.Error("nothing changed")
	}
	for _, line := range slices.Sorted(maps.Keys(wrong)) {
		t.Errorf("%s (%d times)", line, wrong[line])
	}
}

// kindOf finds the kind of a Graph type: the one at the end of its name.
func kindOf(resource string) string {
	for kind := range transitions {
		if strings.HasSuffix(resource, kind) {
			return kind
		}
	}
	return resource
}

func TestTheCheckerSeesWhatIsImpossible(t *testing.T) {
	for name, entries := range map[string][]emulator.Entry{
		"a deleted policy that was active": {{Kind: emulator.EntryChange, Resource: "exchangeProtectionPolicy", From: "active", To: ""}},
		"a jump": {
			{Kind: emulator.EntryChange, Resource: "mailboxProtectionUnit", ID: "1", From: "", To: "unprotected"},
			{Kind: emulator.EntryChange, Resource: "mailboxProtectionUnit", ID: "1", From: "protected", To: "removeRequested"},
		},
		"a kind that nobody knows": {{Kind: emulator.EntryChange, Resource: "toaster", From: "", To: "on"}},
		"an empty ledger":          nil,
	} {
		probe := new(testing.T)
		checkTransitions(probe, entries)
		if !probe.Failed() {
			t.Errorf("%s is not seen", name)
		}
	}
}
