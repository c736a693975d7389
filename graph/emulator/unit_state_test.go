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

const mailboxCast = "/protectionUnits/microsoft.graph.mailboxProtectionUnit"

// withUnits seeds tenant A with an active Exchange policy of n mailboxes and
// returns the policy's id.
func (w *world) withUnits(n int, change ...func(*emulator.Seed)) string {
	w.t.Helper()
	s := emulator.Seed{
		Tenant: emulator.TenantA, Users: max(n+1, 200), ServiceStatus: "enabled",
		Policies: []emulator.PolicySeed{{Workload: emulator.Exchange, Units: n}},
	}
	for _, c := range change {
		c(&s)
	}
	if err := w.e.Seed(s); err != nil {
		w.t.Fatal(err)
	}
	return w.get("/protectionPolicies").want(200).str("value.0.id")
}

// walk follows the pages from a path and returns the ids in order.
func (w *world) walk(path string) (ids []string, pages int) {
	w.t.Helper()
	r := w.get(path).want(200)
	for {
		pages++
		for _, u := range r.list("value") {
			ids = append(ids, u.(map[string]any)["id"].(string))
		}
		next := nextLink(r)
		if next == "" {
			return ids, pages
		}
		if !strings.HasPrefix(next, w.server.URL+"/") {
			w.t.Fatalf("next link is not absolute on the request's host: %s", next)
		}
		r = w.send(http.MethodGet, next, nil).want(200)
	}
}

func nextLink(r *reply) string {
	body, _ := r.at("").(map[string]any)
	next, _ := body["@odata.nextLink"].(string)
	return next
}

func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "?" + v.Encode()
}

func TestAWalkThroughThePagesSeesEachUnitOnce(t *testing.T) {
	for _, tc := range []struct {
		name  string
		units int
		query string
		pages int
	}{
		{"in pages of the default size", 250, "", 3},
		{"in pages that fit exactly", 200, "", 2},
		{"in one page", 100, "", 1},
		{"in pages of the largest size", 1000, "?$top=999", 2},
		{"in pages of one", 5, "?$top=1", 5},
		{"without any unit", 0, "", 1},
		{"with a filter that everything passes", 250, query("$filter", "status eq 'protected'"), 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			policy := w.withUnits(tc.units)
			for _, path := range []string{mailboxCast, "/protectionUnits", "/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits"} {
				ids, pages := w.walk(path + tc.query)
				seen := map[string]bool{}
				for _, id := range ids {
					seen[id] = true
				}
				if len(ids) != tc.units || len(seen) != tc.units || pages != tc.pages {
					t.Errorf("%s: %d units, %d different, on %d pages; want %d on %d", path, len(ids), len(seen), pages, tc.units, tc.pages)
				}
			}
		})
	}
}

func TestAWalkIsNotDisturbedByChanges(t *testing.T) {
	w := newWorld(t)
	policy := w.withUnits(30)
	path := "/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits?$top=10"
	first := w.get(path).want(200)
	w.patch(policy, remove(mailboxUnit(1)), add(user(100)), remove(mailboxUnit(20))).want(200)
	w.pass(time.Hour)
	rest := 0
	var last *reply
	for next := nextLink(first); next != ""; next = nextLink(last) {
		last = w.send(http.MethodGet, next, nil).want(200)
		rest += len(last.list("value"))
	}
	if rest != 20 { // 20 of the seeded ones less one, and the new one
		t.Errorf("%d units after the first page, want 20", rest)
	}
}

func TestANextLinkKeepsTheRequestsOwnOptionsAndSpelling(t *testing.T) {
	w := newWorld(t)
	policy := w.withUnits(20)
	path := "/EXCHANGEprotectionPolicies('" + policy + "')/mailboxprotectionunits?$top=5&$filter=status%20eq%20'protected'"
	next := nextLink(w.get(path).want(200))
	if !strings.HasPrefix(next, w.server.URL+root+path+"&$skiptoken=") {
		t.Errorf("next link = %s", next)
	}
	again := nextLink(w.send(http.MethodGet, next, nil).want(200))
	if strings.Count(again, "skiptoken") != 1 {
		t.Errorf("next link = %s", again)
	}
}

func TestASkipTokenIsRefusedWhenItWasTamperedWith(t *testing.T) {
	w := newWorld(t)
	policy := w.withUnits(30)
	path := "/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits"
	token := nextLink(w.get(path + "?$top=10").want(200))
	token = token[strings.Index(token, "$skiptoken=")+len("$skiptoken="):]
	w.get(path + "?$top=5&$skiptoken=" + token).want(200) // another page size is fine
	flipped := []byte(token)
	flipped[0] ^= 1
	for name, bad := range map[string]string{
		"a flipped letter":           path + "?$skiptoken=" + string(flipped),
		"a missing letter":           path + "?$skiptoken=" + token[1:],
		"an added letter":            path + "?$skiptoken=" + token + "A",
		"an empty token":             path + "?$skiptoken=",
		"no base64":                  path + "?$skiptoken=!!!!",
		"a token of another listing": mailboxCast + "?$skiptoken=" + token,
		"another filter":             path + query("$filter", "status eq 'protected'") + "&$skiptoken=" + token,
		"the token twice":            path + "?$skiptoken=" + token + "&$skiptoken=" + token,
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.t = t
			w.get(bad).wantError(400, "BadRequest")
		})
	}
	t.Run("another tenant", func(t *testing.T) {
		w.in(emulator.TenantC).get(mailboxCast+"?$skiptoken="+token).wantError(400, "BadRequest")
	})
}

func TestListingsRefuseOptionsThatAreNotDocumented(t *testing.T) {
	w := newWorld(t)
	policy := w.withUnits(3)
	units := "/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits"
	for _, bad := range []string{
		"?$top=0", "?$top=-1", "?$top=1000", "?$top=x", "?$top=", "?$top=1&$top=2", "?$orderby=id", "?$expand=x",
		"?$search=x", "?$Top=1", "?$filter=%zz",
	} {
		w.get(units+bad).wantError(400, "BadRequest")
	}
	w.get("/protectionPolicies?$filter=x").wantError(400, "BadRequest")
	w.get(units + "?traceId=1").want(200)
	w.get(units+"?$filter=").want(200).eq("value.2.id", mailboxUnit(3))
}

func TestFilterChoosesUnits(t *testing.T) {
	w := newWorld(t)
	policy := w.withUnits(20)
	w.patch(policy, remove(mailboxUnit(1)), add(user(100)), add(stranger)).want(200)
	mail := w.unit(mailboxUnit(2)).str("email")
	for _, tc := range []struct {
		filter string
		want   []string
	}{
		{"id eq '" + mailboxUnit(2) + "'", []string{mailboxUnit(2)}},
		{"id eq '" + strings.ToUpper(mailboxUnit(2)) + "'", []string{mailboxUnit(2)}},
		{"id eq '" + stranger + "'", nil},
		{"(id eq '" + mailboxUnit(2) + "' or id eq '" + mailboxUnit(3) + "') and status eq protected", []string{mailboxUnit(2), mailboxUnit(3)}},
		{"id eq '" + mailboxUnit(2) + "' and status eq 'unprotected'", nil},
		{"status eq 'removeRequested'", []string{mailboxUnit(1)}},
		{"status eq 'removeRequested' or directoryObjectId eq '" + user(100) + "'", []string{mailboxUnit(1), mailboxUnit(100)}},
		{"directoryObjectId eq '" + strings.ToUpper(user(100)) + "'", []string{mailboxUnit(100)}},
		{"directoryObjectId eq 'nobody'", nil},
		{"email eq '" + mail + "'", []string{mailboxUnit(2)}},
		{"displayName eq 'O''Hara'", nil},
		{"id eq '" + mailboxUnit(2) + "' and id eq '" + mailboxUnit(3) + "'", nil},
		{"status eq 'removeRequested' or status eq 'protectRequested' and email eq 'x'", []string{mailboxUnit(1)}},
		{"  ( ( status\teq  'removeRequested' ) ) ", []string{mailboxUnit(1)}},
	} {
		t.Run(tc.filter, func(t *testing.T) {
			w := *w
			w.t = t
			got, _ := w.walk(mailboxCast + query("$filter", tc.filter, "$top", "1"))
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("units %v, want %v", got, tc.want)
			}
		})
	}
}

func TestFilterRefusals(t *testing.T) {
	terms := func(n int) string {
		return strings.TrimSuffix(strings.Repeat("status eq 'protected' or ", n), " or ")
	}
	w := newWorld(t)
	policy := w.withUnits(1)
	for _, tc := range []struct {
		name   string
		filter string
		code   string
	}{
		{"too many comparisons", terms(21), "FilterLengthExceeded"},
		{"too many letters", "displayName eq '" + strings.Repeat("x", 4096) + "'", "FilterLengthExceeded"},
		{"nested too deep", strings.Repeat("(", 30) + "status eq protected" + strings.Repeat(")", 30), "FilterLengthExceeded"},
		{"a malformed unit id", "id eq 'nothing'", "InvalidProtectionUnitId"},
		{"an empty unit id", "status eq protected or id eq ''", "InvalidProtectionUnitId"},
		{"an unknown property", "policyId eq 'x'", "BadRequest"},
		{"a property of another type of unit", "siteId eq 'x'", "BadRequest"},
		{"another operator", "status gt 'protected'", "BadRequest"},
		{"an unknown status", "status eq 'safe'", "BadRequest"},
		{"a literal without quotes", "email eq x", "BadRequest"},
		{"a literal without an end", "email eq 'x", "BadRequest"},
		{"nothing after and", "status eq protected and", "BadRequest"},
		{"something after the end", "status eq protected )", "BadRequest"},
		{"a bracket that stays open", "(status eq protected", "BadRequest"},
		{"a word alone", "status", "BadRequest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := *w
			w.t = t
			for _, path := range []string{mailboxCast, "/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits"} {
				w.get(path+query("$filter", tc.filter)).wantError(400, tc.code)
			}
		})
	}
	w.get(mailboxCast + query("$filter", terms(20))).want(200)
}

func TestGetUnit(t *testing.T) {
	w := newWorld(t)
	w.withUnits(3)
	t.Run("an unknown one is an answer with an error inside", func(t *testing.T) {
		for _, id := range []string{stranger, mailboxUnit(4), mailboxUnit(150), emulator.UnitID(emulator.TenantB, emulator.Exchange, 1),
			"OTk5OTk5OTktOTk5OS00OTk5LTg5OTktOTk5OTk5OTk5OTk5XzQ="} {
			w.unit(id).eq("id", id).eq("error.code", "ProtectionUnitNotFound").eq("status", nil)
		}
	})
	t.Run("a malformed id is refused", func(t *testing.T) {
		for _, id := range []string{"x", "%20", stranger + "0", "bm90aGluZw=="} {
			w.get("/protectionUnits/"+id).wantError(400, "InvalidProtectionUnitId")
		}
	})
	t.Run("a known one is found in any case of letters", func(t *testing.T) {
		w.unit(strings.ToUpper(mailboxUnit(2))).eq("id", mailboxUnit(2)).eq("error", nil)
	})
}

func TestUnitsOfAllWorkloadsStandInOneListing(t *testing.T) {
	w := newWorld(t)
	w.withUnits(3, func(s *emulator.Seed) {
		s.Policies = append(s.Policies,
			emulator.PolicySeed{Workload: emulator.OneDrive, Units: 2},
			emulator.PolicySeed{Workload: emulator.SharePoint, Units: 4})
	})
	ids, pages := w.walk("/protectionUnits?$top=2")
	if len(ids) != 9 || pages != 5 {
		t.Errorf("%d units on %d pages, want 9 on 5", len(ids), pages)
	}
	for cast, want := range map[string]int{"mailbox": 3, "drive": 2, "site": 4} {
		r := w.get("/protectionUnits/microsoft.graph." + cast + "ProtectionUnit").want(200)
		if n := len(r.list("value")); n != want {
			t.Errorf("%d units of type %s, want %d", n, cast, want)
		}
		if want := `"@odata.type":"#microsoft.graph.` + cast + `ProtectionUnit"`; !strings.Contains(string(r.raw), want) {
			t.Errorf("%s is missing in %s", want, r.raw)
		}
	}
	w.get("/protectionUnits/microsoft.graph.siteProtectionUnit"+query("$filter", "siteId eq '"+emulator.SiteA2+"'")).
		want(200).eq("value.0.siteId", emulator.SiteA2).eq("value.1", nil)
}

func TestAFilterThatNamesOneObjectIsPagedAcrossWorkloads(t *testing.T) {
	w := newWorld(t)
	w.withUnits(3, func(s *emulator.Seed) {
		s.Policies = append(s.Policies, emulator.PolicySeed{Workload: emulator.OneDrive, Units: 2})
	})
	got, pages := w.walk("/protectionUnits" + query("$filter", "directoryObjectId eq '"+user(2)+"'", "$top", "1"))
	want := []string{mailboxUnit(2), emulator.UnitID(emulator.TenantA, emulator.OneDrive, 2)}
	if fmt.Sprint(got) != fmt.Sprint(want) || pages != 2 {
		t.Errorf("%v on %d pages, want %v on 2", got, pages, want)
	}
}

func TestUnitsThatLeftTheBlockKeepTheirPlace(t *testing.T) {
	w := newWorld(t)
	policy := w.withUnits(8)
	w.patch(policy, remove(mailboxUnit(2)), remove(mailboxUnit(7)), add(user(50))).want(200)
	inOrder := func(filter string, want ...string) {
		t.Helper()
		got, _ := w.walk("/exchangeProtectionPolicies/" + policy + "/mailboxProtectionUnits" + query("$filter", filter, "$top", "2"))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
	inOrder("status eq removeRequested", mailboxUnit(2), mailboxUnit(7))
	inOrder("status eq removeRequested or status eq protectRequested", mailboxUnit(2), mailboxUnit(7), mailboxUnit(50))
	inOrder("status eq protectRequested and directoryObjectId eq '"+user(50)+"'", mailboxUnit(50))
	inOrder("status ne protected", mailboxUnit(2), mailboxUnit(7), mailboxUnit(50))
	inOrder("status ne protected and status ne 'removeRequested'", mailboxUnit(50))
	inOrder("id ne '"+mailboxUnit(2)+"' and status eq removeRequested", mailboxUnit(7))
	inOrder("directoryObjectId eq '"+user(50)+"' or id eq '"+mailboxUnit(3)+"' or id eq '"+mailboxUnit(3)+"' or id eq '"+stranger+"'", mailboxUnit(3), mailboxUnit(50))
	inOrder("(id eq '"+mailboxUnit(7)+"' or id eq '"+mailboxUnit(3)+"' or id eq '"+mailboxUnit(2)+"') and status ne protected", mailboxUnit(2), mailboxUnit(7))
	inOrder("status eq protected", mailboxUnit(1), mailboxUnit(3), mailboxUnit(5), mailboxUnit(6), mailboxUnit(8), mailboxUnit(9))
}

func TestPoliciesArePaged(t *testing.T) {
	w := newWorld(t)
	var want []string
	for range 5 {
		want = append(want, w.policyWith())
	}
	w.do(http.MethodDelete, "/protectionPolicies/"+want[2], nil).want(204)
	got, pages := w.walk("/protectionPolicies?$top=2")
	want = append(want[:2], want[3:]...)
	if fmt.Sprint(got) != fmt.Sprint(want) || pages != 2 {
		t.Errorf("%v on %d pages, want %v on 2", got, pages, want)
	}
}

func TestACastMayShortenItsNamespace(t *testing.T) {
	w := newWorld(t).in(emulator.TenantC)
	for _, cast := range []string{"microsoft.graph.mailboxProtectionUnit", "graph.mailboxProtectionUnit", "Graph.MailboxProtectionUnit"} {
		w.get("/protectionUnits/" + cast + "?$top=1").want(200)
	}
	w.get("/protectionUnits/graph.toaster").wantError(400, "InvalidProtectionUnitId")
}
