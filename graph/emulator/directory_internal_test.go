package emulator

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAMailboxAtAMoment(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	m := message{received: at, deleted: at.Add(time.Hour)}
	for after, want := range map[time.Duration]bool{-1: false, 0: true, time.Hour - 1: true, time.Hour: false} {
		if got := m.in(at.Add(after)); got != want {
			t.Errorf("%v after it came: %v", after, got)
		}
	}
	if !m.deletedBy(at).IsZero() || m.deletedBy(at.Add(time.Hour)).IsZero() {
		t.Error("a deletion is known at its moment, not before")
	}
	if !(message{received: at}).in(at.Add(1e9 * time.Second)) {
		t.Error("what was never deleted is gone")
	}
}

func TestItemKeyShapes(t *testing.T) {
	g := TenantA
	for key, want := range map[string]bool{
		g: false, g + "," + g: true, g + "," + g + "," + g: true, g + "," + g + "," + g + "," + strings.ToUpper(g): true,
		g + "," + g + "," + g + "," + g + "," + g: false, "": false, ",": false, g + ",": false, g + ",x": false,
	} {
		if got := isItemKey(key); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}

func TestTreesAreTheSameEachTimeAndTheirKeysUnique(t *testing.T) {
	tn, at := lab(t, SharePoint, 3, day)
	seen := map[string]string{}
	for _, w := range []Workload{OneDrive, SharePoint} {
		for n := 1; n <= 3; n++ {
			one, two := tn.tree(tn.placeOf(w, n), at), tn.tree(tn.placeOf(w, n), at.Add(time.Hour))
			if len(one) != len(two) || len(one) < 30 {
				t.Errorf("%v %d: %d and %d items", w, n, len(one), len(two))
			}
			for i := range one {
				if one[i] != two[i] {
					t.Errorf("item %v became %v", one[i], two[i])
				}
				if other := seen[one[i].key]; other != "" || !isItemKey(one[i].key) {
					t.Errorf("%s has the key of %s", one[i].url, other)
				}
				seen[one[i].key] = one[i].url
			}
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
