package emulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// caller is who asks, as the bearer token's claims say. No signature is checked.
type caller struct {
	tenant      string
	app         string
	user        string // object id of the signed-in user, if any
	delegated   bool   // scp claim: acts for a user
	appOnly     bool   // roles claim without scp
	permissions []string
}

// unrestricted callers sent no scp and no roles: everything is allowed.
func (c *caller) unrestricted() bool { return !c.delegated && !c.appOnly }

// seesNames tells whether names, addresses and URLs of units are shown: Graph
// leaves them out for app-only callers.
func (c *caller) seesNames() bool { return !c.appOnly }

type claims struct {
	Tenant string          `json:"tid"`
	App    string          `json:"appid"`
	AZP    string          `json:"azp"` // the v2 token's name for appid
	Object string          `json:"oid"`
	Scopes *string         `json:"scp"`
	Roles  json.RawMessage `json:"roles"`
}

// readCaller never fails on a token that it cannot read: without claims the
// caller is the default one. It fails only when a readable token names a tenant
// that cannot exist.
func readCaller(r *http.Request, defaultTenant string) (caller, *graphError) {
	who := caller{tenant: defaultTenant, app: DefaultApp}
	cl, ok := readClaims(r.Header.Get("Authorization"))
	if !ok {
		who.user = UserID(who.tenant, 1)
		return who, nil
	}
	if cl.Tenant != "" {
		if !isGUID(cl.Tenant) {
			return who, refuse(r.Method, codeInvalidToken, "The tid claim of the access token is not a tenant GUID.")
		}
		who.tenant = strings.ToLower(cl.Tenant)
	}
	for _, app := range []string{cl.AZP, cl.App} {
		if app != "" {
			who.app = app
		}
	}
	var roles []string
	// A roles claim that is no list of strings grants nothing, but still makes
	// the token a restricted one.
	_ = json.Unmarshal(cl.Roles, &roles)
	switch {
	case cl.Scopes != nil:
		who.delegated = true
		who.permissions = strings.Fields(*cl.Scopes)
	case len(cl.Roles) > 0 && string(cl.Roles) != "null":
		who.appOnly = true
		who.permissions = roles
	}
	if !who.appOnly {
		who.user = cl.Object
		if who.user == "" {
			who.user = UserID(who.tenant, 1)
		}
	}
	return who, nil
}

func readClaims(header string) (claims, bool) {
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return claims{}, false
	}
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return claims{}, false
	}
	var cl claims
	if json.Unmarshal(raw, &cl) != nil {
		return claims{}, false
	}
	return cl, true
}

// UserAssertion returns a token of user number n (from 1) of a tenant, as a
// signed-in user's program would send it to a server that acts on the user's
// behalf. It has no signature and does not expire.
func UserAssertion(tenant string, n int) string {
	tenant = strings.ToLower(tenant)
	payload := fmt.Sprintf(`{"tid":%q,"oid":%q}`, tenant, UserID(tenant, n))
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "."
}

// check refuses a caller that lacks the route's least permission. A ReadWrite
// permission includes the Read one of the same family.
func (c *caller) check(rt *route) *graphError {
	if c.unrestricted() || rt.permission == "" {
		return nil
	}
	if c.appOnly && rt.delegatedOnly {
		return refuse(rt.method, codeAccessDenied, "This operation is not open to application permissions.")
	}
	if slices.Contains(c.permissions, rt.permission) {
		return nil
	}
	for _, other := range rt.others {
		if slices.Contains(c.permissions, other) {
			return nil
		}
	}
	if family, ok := strings.CutSuffix(rt.permission, ".Read.All"); ok &&
		slices.Contains(c.permissions, family+".ReadWrite.All") {
		return nil
	}
	if rt.area == areaDirectory && rt.permission != permSitesRead {
		return &graphError{status: http.StatusForbidden, code: codeNoPrivilege, message: "Insufficient privileges to complete the operation."}
	}
	return refuse(rt.method, codeAccessDenied, "The token lacks the permission %s.", rt.permission)
}

// identity is one party of an identitySet.
type identity struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName,omitempty"`
	Email       string `json:"email,omitempty"`
	Identity    string `json:"identity,omitempty"` // see twice
}

// twice has the user's id once more under the name that some of Microsoft's
// examples give it, so that programs find it that were written after these.
func (s identitySet) twice() identitySet {
	if s.User != nil {
		user := *s.User
		user.Identity = user.ID
		s.User = &user
	}
	return s
}

type identitySet struct {
	Application *identity `json:"application,omitempty"`
	User        *identity `json:"user,omitempty"`
}

// identitySet is the caller as createdBy and lastModifiedBy show it.
func (c *caller) identitySet(d directory) identitySet {
	set := identitySet{Application: &identity{ID: c.app}}
	if c.app == DefaultApp {
		set.Application.DisplayName = defaultAppName
	}
	if c.user != "" {
		set.User = &identity{ID: c.user}
		if u, ok := d.userByID(c.user); ok {
			set.User.DisplayName, set.User.Email = u.displayName, u.mail
		}
	}
	return set
}
