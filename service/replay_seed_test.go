//go:build reference

package service_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// Numbers of users and sites in a replay. The first ones are protected and stand for what an example names. The second
// ones are protected and stand for what its session or policy has already. The last ones are not protected and stand
// for what it adds to a policy. Users 4 to 6 are special in the emulator.
const (
	firstProtected = 7
	firstMember    = 13
	firstNew       = 31
)

// seed gives the tenant three policies with restore points of a month, unless the example needs another state.
func (r *replay) seed() {
	r.TB.Helper()
	seed := emulator.Seed{Tenant: r.Tenant, ServiceStatus: "enabled"}
	if r.rpc == "EnableBackupRestore" {
		seed.ServiceStatus, seed.DataStoreReady = "disabled", true
	} else {
		for _, l := range workloads {
			policy := emulator.PolicySeed{Workload: emulated[l.name], Units: 20, DynamicRuleUnits: 2, ProtectedFor: emulator.Duration(30 * 24 * time.Hour)}
			if r.startsInactive() {
				policy.Inactive, policy.ProtectedFor, policy.DynamicRuleUnits = true, 0, 0
			}
			seed.Policies = append(seed.Policies, policy)
		}
	}
	if err := r.Emulator.Seed(seed); err != nil {
		r.TB.Fatal(err)
	}
	// This is the message of the published search. It was deleted after most restore points were made.
	now := r.Emulator.Clock().Now()
	err := r.Emulator.AddMessage(emulator.Message{
		Tenant: r.Tenant, User: emulator.UserID(r.Tenant, firstProtected), Sender: "abc@contoso.com", Subject: "Please Check email today",
		HasAttachment: true, Received: now.Add(-20 * 24 * time.Hour), Deleted: now.Add(-24 * time.Hour),
	})
	if err != nil {
		r.TB.Fatal(err)
	}
}

// startsInactive reports whether an active policy would be in the way. The other example of an activation shows that it
// is.
func (r *replay) startsInactive() bool {
	switch r.rpc {
	case "CreateExchangeProtectionPolicy", "CreateOneDriveForBusinessProtectionPolicy", "CreateSharePointProtectionPolicy":
		return true
	}
	return r.name == "protectionpolicybase-activate__01"
}

// emulated are the emulator's names of the workloads.
var emulated = map[string]emulator.Workload{"Exchange": emulator.Exchange, "OneDrive": emulator.OneDrive, "SharePoint": emulator.SharePoint}

func (r *replay) unitID(n int) string { return r.l.unitID(r.Tenant, n) }

// numbered returns how many ids of a kind were used before, so that each gets another number.
func (r *replay) numbered(kind string) int {
	r.counts[kind]++
	return r.counts[kind] - 1
}

// take returns one of the ids that were created in advance.
func (r *replay) take(kind string) string {
	r.TB.Helper()
	if len(r.spare[kind]) == 0 {
		r.TB.Fatalf("nothing is left for a %s", kind)
	}
	id := r.spare[kind][0]
	r.spare[kind] = r.spare[kind][1:]
	return id
}

// make creates a resource of a kind, in the state that the example needs, and returns its id.
func (r *replay) make(kind string) string {
	r.TB.Helper()
	switch kind {
	case "tenant":
		return emulator.TenantC
	case "policy":
		return emulator.SeededPolicyID(r.Tenant, emulated[r.l.name])
	case "user", "site":
		return r.l.object(r.Tenant, firstNew+r.numbered(kind))
	case "group":
		return emulator.GroupID(r.Tenant, 2+r.numbered(kind))
	case "unit":
		return r.makeUnit()
	case "address":
		return r.address(firstProtected + r.numbered(kind))
	case "rule":
		return r.makeRule()
	case "job":
		return r.makeJob()
	case "app":
		return r.makeApp()
	case "point":
		return r.point(r.unitID(firstProtected + r.numbered(kind)))
	case "search":
		return r.search(r.unitID(firstProtected), map[string]any{"artifactQuery": map[string]any{
			"queryExpression": "Subject -like '*'", "artifactType": "message"}}).ResponseID
	case "session":
		return r.makeSession()
	case "request":
		return r.makeRequest()
	case "browse":
		return r.makeBrowse()
	case "token":
		return r.makeToken()
	case "member":
		if r.rpc == "UpdateExchangeProtectionPolicy" || r.rpc == "UpdateSharePointProtectionPolicy" {
			return r.unitID(firstMember + r.numbered(kind))
		}
		if r.spare[kind] == nil { // the example's session has a malformed id, so nothing was made for it
			r.makeSession()
		}
		return r.take(kind)
	case "location", "item":
		if r.spare["browse"] == nil {
			r.makeBrowse()
		}
		return r.take(kind)
	}
	r.TB.Fatalf("nothing makes a %s", kind)
	return ""
}

// created has what the responses to requests of a replay can have.
type created struct {
	ID            string
	Email         string
	SiteWebURL    string `json:"siteWebUrl"`
	ItemKey       string
	NextLink      string `json:"@odata.nextLink"`
	Value         []created
	ResponseID    string `json:"searchResponseId"`
	SearchResults []struct{ RestorePoint created }
}

// ask sends a request that has to succeed.
func (r *replay) ask(method, path string, body any) (response created) {
	r.TB.Helper()
	return r.askAs("", method, path, body)
}

func (r *replay) askAs(token, method, path string, body any) (response created) {
	r.TB.Helper()
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body)
	}
	status, got := r.http(method, "/v1.0"+graph.Root+path, text, token)
	if status >= 300 {
		r.TB.Fatalf("%s %s %s: %d %s", method, path, text, status, got)
	}
	if got != "" {
		if err := json.Unmarshal([]byte(got), &response); err != nil {
			r.TB.Fatal(err)
		}
	}
	return response
}

func (r *replay) advance(d time.Duration) { r.Emulator.Clock().Advance(d) }

// makeUnit is a protected unit, or one that is being offboarded.
func (r *replay) makeUnit() string {
	r.TB.Helper()
	id := r.unitID(firstProtected + r.numbered("unit"))
	if r.name != "protectionunitbase-offboard__01" && r.name != "protectionunitbase-canceloffboard__01" {
		return id
	}
	r.ask(http.MethodPatch, "/"+r.l.collection+"/"+r.make("policy"), map[string]any{
		r.l.units + "@delta": []any{map[string]any{"@removed": map[string]any{"reason": "changed"}, "id": id}}})
	r.advance(5 * time.Minute)
	if r.rpc == "CancelOffboardProtectionUnit" {
		r.ask(http.MethodPost, "/protectionUnits/"+id+"/offboard", nil)
	}
	return id
}

// address is the mail address or URL of a protected user or site.
func (r *replay) address(n int) string {
	r.TB.Helper()
	unit := r.ask(http.MethodGet, "/protectionUnits/"+r.unitID(n), nil)
	if unit.Email+unit.SiteWebURL == "" {
		r.TB.Fatalf("unit %d has no address", n)
	}
	return unit.Email + unit.SiteWebURL
}

// thing is the prefix of the workload's properties: `mailbox`.
func (r *replay) thing() string {
	return strings.TrimSuffix(r.l.units, "ProtectionUnits")
}

// makeRule is the dynamic rule where a static one would be refused, else a static rule that has been applied.
func (r *replay) makeRule() string {
	r.TB.Helper()
	if r.method == http.MethodPatch || strings.HasSuffix(r.path, "/deleteAndUnprotect") {
		return emulator.SeededRuleID(r.Tenant, emulated[r.l.name])
	}
	expression := "(memberOf -any (group.id -in ['" + emulator.GroupID(r.Tenant, 1) + "']))"
	if r.thing() == "site" {
		expression = "(displayName -contains 'Site')"
	}
	rule := r.ask(http.MethodPost, "/"+r.l.collection+"/"+r.make("policy")+"/"+r.thing()+"InclusionRules", map[string]any{r.thing() + "Expression": expression})
	r.advance(10 * time.Minute)
	return rule.ID
}

func (r *replay) makeJob() string {
	r.TB.Helper()
	list := map[string]string{"mailbox": "mailboxes", "drive": "drives", "site": "siteWebUrls"}[r.thing()]
	job := r.ask(http.MethodPost, "/"+r.l.collection+"/"+r.make("policy")+"/"+r.l.units+"BulkAdditionJobs", map[string]any{
		"displayName": "Ours", list: []string{r.address(firstMember)}})
	r.advance(10 * time.Minute)
	return job.ID
}

// makeApp registers a second app, because the first one is active. It is about to take over when the example
// deactivates it.
func (r *replay) makeApp() string {
	r.TB.Helper()
	claims, _ := json.Marshal(map[string]string{"tid": r.Tenant, "appid": "12345678-0000-4000-8000-000000000012"})
	encoded := base64.RawURLEncoding.EncodeToString
	app := r.askAs(encoded([]byte(`{"alg":"none"}`))+"."+encoded(claims)+".", http.MethodPost, "/serviceApps", map[string]any{}).ID
	if r.rpc == "DeactivateServiceApp" {
		r.ask(http.MethodPost, "/serviceApps/"+app+"/activate", map[string]any{"effectiveDateTime": r.ago(-10 * 24 * time.Hour)})
	}
	return app
}
