package emulator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestTheFirstRestorePointComesAQuarterOfAnHourAfterProtection(t *testing.T) {
	w := newWorld(t)
	w.activePolicyWith(user(1))
	list := func() *reply { return w.get(pointQuery(mailboxUnit(1), soon, "protectionDateTime asc")).want(200) }
	w.pass(15*time.Minute - time.Second)
	list().eq("value", "[]")
	w.pass(2 * time.Second)
	// Protected at 03:09:05.6; ids carry whole seconds.
	at := start().Add(20 * time.Minute).Truncate(time.Second).Add(time.Second)
	list().eq("value.0.protectionDateTime", at.Format("2006-01-02T15:04:05.0000000Z")).
		eq("value.0.expirationDateTime", at.AddDate(0, 0, 365).Format("2006-01-02T15:04:05.0000000Z")).
		eq("value.0.id", fmt.Sprintf("%s_%d_365_1", mailboxUnit(1), at.Unix())).
		eq("value.0.tags", "fastRestore").
		eq("value.0.protectionUnit.id", mailboxUnit(1)).
		eq("value.0.protectionUnit.directoryObjectId", user(1)).
		eq("value.1", nil)
	w.pass(10 * time.Minute)
	list().eq("value.1.id", fmt.Sprintf("%s_%d_14_2", mailboxUnit(1), at.Add(10*time.Minute).Unix())).
		eq("value.1.tags", "none").eq("value.2", nil)
}

func TestRestorePointsAreListedByTime(t *testing.T) {
	w := restorable(t)
	stamp := func(d time.Duration) string { return start().Add(d).Format(time.RFC3339Nano) }
	times := func(filter, order string) []string {
		t.Helper()
		var got []string
		for _, v := range w.get(pointQuery(mailboxUnit(2), filter, order)).want(200).list("value") {
			at, err := time.Parse(time.RFC3339, v.(map[string]any)["protectionDateTime"].(string))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(start().Sub(at).Round(time.Second)))
		}
		return got
	}
	// Protected for 30 days, so points are at 15 minutes, and each 10 after it.
	oldest := 30*24*time.Hour - 15*time.Minute - time.Second
	for _, tc := range []struct {
		name, filter, order string
		want                []string
	}{
		{"the five newest by default", soon, "", []string{"5m0s", "15m0s", "25m0s", "35m0s", "45m0s"}},
		{"the five newest when descending", soon, "protectionDateTime desc", []string{"5m0s", "15m0s", "25m0s", "35m0s", "45m0s"}},
		{"the oldest when ascending: first the weekly ones", soon, "protectionDateTime",
			[]string{"719h45m0s", "551h45m0s", "383h45m0s", "335h55m0s", "335h45m0s"}},
		{"before a moment", "protectionDateTime lt " + stamp(-30*time.Minute), "", []string{"35m0s", "45m0s", "55m0s", "1h5m0s", "1h15m0s"}},
		{"between two moments", "protectionDateTime ge " + stamp(-30*time.Minute) + " and protectionDateTime le " + stamp(-10*time.Minute),
			"", []string{"15m0s", "25m0s"}},
		{"after the newest", "protectionDateTime gt " + stamp(0), "", nil},
		{"before the oldest", "protectionDateTime lt " + stamp(-oldest-time.Hour), "", nil},
		{"between two weekly ones", "protectionDateTime gt " + stamp(-500*time.Hour) + " and protectionDateTime lt " + stamp(-400*time.Hour), "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := times(tc.filter, tc.order); fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
	at := strings.Split(w.newest(mailboxUnit(2)), "_")
	var seconds int64
	fmt.Sscan(at[1], &seconds)
	exact := time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	for operator, want := range map[string]int{"lt": 0, "le": 1, "eq": 1, "ge": 1, "gt": 0} {
		filter := "protectionDateTime " + operator + " " + exact + " and protectionDateTime ge " + exact
		if got := times(filter, ""); len(got) != want {
			t.Errorf("%s at the very moment: %d points, want %d", operator, len(got), want)
		}
	}
}

func TestRestorePointsEndWithTheirRetention(t *testing.T) {
	w := restorable(t)
	policy := emulator.SeededPolicyID(emulator.TenantA, emulator.Exchange)
	w.do(http.MethodPost, "/protectionPolicies/"+policy+"/deactivate", nil).want(202)
	w.pass(time.Hour)
	last := w.newest(mailboxUnit(1)) // kept, but no new ones
	w.pass(10 * 24 * time.Hour)
	if got := w.newest(mailboxUnit(1)); got != last {
		t.Errorf("newest point %s, want %s", got, last)
	}
	w.pass(4 * 24 * time.Hour) // the last short one is gone, weekly ones are not
	if got := w.newest(mailboxUnit(1)); !strings.HasSuffix(got, "_365_1") {
		t.Errorf("newest point %s is not a weekly one", got)
	}
	w.pass(365 * 24 * time.Hour)
	w.get(pointQuery(mailboxUnit(1), soon, "")).want(200).eq("value", "[]")
	// Protected once more, points come again.
	w.do(http.MethodPost, "/protectionPolicies/"+policy+"/activate", nil).want(202)
	w.pass(5*time.Minute + 26*time.Minute)
	if n := len(w.get(pointQuery(mailboxUnit(1), soon, "")).list("value")); n != 2 {
		t.Errorf("%d points after protection began again, want 2", n)
	}
}

// pointsOfPolicy is a listing in the form that has the unit and its policy in
// $filter.
func pointsOfPolicy(unit, policy, filter string) string {
	filter = strings.TrimPrefix(filter+" and protectionUnit/id eq '"+unit+"' and protectionUnit/policyId eq '"+policy+"'", " and ")
	return "/restorePoints?" + url.Values{"$expand": {"protectionUnit"}, "$filter": {filter}}.Encode()
}

func TestPointsOfAPolicyAreThoseOfItsUnits(t *testing.T) {
	w := restorable(t)
	exchange := emulator.SeededPolicyID(emulator.TenantA, emulator.Exchange)
	drives := emulator.SeededPolicyID(emulator.TenantA, emulator.OneDrive)
	all := string(w.get(pointQuery(mailboxUnit(1), soon, "")).want(200).raw)
	for path, want := range map[string]bool{
		pointsOfPolicy(mailboxUnit(1), strings.ToUpper(exchange), soon):                                                                                  true,
		pointsOfPolicy(mailboxUnit(1), drives, soon):                                                                                                     false,
		pointsOfPolicy(mailboxUnit(1), stranger, soon):                                                                                                   false,
		pointQuery(mailboxUnit(1), soon+" and protectionUnit/policyId eq '"+exchange+"'", ""):                                                            true,
		pointQuery(mailboxUnit(1), "protectionUnit/policyId eq '"+drives+"' and "+soon, ""):                                                              false,
		"/restorePoints?" + url.Values{"$expand": {"protectionUnit"}, "$filter": {soon + " and protectionUnit/id eq '" + mailboxUnit(1) + "'"}}.Encode(): true,
	} {
		r := w.get(path).want(200)
		if got := string(r.raw); want && got != all || !want && len(r.list("value")) != 0 {
			t.Errorf("%s: %s", path, got)
		}
	}
	units := []string{mailboxUnit(1), stranger}
	w.search(map[string]any{"protectionUnitIds": units, "policyId": exchange}).want(200).
		eq("searchResults.0.restorePoint.protectionUnit.id", mailboxUnit(1)).eq("noResultProtectionUnitIds.0", stranger)
	w.search(map[string]any{"protectionUnitIds": units, "policyId": nil}).want(200)
	w.search(map[string]any{"protectionUnitIds": units, "policyId": drives}).wantError(400, "InvalidSearchRequest").eq("error.target", mailboxUnit(1))
	w.search(map[string]any{"protectionUnitIds": units, "policyId": "x"}).wantError(400, "InvalidSearchRequest").eq("error.target", "policyId")
}

func TestListPointsRefusals(t *testing.T) {
	w := restorable(t)
	policy := emulator.SeededPolicyID(emulator.TenantA, emulator.Exchange)
	expand := "/restorePoints?$expand=protectionUnit(%24filter%3Did%20eq%20'" + mailboxUnit(1) + "')"
	lt := "&$filter=protectionDateTime%20lt%202030-01-01T00:00:00Z"
	repeat := strings.TrimSuffix(strings.Repeat("protectionDateTime lt 2030-01-01T00:00:00Z and ", 21), " and ")
	for _, tc := range []struct{ name, path, code string }{
		{"without any option", "/restorePoints", "InvalidSearchRequest"},
		{"without $expand", "/restorePoints?" + lt[1:], "InvalidSearchRequest"},
		{"without $filter", expand, "InvalidSearchRequest"},
		{"with another $expand", "/restorePoints?$expand=protectionUnits" + lt, "InvalidSearchRequest"},
		{"with $expand and no unit", "/restorePoints?$expand=protectionUnit" + lt, "InvalidSearchRequest"},
		{"with the unit twice", pointQuery(mailboxUnit(1), soon+" and protectionUnit/id eq '"+mailboxUnit(1)+"'", ""), "InvalidSearchRequest"},
		{"with a malformed unit id in $filter", pointsOfPolicy("x", policy, soon), "InvalidProtectionUnitId"},
		{"with an unknown unit in $filter", pointsOfPolicy(stranger, policy, soon), "InvalidSearchRequest"},
		{"with a unit and a policy and no time", pointsOfPolicy(mailboxUnit(1), policy, ""), "InvalidSearchRequest"},
		{"with a malformed policy id", pointsOfPolicy(mailboxUnit(1), "x", soon), "InvalidSearchRequest"},
		{"with another operator for a policy", pointQuery(mailboxUnit(1), soon+" and protectionUnit/policyId ne '"+policy+"'", ""), "InvalidSearchRequest"},
		{"with a policy without quotes", pointQuery(mailboxUnit(1), soon+" and protectionUnit/policyId eq "+policy, ""), "InvalidSearchRequest"},
		{"with a malformed unit id", pointQuery("x", soon, ""), "InvalidProtectionUnitId"},
		{"with an empty unit id", pointQuery("", soon, ""), "InvalidProtectionUnitId"},
		{"with an unknown unit", pointQuery(stranger, soon, ""), "InvalidSearchRequest"},
		{"with another tenant's unit", pointQuery(emulator.UnitCManual, soon, ""), "InvalidSearchRequest"},
		{"with a time that is none", pointQuery(mailboxUnit(1), "protectionDateTime lt yesterday", ""), "InvalidSearchRequest"},
		{"with another property", pointQuery(mailboxUnit(1), "expirationDateTime lt 2030-01-01T00:00:00Z", ""), "InvalidSearchRequest"},
		{"with an unknown operator", pointQuery(mailboxUnit(1), "protectionDateTime ne 2030-01-01T00:00:00Z", ""), "InvalidSearchRequest"},
		{"joined by or", pointQuery(mailboxUnit(1), soon+" or "+soon, ""), "InvalidSearchRequest"},
		{"with an unknown order", pointQuery(mailboxUnit(1), soon, "expirationDateTime"), "InvalidSearchRequest"},
		{"with too many comparisons", pointQuery(mailboxUnit(1), repeat, ""), "FilterLengthExceeded"},
		{"with too long a filter", pointQuery(mailboxUnit(1), strings.Repeat("x", 4097), ""), "FilterLengthExceeded"},
		{"with too long an $expand", pointQuery(strings.Repeat("x", 4097), soon, ""), "FilterLengthExceeded"},
		{"with an option that is not documented", pointQuery(mailboxUnit(1), soon, "") + "&$top=1", "BadRequest"},
		{"with an option twice", expand + lt + lt, "BadRequest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.within(t)
			w.unchanged(func() { w.get(tc.path).wantError(400, tc.code) })
		})
	}
}

func TestSearchFindsOnePointPerUnit(t *testing.T) {
	w := restorable(t)
	w.patch(emulator.SeededPolicyID(emulator.TenantA, emulator.Exchange), add(user(50))).want(200) // no backup yet
	stamp := func(d time.Duration) string { return start().Add(d).Format(time.RFC3339) }
	units := []string{mailboxUnit(1), driveUnit(2), siteUnit(3), mailboxUnit(50), stranger}
	r := w.search(map[string]any{"protectionUnitIds": units, "restorePointPreference": "latest"}).want(200)
	r.eq("noResultProtectionUnitIds", []any{mailboxUnit(50), stranger}).eq("searchResults.3", nil).
		eq("searchResults.0.artifactHitCount", nil).
		eq("searchResults.0.restorePoint.id", w.newest(mailboxUnit(1))).
		eq("searchResults.1.restorePoint.protectionUnit.directoryObjectId", user(2)).
		eq("searchResults.2.restorePoint.protectionUnit.siteId", emulator.SiteA3)
	if r.str("searchResponseId") == "" {
		t.Error("no searchResponseId")
	}
	one := func(more map[string]any) *reply {
		more["protectionUnitIds"] = []string{mailboxUnit(1)}
		return w.search(more).want(200)
	}
	oldest := one(map[string]any{"restorePointPreference": "oldest"}).str("searchResults.0.restorePoint.id")
	if !strings.HasSuffix(oldest, "_365_1") {
		t.Errorf("the oldest point is %s", oldest)
	}
	fast := one(map[string]any{"tags": "fastRestore"})
	fast.eq("searchResults.0.restorePoint.tags", "fastRestore")
	one(map[string]any{"protectionTimePeriod": map[string]any{"startDateTime": stamp(-time.Hour), "endDateTime": stamp(-50 * time.Minute)}}).
		eq("searchResults.0.restorePoint.tags", "none")
	one(map[string]any{"protectionTimePeriod": map[string]any{"startDateTime": stamp(-time.Hour), "endDateTime": stamp(-59 * time.Minute)}}).
		eq("searchResults", "[]").eq("noResultProtectionUnitIds.0", mailboxUnit(1))
	one(map[string]any{"protectionTimePeriod": map[string]any{"startDateTime": stamp(-time.Hour)}}).
		eq("searchResults.0.restorePoint.id", w.newest(mailboxUnit(1)))
}

func TestSearchRefusals(t *testing.T) {
	w := restorable(t)
	ids := func(n int) []string {
		var list []string
		for i := 1; i <= n; i++ {
			list = append(list, mailboxUnit(i))
		}
		return list
	}
	with := func(name string, value any) map[string]any {
		return map[string]any{"protectionUnitIds": ids(1), name: value}
	}
	query := func(text any) map[string]any {
		return with("artifactQuery", map[string]any{"queryExpression": text, "artifactType": "message"})
	}
	period := func(from, to any) map[string]any {
		return with("protectionTimePeriod", map[string]any{"startDateTime": from, "endDateTime": to})
	}
	for _, tc := range []struct {
		name string
		body any
		code string
	}{
		{"nothing", "", "InvalidSearchRequest"},
		{"a list", "[]", "InvalidSearchRequest"},
		{"no units", map[string]any{}, "InvalidSearchRequest"},
		{"an empty list of units", map[string]any{"protectionUnitIds": ids(0)}, "InvalidSearchRequest"},
		{"21 units", map[string]any{"protectionUnitIds": append(ids(20), stranger)}, "InvalidSearchRequest"},
		{"the same unit twice", map[string]any{"protectionUnitIds": append(ids(1), strings.ToUpper(mailboxUnit(1)))}, "InvalidSearchRequest"},
		{"a malformed unit id", map[string]any{"protectionUnitIds": []string{"x"}}, "InvalidProtectionUnitId"},
		{"an empty unit id", map[string]any{"protectionUnitIds": []string{""}}, "InvalidProtectionUnitId"},
		{"a misspelt property", with("Tags", "none"), "InvalidSearchRequest"},
		{"a period that ends before it starts", period("2030-01-02T00:00:00Z", "2030-01-01T00:00:00Z"), "InvalidSearchRequest"},
		{"a period without length", period("2030-01-02T00:00:00Z", "2030-01-02T00:00:00Z"), "InvalidSearchRequest"},
		{"a time that is none", period("yesterday", nil), "InvalidSearchRequest"},
		{"a period that is none", with("protectionTimePeriod", 7), "InvalidSearchRequest"},
		{"an unknown preference", with("restorePointPreference", "newest"), "InvalidSearchRequest"},
		{"an unknown tag", with("tags", "slow"), "InvalidSearchRequest"},
		{"a query of two units", map[string]any{"protectionUnitIds": ids(2), "artifactQuery": map[string]any{"queryExpression": "Subject -eq 'x'"}}, "InvalidSearchRequest"},
		{"a query of a drive", map[string]any{"protectionUnitIds": []string{driveUnit(1)}, "artifactQuery": map[string]any{"queryExpression": "Subject -eq 'x'"}}, "InvalidSearchRequest"},
		{"a query of another type", with("artifactQuery", map[string]any{"queryExpression": "Subject -eq 'x'", "artifactType": "event"}), "InvalidSearchRequest"},
		{"an empty query", query(""), "InvalidSearchRequest"},
		{"a query that is no text", query(7), "InvalidSearchRequest"},
		{"a query with six subjects", query(strings.TrimSuffix(strings.Repeat("Subject -eq 'x' -or ", 6), " -or ")), "InvalidSearchRequest"},
		{"a query above 4096 bytes", query("Subject -eq '" + strings.Repeat("x", 4096) + "'"), "FilterLengthExceeded"},
		{"a query nested too deep", query(strings.Repeat("(", 30) + "Subject -eq 'x'" + strings.Repeat(")", 30)), "FilterLengthExceeded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.within(t)
			w.unchanged(func() { w.search(tc.body).wantError(400, tc.code) })
		})
	}
	w.search(map[string]any{"protectionUnitIds": ids(20)}).want(200)
	w.search(query(strings.TrimSuffix(strings.Repeat("Subject -eq 'x' -or ", 5), " -or "))).want(200)
}
