package emulator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheRouteTableIsTheDocumentedOne(t *testing.T) {
	r := newRouter(apiRoutes())
	if n := len(r.routes); n != 99 { // the 98 documented ones and GET /protectionUnits
		t.Errorf("%d routes, want 99", n)
	}
	seen := map[string]bool{}
	for _, rt := range r.routes {
		key := rt.method + " /" + strings.Join(rt.segments, "/")
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if !strings.HasPrefix(rt.permission, "BackupRestore-") || !strings.HasSuffix(rt.permission, ".All") {
			t.Errorf("%s: permission %q", key, rt.permission)
		}
		if rt.method != "GET" && strings.HasSuffix(rt.permission, ".Read.All") && !strings.HasSuffix(rt.template, "/search") {
			t.Errorf("%s writes with a read permission", key)
		}
		if !r.knows(rt.method, splitTemplate(rt.template)) {
			t.Errorf("a fault rule cannot name %s", key)
		}
	}
}

func TestALiteralSegmentWinsOverAPlaceholder(t *testing.T) {
	r := newRouter([]*route{
		{method: "GET", template: "/a/{id}", handle: getRoot}, {method: "GET", template: "/a/b", handle: getRoot},
		{method: "POST", template: "/a/{id}", handle: getRoot},
	})
	for path, want := range map[string]string{"a/b": "/a/b", "A/B": "/a/b", "a/c": "/a/{id}"} {
		rt, _, _ := r.find("GET", strings.Split(path, "/"))
		if rt == nil || rt.template != want {
			t.Errorf("%s leads to %v, want %s", path, rt, want)
		}
	}
	// What the literal does not allow, the placeholder does not take over.
	if rt, _, allowed := r.find("POST", []string{"a", "b"}); rt != nil || !slices.Equal(allowed, []string{"GET"}) {
		t.Errorf("route %v, allowed %v", rt, allowed)
	}
}

func TestARouteWithoutAHandlerIsAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was accepted")
		}
	}()
	newRouter([]*route{{method: "GET", template: "/a"}})
}

func TestSplitPath(t *testing.T) {
	const root = "/v1.0/solutions/backupRestore"
	for path, want := range map[string]string{
		root:                        "[]",
		root + "/":                  "[]",
		root + "/a/b":               "[a b]",
		root + "/a('b')":            "[a b]",
		root + "/a('b')/c":          "[a b c]",
		root + "/a('it''s')":        "[a it's]",
		root + "/a(%27b%2Fc%27)":    "[a b/c]",
		root + "/a/b%2Fc":           "[a b/c]",
		root + "/a/..":              "[a ..]",
		root + "/a('')":             "[a ]",
		root + "/('b')":             "[('b')]",
		root + "//a":                "none",
		root + "/%":                 "none",
		"/v1.0/solutions":           "none",
		"/v2.0/solutions/" + "back": "none",
		"":                          "none",
	} {
		got := "none"
		if segments, ok := splitPath(path); ok {
			got = fmt.Sprint(segments)
			if segments == nil {
				got = "[]"
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestNumberedIdsLeadBackToTheirNumber(t *testing.T) {
	salt := tenantSalt(TenantA)
	for _, n := range []int{1, 9, 10, 255, 1_000_000, 10_000_000} {
		id := numberedID(kindUser, salt, n)
		if !isGUID(id) {
			t.Errorf("%s is no GUID", id)
		}
		if got, ok := numberOf(kindUser, salt, strings.ToUpper(id)); !ok || got != n {
			t.Errorf("%s: %d %v, want %d", id, got, ok, n)
		}
		if _, ok := numberOf(kindGroup, salt, id); ok {
			t.Errorf("%s is taken for a group", id)
		}
		if _, ok := numberOf(kindUser, tenantSalt(TenantB), id); ok {
			t.Errorf("%s is taken for a user of another tenant", id)
		}
	}
	for _, bad := range []string{"", numberedID(kindUser, salt, 0), "e0000001-" + salt + "-00000000000g", "e0000001-" + salt + "--00000000001"} {
		if n, ok := numberOf(kindUser, salt, bad); ok {
			t.Errorf("%q has number %d", bad, n)
		}
	}
}

func TestHashedIdsAreGuidsThatDependOnEveryWord(t *testing.T) {
	seen := map[string]bool{}
	for _, words := range [][]any{{"a"}, {"b"}, {"a", 1}, {"a", 2}, {"a1"}, {}} {
		id := hashedID(words...)
		if !isGUID(id) || seen[id] || id != hashedID(words...) {
			t.Errorf("%v: %s", words, id)
		}
		seen[id] = true
	}
}

func TestIdShapes(t *testing.T) {
	const guid = "ABCDEF00-1111-4222-8333-444444444444"
	for s, want := range map[string]bool{
		guid: true, strings.ToLower(guid): true, guid[1:]: false, guid + "0": false, "": false,
		strings.ReplaceAll(guid, "-", "_"): false, strings.Replace(guid, "A", "G", 1): false,
	} {
		if isGUID(s) != want {
			t.Errorf("isGUID(%q) = %v", s, !want)
		}
	}
	for s, want := range map[string]bool{
		guid: true, "h," + guid + "," + guid: true, "h/sites/x," + guid + "," + guid: true,
		"," + guid + "," + guid: false, "h," + guid: false, "h,x," + guid: false, "h h," + guid + "," + guid: false,
		"h," + guid + "," + guid + "," + guid: false, "": false,
	} {
		if isSiteID(s) != want {
			t.Errorf("isSiteID(%q) = %v", s, !want)
		}
	}
}

func TestTheDirectoryIsComputed(t *testing.T) {
	d := newDirectory(TenantA, 1_000_000, 50, 10)
	mails := map[string]bool{}
	for n := 1; n <= 500; n++ {
		u := d.user(n)
		if mails[u.mail] || !strings.HasSuffix(u.mail, "@a.example") {
			t.Errorf("user %d: mail %s", n, u.mail)
		}
		mails[u.mail] = true
		if found, ok := d.userByID(strings.ToUpper(u.id)); !ok || found != u {
			t.Errorf("user %d is not found by id", n)
		}
		if u.licensed == (n == UserNoLicense) || u.restoreFails != (n == UserRestoreFails) || u.preservationLock != (n == UserPreservationLock) {
			t.Errorf("user %d: %+v", n, u)
		}
	}
	if _, ok := d.userByID(d.user(1_000_000).id); !ok {
		t.Error("the last user is not found")
	}
	if _, ok := d.userByID(d.user(1_000_001).id); ok {
		t.Error("a user too many is found")
	}
}

func TestSitesAreFoundByFullIdAndByGuid(t *testing.T) {
	d := newDirectory(TenantA, 10, 50, 10)
	full := d.siteID(7)
	guid := strings.Split(full, ",")[1]
	for id, want := range map[string]bool{
		full: true, strings.ToUpper(full): true, guid: true,
		strings.Replace(full, "a.share", "b.share", 1): false, d.siteID(51): false, "x": false, "": false,
	} {
		if s, ok := d.siteByID(id); ok != want || ok && s.number != 7 {
			t.Errorf("%s: %+v %v", id, s, ok)
		}
	}
}

func TestGroupsAreFlatAndNested(t *testing.T) {
	d := newDirectory(TenantA, 200, 50, 10)
	flat, ok := d.groupByID(GroupA2)
	if !ok || len(flat.members) != 10 || flat.members[0] != UserID(TenantA, 11) {
		t.Errorf("flat: %+v", flat)
	}
	nested, ok := d.groupByID(GroupANested)
	if !ok || !slices.Equal(nested.members, []string{GroupA1, GroupA2}) {
		t.Errorf("nested: %+v", nested)
	}
	if deeper, _ := d.groupByID(GroupID(TenantA, 6)); !slices.Equal(deeper.members, []string{GroupANested, UserID(TenantA, 41)}) {
		t.Errorf("deeper: %+v", deeper)
	}
	if _, ok := d.groupByID(GroupID(TenantA, 11)); ok {
		t.Error("a group too many")
	}
}

func TestStepsHappenInOrderAndScheduleOthers(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var s steps
	var got []string
	say := func(word string) func(time.Time) { return func(time.Time) { got = append(got, word) } }
	s.schedule(at.Add(2), say("c"))
	s.schedule(at.Add(1), say("a"))
	s.schedule(at.Add(1), func(due time.Time) {
		got = append(got, "b")
		s.schedule(due.Add(1), say("d"))
		s.schedule(due.Add(9), say("late"))
	})
	s.settle(at, func() {})
	if len(got) != 0 {
		t.Fatalf("too early: %v", got)
	}
	s.settle(at.Add(5), func() {})
	if fmt.Sprint(got) != "[a b c d]" {
		t.Errorf("steps %v", got)
	}
}

func TestEveryDocumentedStatusIsAnErrorStatus(t *testing.T) {
	for _, rt := range apiRoutes() {
		for _, code := range []string{"InvalidCreateRequest", "RestoreArtifactsLimitBreached", "PolicySaveFailed"} {
			if status, ok := documentedStatus(rt.method, code); !ok || status < 400 {
				t.Errorf("%s: %d %v", code, status, ok)
			}
		}
	}
	if s, _ := documentedStatus("PATCH", "RestoreArtifactsLimitBreached"); s != 400 {
		t.Errorf("on PATCH: %d", s)
	}
	for _, code := range []string{"UnknownError", "QuotaExceeded", "ProtectionUnitNotFound", "Invalid", ""} {
		if _, ok := documentedStatus("GET", code); ok {
			t.Errorf("%q has a status for a whole call", code)
		}
	}
}

func TestTheWorkloadsNamesAreReadBack(t *testing.T) {
	for w := Exchange; w <= SharePoint; w++ {
		text, err := w.MarshalText()
		var back Workload
		if err != nil || back.UnmarshalText(text) != nil || back != w || w.String() != string(text) {
			t.Errorf("%v: %s %v", w, text, err)
		}
	}
	if _, err := Workload(9).MarshalText(); err == nil || Workload(-1).String() != "workload(-1)" {
		t.Error("a workload that is none has a name")
	}
	var w Workload
	if w.UnmarshalText([]byte("teams")) == nil {
		t.Error("teams is a workload")
	}
}

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
