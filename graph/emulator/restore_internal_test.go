package emulator

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
)

// lab is a tenant of its own whose policy of a workload has been protecting n
// units since from, and whose time is moved by settle alone.
func lab(t *testing.T, w Workload, n int, from time.Duration) (*tenant, time.Time) {
	t.Helper()
	at := time.Date(2030, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	e := New(Options{Start: at, Stopped: true})
	err := e.Seed(Seed{Tenant: TenantA, Users: n + 10, Sites: n + 10, ServiceStatus: serviceEnabled, Policies: []PolicySeed{
		{Workload: w, Units: n, ProtectedFor: Duration(from)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return e.tenant(TenantA), at
}

func TestPointsAreWhatCountingThemAllGives(t *testing.T) {
	tn, at := lab(t, SharePoint, 1, 0)
	u := tn.units[SharePoint].take(tn, tn.units[SharePoint].at(tn, 1).id)
	u.protectedSince = at.Add(-2 * time.Hour)
	u.past = []span{
		{at.Add(-500 * day), at.Add(-300 * day)}, {at.Add(-20 * day), at.Add(-13 * day)}, {at.Add(-10 * day), at.Add(-10*day + 10*time.Minute)},
	}
	every := func(now, from, to time.Time) (ids []string) {
		for _, s := range u.spans() {
			for n := 0; n <= s.last(now); n++ {
				p := s.point(u, n)
				if p.kept(now) && !p.at.Before(from) && (to.IsZero() || !p.at.After(to)) {
					ids = append(ids, p.id())
				}
			}
		}
		return ids
	}
	for _, now := range []time.Duration{0, time.Minute, time.Hour, 5 * day, 14 * day, 66 * day, 400 * day, 1000 * day} {
		for _, bounds := range [][2]time.Duration{{}, {-400 * day, -100 * day}, {-15 * day, -time.Hour}, {-time.Hour, day}, {-300 * day, -301 * day}} {
			now := at.Add(now)
			var from, to time.Time
			if bounds != [2]time.Duration{} {
				from, to = at.Add(bounds[0]), at.Add(bounds[1])
			}
			want := every(now, from, to)
			for _, newestFirst := range []bool{false, true} {
				var got []string
				for p := range u.points(now, from, to, newestFirst) {
					got = append(got, p.id())
				}
				if newestFirst {
					slices.Reverse(got)
				}
				if !slices.Equal(got, want) {
					t.Errorf("at %v between %v and %v: %d points, want %d", now, from, to, len(got), len(want))
				}
			}
		}
	}
}

func TestOffboardingEndsAllRestorePoints(t *testing.T) {
	tn, at := lab(t, OneDrive, 2, 30*day)
	u := tn.units[OneDrive].take(tn, tn.units[OneDrive].at(tn, 1).id)
	other := tn.units[OneDrive].at(tn, 2)
	count := func(u *unit, now time.Time) int {
		n := 0
		for range u.points(now, time.Time{}, time.Time{}, true) {
			n++
		}
		return n
	}
	var id string
	for p := range u.points(at, time.Time{}, time.Time{}, true) {
		id = p.id()
		break
	}
	a := &restoreArtifact{unit: u.id, number: u.number, point: *tn.findPoint(id, at), destination: destinationNew, session: &restoreSession{workload: OneDrive}}
	before := count(u, at)
	tn.setStatus(u, unitUnprotected, cause{at: at})
	tn.setStatus(u, unitOffboardRequested, cause{at: at})
	if n := count(u, at); n != before || before == 0 {
		t.Errorf("%d points while offboarding is asked for, want %d", n, before)
	}
	if err := tn.restoreObstacle(a, at); err != nil {
		t.Errorf("not restorable: %v", err)
	}
	tn.setStatus(u, unitOffboarded, cause{at: at})
	if n := count(u, at); n != 0 || tn.findPoint(id, at) != nil {
		t.Errorf("%d points after offboarding", n)
	}
	if err := tn.restoreObstacle(a, at); err == nil || err.Code != "ArtifactNotFound" {
		t.Errorf("restored from nothing: %v", err)
	}
	if n := count(other, at); n != before {
		t.Errorf("another unit has %d points, want %d", n, before)
	}
	// Protected again, it begins anew.
	tn.setStatus(u, unitProtected, cause{at: at})
	if n := count(u, at.Add(26*time.Minute)); n != 2 {
		t.Errorf("%d points after it was protected again, want 2", n)
	}
}

func TestAThousandRestoresOfAWorkloadRunAtOnce(t *testing.T) {
	const n = 2300
	tn, at := lab(t, SharePoint, n, day)
	s := tn.newSession(SharePoint, cause{at: at})
	want := wish{}
	for i := 1; i <= n; i++ {
		u := tn.units[SharePoint].at(tn, i)
		p := want.choose(u, at, func(restorePoint) bool { return true })
		tn.put(s, &restoreArtifact{unit: u.id, object: u.object, number: u.number, point: *p, destination: destinationInPlace}, cause{at: at})
	}
	tn.activate(s, cause{at: at})
	for _, step := range []struct {
		after                        time.Duration
		scheduled, running, finished int
	}{
		{time.Minute, n, 0, 0}, {2 * time.Minute, n - 1000, 1000, 0}, {11 * time.Minute, n - 1000, 1000, 0},
		{12 * time.Minute, n - 2000, 1000, 1000}, {22 * time.Minute, 0, n - 2000, 2000}, {32 * time.Minute, 0, 0, n},
	} {
		tn.settle(at.Add(step.after))
		if s.tally[artifactScheduled] != step.scheduled || s.tally[artifactInProgress] != step.running || s.tally[artifactSucceeded] != step.finished {
			t.Errorf("after %v: %v", step.after, s.tally)
		}
		if tn.vault.running[SharePoint] != step.running {
			t.Errorf("after %v: %d places taken", step.after, tn.vault.running[SharePoint])
		}
	}
	if s.status != sessionCompleted || len(tn.vault.busy) != 0 {
		t.Errorf("%s, %d units busy", s.status, len(tn.vault.busy))
	}
	tn.settle(at.Add(32*time.Minute + artifactKept))
	if len(s.artifacts) != 0 {
		t.Errorf("%d artifacts a year later", len(s.artifacts))
	}
}

func TestATenantRemembersTheLastSearchesOnly(t *testing.T) {
	v := newVault(time.Time{})
	for i := range maxSearches + 1 {
		v.remember(fmt.Sprint(i), mailSearch{})
	}
	_, first := v.searches["0"]
	_, last := v.searches[fmt.Sprint(maxSearches)]
	if len(v.searches) != maxSearches || first || !last {
		t.Errorf("%d searches", len(v.searches))
	}
}

func TestNamesLeadBackToNumbers(t *testing.T) {
	d := newDirectory(TenantA, 200, 50, 10)
	for _, n := range []int{1, 49, 50, 51, 200, 201} {
		wantUser, wantSite := n, n
		if n > d.users {
			wantUser = 0
		}
		if n > d.sites {
			wantSite = 0
		}
		for _, w := range []Workload{Exchange, OneDrive} {
			if got := d.numberOfName(w, strings.ToUpper(d.user(n).mail)); got != wantUser {
				t.Errorf("user %d: %d", n, got)
			}
		}
		if got := d.numberOfName(SharePoint, d.site(n).webURL+"/"); got != wantSite {
			t.Errorf("site %d: %d", n, got)
		}
	}
	for _, s := range []string{"", "1", "@", "x.1@a.example", "https://a.sharepoint.example/sites/other-1"} {
		if d.numberOfName(Exchange, s) != 0 || d.numberOfName(SharePoint, s) != 0 {
			t.Errorf("%q has a number", s)
		}
	}
}

func TestLengthsOfRestoresMustNotBeNegative(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was accepted")
		}
	}()
	New(Options{Lengths: Lengths{Restore: RestoreLengths{Browse: -1}}})
}

func fuzzExpression(f *testing.F, known expression.Vocabulary, try func(*expression.Query)) {
	for _, text := range []string{
		"", "()", "'", "(Sender -eq 'abc@contoso.com') -and (Subject -like '*Check email*' -or Subject -like ' Important') -and (HasAttachment -eq 'true') -and (PitrDumpsterActionTriggeredTime -gt '{2024-09-21T08:20:00.0000000Z}')",
		"(name -contains 'x')", "name -like '*' -or name -eq 'a''b'", "((((", "-and -or", "name -like '**a*'", "Sender -eq '\xff'", "HasAttachment -eq 'TRUE'",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := expression.ParseQuery(text, known)
		if (x == nil) == (err == nil) {
			t.Fatalf("%q: %v, %v", text, x, err)
		}
		if err != nil {
			if err.Message == "" {
				t.Errorf("%q was refused without a word", text)
			}
			return
		}
		try(x)
	})
}

func FuzzMailQuery(f *testing.F) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	m := message{sender: "abc@contoso.com", subject: "a*b", deleted: now}
	fuzzExpression(f, expression.MailVocabulary(), func(x *expression.Query) {
		x.Matches(func(x *expression.Comparison) bool { return m.holds(x, now) })
	})
}

func FuzzBrowseFilter(f *testing.F) {
	fuzzExpression(f, expression.BrowseVocabulary(), func(x *expression.Query) {
		x.Matches(func(x *expression.Comparison) bool { return x.HoldsText("report 01.docx") })
	})
}

// FuzzRestoreBodies asks every operation that reads a body about restores.
func FuzzRestoreBodies(f *testing.F) {
	for _, body := range []string{
		"", "null", "{}", "[]", `{"mailboxRestoreArtifacts":[{}]}`, `{"mailboxRestoreArtifacts@delta":[{"@removed":{},"id":"x"}]}`,
		`{"granularDriveRestoreArtifacts":[{"browseSessionId":"x","id":"a,b"}]}`, `{"restorePointId":"x_1_2_3"}`,
		`{"protectionUnitIds":["` + UnitCManual + `"],"artifactQuery":{"queryExpression":"Sender -like '*'"}}`,
		`{"mailboxes":["a@b"],"destinationType":"new","protectionTimePeriod":{"startDateTime":"2030-01-01T00:00:00Z"}}`,
		`{"browseLocationItemKey":"x","filter":"(name -contains 'x')"}`, `{"restorePointId":null}`, "\xff",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		const root = "/v1.0/solutions/backupRestore"
		e := New(Options{DefaultTenant: TenantC, Stopped: true, LedgerSize: 100})
		e.clock.Advance(day)
		fuzzed(t, e, http.MethodPost, root+"/restorePoints/search", body)
		for w := Exchange; w <= SharePoint; w++ {
			sessions := root + "/" + w.info().name + "RestoreSessions"
			fuzzed(t, e, http.MethodPost, sessions, body)
			w1 := httptest.NewRecorder()
			e.ServeHTTP(w1, httptest.NewRequest(http.MethodPost, sessions, nil))
			id := strings.Split(w1.Header().Get("Content-Location"), "restoreSessions/")[1]
			fuzzed(t, e, http.MethodPatch, sessions+"/"+id, body)
			fuzzed(t, e, http.MethodPost, sessions+"/"+id+"/"+w.bulkType()+"s", body)
			fuzzed(t, e, http.MethodPost, root+"/restoreSessions/"+id+"/activate", "")
			if w != Exchange {
				fuzzed(t, e, http.MethodPost, root+"/"+w.info().name+"BrowseSessions", body)
			}
		}
		e.clock.Advance(day)
		fuzzed(t, e, http.MethodGet, root+"/restoreSessions", "")
	})
}
