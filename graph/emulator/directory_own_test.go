package emulator_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

const (
	aliceID = "10000000-aaaa-4000-8000-000000000001"
	siteGid = "20000000-aaaa-4000-8000-000000000001"
)

// ownSeed is a tenant whose people, sites and groups have names of their own.
const ownSeed = `{"tenant":"` + stranger + `","serviceStatus":"enabled",
	"people":[{"id":"` + aliceID + `","mail":"Alice@corp.example","displayName":"Alice Adams","jobTitle":"CEO"},
		{"mail":"bob@corp.example","licensed":false}, {"mail":"carol@corp.example","overQuota":true},
		{"mail":"dan@corp.example","restoreFails":true,"preservationLock":true,"restoreTakes":"2h"},
		{"mail":"eve@corp.example","deleted":true}],
	"sites":[{"id":"` + siteGid + `","name":"Sales","url":"https://corp.sharepoint.example/sites/sales"},{"name":"Legal and Tax"}],
	"groups":[{"displayName":"Board","members":["alice@corp.example","Everyone"]},{"displayName":"Everyone","members":["bob@corp.example","carol@corp.example","eve@corp.example"]}],
	"policies":[{"workload":"exchange","members":["carol@corp.example","` + aliceID + `"],"protectedFor":"48h"},{"workload":"oneDriveForBusiness","units":3,"protectedFor":"48h"},
		{"workload":"sharePoint","members":["https://corp.sharepoint.example/sites/sales/"]}],
	"messages":[{"user":"alice@corp.example","sender":"x@y.example","subject":"Only one"}],
	"files":[{"object":"alice@corp.example","path":"Documents/Deals/Merger.docx","size":9,"created":"2030-01-01T00:00:00Z"}]}`

func TestATenantHasPeopleOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodPost, "seed", ownSeed).want(200)
	own := w.in(stranger)

	list := own.send(http.MethodGet, "/v1.0/users", nil).want(200)
	if n := len(list.list("value")); n != 4 {
		t.Fatalf("%d users, want the 4 that are not deleted: %s", n, list.raw)
	}
	list.eq("value.0.id", aliceID).eq("value.0.mail", "Alice@corp.example").eq("value.0.displayName", "Alice Adams").
		eq("value.0.jobTitle", "CEO").eq("value.1.displayName", "bob")
	own.send(http.MethodGet, "/v1.0/users/ALICE@corp.example", nil).want(200).eq("id", aliceID)
	own.send(http.MethodGet, "/v1.0/users/eve@corp.example", nil).wantError(404, "Request_ResourceNotFound")
	own.send(http.MethodGet, "/v1.0/sites", nil).want(200).eq("value.0.webUrl", "https://corp.sharepoint.example/sites/sales").
		eq("value.1.displayName", "Legal and Tax")
	board := own.send(http.MethodGet, "/v1.0/groups?$filter="+"displayName%20eq%20'Board'", nil).want(200).str("value.0.id")
	own.send(http.MethodGet, "/v1.0/groups/"+board+"/members", nil).want(200).eq("value.0.id", aliceID).eq("value.1.displayName", "Everyone")

	// Units are those of the people that were named, in that order.
	units := own.get("/protectionUnits/microsoft.graph.mailboxProtectionUnit").want(200).eq("value.0.email", "carol@corp.example").
		eq("value.1.email", "Alice@corp.example").eq("value.0.error.code", "QuotaExceeded").eq("value.1.error", nil).
		eq("value.0.status", "protected").eq("value.2", nil)
	own.unit(units.str("value.1.id")).eq("directoryObjectId", aliceID)
	drives := own.get("/protectionUnits/microsoft.graph.driveProtectionUnit").want(200)
	for i, mail := range []string{"Alice@corp.example", "carol@corp.example", "dan@corp.example"} {
		drives.eq("value."+string(rune('0'+i))+".email", mail)
	}
	own.get("/protectionUnits/microsoft.graph.siteProtectionUnit").want(200).eq("value.0.siteName", "Sales")

	// What is added is found by any of its names.
	policy := own.get("/protectionPolicies").str("value.0.id")
	body := map[string]any{"mailboxProtectionUnits@delta": []any{
		add(emulator.UserID(stranger, 2)), add(emulator.UserID(stranger, 4)), add(emulator.UserID(stranger, 5)),
	}}
	own.do(http.MethodPatch, "/exchangeProtectionPolicies/"+policy, body).want(200)
	own.pass(5 * time.Minute)
	own.get("/protectionUnits/microsoft.graph.mailboxProtectionUnit").want(200).eq("value.2.error.code", "ProtectionUnitNotFound").
		eq("value.3.status", "protected").eq("value.4.error.code", "ProtectionUnitNotFound").eq("value.4.status", "unprotected")
}

func TestOwnMailAndFilesStandInPlaceOfComputedOnes(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodPost, "seed", ownSeed).want(200)
	own := w.in(stranger)
	drive := emulator.UnitID(stranger, emulator.OneDrive, 1)
	session := own.do(http.MethodPost, "/oneDriveForBusinessBrowseSessions", map[string]any{"restorePointId": own.fastPoint(drive)}).want(201).str("id")
	found := own.do(http.MethodPost, "/oneDriveForBusinessBrowseSessions/"+session+"/browse", map[string]any{"filter": "(name -contains 'e')"}).want(200)
	if text := string(found.raw); !strings.Contains(text, "Merger.docx") || strings.Contains(text, "report 01") {
		t.Errorf("the drive holds %s", text)
	}
}

func TestRestoresTakeAsLongAsAPersonSays(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodPost, "seed", ownSeed).want(200)
	own := w.in(stranger)
	k := driveKind()
	session := own.draft(k, "new", emulator.UnitID(stranger, emulator.OneDrive, 1), emulator.UnitID(stranger, emulator.OneDrive, 4))
	own.run(session).want(200)
	own.pass(13 * time.Minute)
	own.session(session).eq("status", "active").eq("restoreSessionArtifactCount.completed", 1).eq("restoreSessionArtifactCount.inProgress", 1)
	own.pass(2 * time.Hour)
	own.session(session).eq("status", "completedWithError")
}

func TestADeletedUserLeavesBackupsBehind(t *testing.T) {
	w := newWorld(t)
	w.control(http.MethodPost, "seed", ownSeed).want(200)
	own := w.in(stranger)
	unit := emulator.UnitID(stranger, emulator.Exchange, 1)
	point := own.newest(unit)
	w.control(http.MethodDelete, "users?tenant="+stranger+"&user=alice@corp.example", nil).want(200)
	own.send(http.MethodGet, "/v1.0/users/"+aliceID, nil).wantError(404, "Request_ResourceNotFound")
	own.unit(unit).eq("status", "unprotected").eq("error.code", "ProtectionUnitNotFound")
	if own.newest(unit) != point {
		t.Error("the points are gone")
	}
	board := own.send(http.MethodGet, "/v1.0/groups", nil).want(200).str("value.0.id")
	own.send(http.MethodGet, "/v1.0/groups/"+board+"/members", nil).want(200).eq("value.0.displayName", "Everyone").eq("value.1", nil)
	w.control(http.MethodGet, "users?tenant="+stranger, nil).want(200).eq("total", 5).eq("users.0.deleted", true).eq("users.0.id", aliceID)
	w.control(http.MethodDelete, "users?tenant="+stranger+"&user=alice@corp.example", nil).want(400)
	w.control(http.MethodDelete, "users?tenant="+stranger, nil).want(400)
}

func TestPeopleThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t)
	for body, says := range map[string]string{
		`"people":[{"mail":"x"}]`:                                                                `people, entry 1: mail "x"`,
		`"people":[{"mail":"a@b.example"},{"mail":"A@b.example"}]`:                               `people, entry 2: entry 1 has "a@b.example" too`,
		`"people":[{"mail":"a@b.example","id":"7"}]`:                                             `id "7" is not a GUID`,
		`"people":[{"mail":"a@b.example","nick":"a"}]`:                                           `"nick"`,
		`"people":[{"mail":"a@b.example"}],"policies":[{"workload":"exchange","units":2}]`:       "units 2 is not between 0 and 1",
		`"people":[{"mail":"a@b.example"}],"policies":[{"workload":"exchange","members":["x"]}]`: `member "x"`,
		`"policies":[{"workload":"exchange","members":["x"],"units":1}]`:                         "exclude each other",
		`"sites":[{"name":""}]`:                                                                  "no name",
		`"sites":[{"name":"x","url":"http://x"}]`:                                                "https",
		`"sites":[{"name":"x","id":"7"}]`:                                                        `id "7"`,
		`"sites":"many"`:                                                                         "sites",
		`"groups":[{"displayName":"g","members":["nobody@x.example"]}]`:                          `member "nobody@x.example"`,
		`"messages":[{"user":"nobody@x.example"}]`:                                               "messages, entry 1",
		`"files":[{"object":"nobody@x.example","path":"Documents/x"}]`:                           "files, entry 1",
		`"apps":[{"id":"x"}]`:                                                                    "app 1",
		`"apps":[{"id":"` + stranger + `","certificates":["x"]}]`:                                "certificate 1",
		`"apps":[{"id":"` + stranger + `","permissions":["x"]}]`:                                 `permission "x"`,
		`"scenario":"story"`:                                                                     `scenario "story" is unknown`,
		`"scenario":"demo","users":20`:                                                           "stands alone",
		`"policies":[{"workload":"exchange","units":"many"}]`:                                    `"units" must be a whole number, not a string`,
		`"policies":[{"workload":"exchange","units":1,"protectedFor":"a month"}]`:                `"a month" is no length of time`,
		`"messages":[{"user":"a@b.example","received":"yesterday"}]`:                             "is no time such as",
	} {
		text := `{"tenant":"` + stranger + `",` + body + `}`
		if got := w.control(http.MethodPost, "seed", text).want(400).str("error.message"); !strings.Contains(got, says) {
			t.Errorf("%s:\n%s", body, got)
		}
	}
	// None of a list is taken when one is refused.
	list := `[{"tenant":"` + emulator.TenantB + `","serviceStatus":"enabled"},{"tenant":"x"}]`
	if got := w.control(http.MethodPost, "seed", list).want(400).str("error.message"); !strings.Contains(got, "seed, entry 2") {
		t.Error(got)
	}
	w.in(emulator.TenantB).get("/").want(200).eq("serviceStatus.status", "disabled")
	w.control(http.MethodPost, "seed", strings.Replace(list, `{"tenant":"x"}`, ownSeed, 1)).want(200)
	w.in(emulator.TenantB).get("/").want(200).eq("serviceStatus.status", "enabled")
}

// What Go writes of a seed, JSON reads.
func TestASeedSurvivesJSON(t *testing.T) {
	seed := emulator.Seed{Tenant: stranger, OwnSites: []emulator.Site{{Name: "One"}}, Groups: 3}
	text, err := json.Marshal(seed)
	var back emulator.Seed
	if err != nil || json.Unmarshal(text, &back) != nil || len(back.OwnSites) != 1 || back.Groups != 3 {
		t.Errorf("%s (%v) becomes %+v", text, err, back)
	}
}
