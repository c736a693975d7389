package emulator

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator/internal/tokens"
)

// DefaultTokenLifetime is how long a token of the token authority is good.
const DefaultTokenLifetime = time.Hour

// Grants that the token endpoint knows.
const (
	grantApplication = "client_credentials"
	grantOnBehalfOf  = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// graphApp is the application id of Microsoft Graph, graphAudience the usual audience of its tokens.
const (
	graphApp      = "00000003-0000-0000-c000-000000000000"
	graphAudience = "https://graph.microsoft.com"
)

// tokenAuthority hands out tokens. Its key is made when the first token is: that takes as long as the rest of a start
// many times over.
type tokenAuthority struct {
	once sync.Once
	made *tokens.Key
}

func (a *tokenAuthority) key() *tokens.Key {
	a.once.Do(func() {
		key, err := tokens.NewKey()
		if err != nil {
			panic("emulator: " + err.Error()) // the machine has no random numbers
		}
		a.made = key
	})
	return a.made
}

// tokenClaims are the claims of a token that the authority signs.
type tokenClaims struct {
	Audience  string   `json:"aud"`
	Issuer    string   `json:"iss"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	App       string   `json:"appid"`
	AppName   string   `json:"app_displayname,omitempty"`
	Kind      string   `json:"idtyp"`
	Object    string   `json:"oid"`
	Subject   string   `json:"sub"`
	Tenant    string   `json:"tid"`
	Roles     []string `json:"roles,omitempty"`
	Scopes    *string  `json:"scp,omitempty"`
	Name      string   `json:"name,omitempty"`
	UserName  string   `json:"upn,omitempty"`
	Version   string   `json:"ver"`
	ID        string   `json:"uti"`
}

// postToken answers a request for a token.
func postToken(c *call) (*answer, *graphError) {
	form, err := url.ParseQuery(string(c.body))
	if err != nil || c.sent.tooLarge {
		return nil, refuseToken(aadFieldMissing, "The request body must contain the following parameter: 'grant_type'.")
	}
	if id, secret, basic := c.r.BasicAuth(); basic && form.Get("client_id") == "" {
		// RFC 6749 has both encoded like a form.
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	}
	for _, field := range []string{"grant_type", "client_id"} {
		if form.Get(field) == "" {
			return nil, refuseToken(aadFieldMissing, "The request body must contain the following parameter: '%s'.", field)
		}
	}
	app, refusal := c.authenticate(form)
	if refusal != nil {
		return nil, refusal
	}
	var claims tokenClaims
	switch grant := form.Get("grant_type"); grant {
	case grantApplication:
		claims, refusal = c.forApplication(app, form)
	case grantOnBehalfOf:
		claims, refusal = c.onBehalfOf(app, form)
	default:
		refusal = refuseToken(aadGrantUnknown, "The app requested an unsupported grant type '%s'.", grant)
	}
	if refusal != nil {
		return nil, refusal
	}
	lifetime := c.e.opts.TokenLifetime
	token := c.e.sign(claims, lifetime)
	body := map[string]any{
		"token_type": "Bearer", "access_token": token,
		"expires_in": int(lifetime.Seconds()), "ext_expires_in": int(lifetime.Seconds()),
	}
	if claims.Scopes != nil {
		body["scope"] = grantedScopes(form.Get("scope"), claims)
	}
	return ok(body), nil
}

// forApplication is the grant of an application for itself.
func (c *call) forApplication(app App, form url.Values) (tokenClaims, *graphError) {
	// MSAL adds those of OpenID Connect to every request.
	scopes := slices.DeleteFunc(strings.Fields(form.Get("scope")), isOpenID)
	if len(scopes) == 0 {
		return tokenClaims{}, refuseToken(aadScopeMissing, "The required field 'scope' is missing from the credential.")
	}
	resource, isDefault := strings.CutSuffix(scopes[0], "/.default")
	if len(scopes) != 1 || !isDefault {
		return tokenClaims{}, refuseToken(aadScopeForm, "The provided value for scope %s is not valid. "+
			"Client credential flows must have a scope value with /.default suffixed to the resource identifier.", form.Get("scope"))
	}
	audience, refusal := c.audience(resource, app)
	if refusal != nil {
		return tokenClaims{}, refusal
	}
	return applicationClaims(c.tenant, app, audience, c.issuer(c.tenant.id)), nil
}

func applicationClaims(t *tenant, app App, audience, issuer string) tokenClaims {
	claims := tokenClaims{
		Audience: audience, Issuer: issuer, App: app.ID, AppName: app.DisplayName, Kind: "app",
		Object: hashedID(t.id, "service principal", app.ID), Tenant: t.id,
		// A token without roles would be one that may do everything: see readCaller.
		Roles: slices.Clone(app.granted()),
	}
	claims.Subject = claims.Object
	if len(claims.Roles) == 0 {
		claims.Roles = []string{"None"}
	}
	return claims
}

// onBehalfOf is the grant of an application that shows a user's token.
func (c *call) onBehalfOf(app App, form url.Values) (tokenClaims, *graphError) {
	for field, want := range map[string]string{"requested_token_use": "on_behalf_of", "assertion": ""} {
		if got := form.Get(field); got == "" || want != "" && got != want {
			return tokenClaims{}, refuseToken(aadFieldMissing, "The request body must contain the following parameter: '%s'.", field)
		}
	}
	user, refusal := c.userOf(form.Get("assertion"), app)
	if refusal != nil {
		return tokenClaims{}, refusal
	}
	var asked []string
	audience := ""
	for _, scope := range strings.Fields(form.Get("scope")) {
		if isOpenID(scope) {
			continue
		}
		resource, name := graphAudience, scope
		if i := strings.LastIndexByte(scope, '/'); i >= 0 {
			resource, name = scope[:i], scope[i+1:]
		}
		var refusal *graphError
		if audience, refusal = c.audience(resource, app); refusal != nil {
			return tokenClaims{}, refusal
		}
		switch {
		case name == ".default":
			asked = append(asked, app.granted()...)
		case slices.Contains(app.granted(), name):
			asked = append(asked, name)
		default:
			return tokenClaims{}, refuseToken(aadConsent,
				"The user or administrator has not consented to use the application with ID '%s' for '%s'.", app.ID, name)
		}
	}
	if audience == "" {
		return tokenClaims{}, refuseToken(aadScopeMissing, "The required field 'scope' is missing from the credential.")
	}
	return userClaims(c.tenant, app, user, audience, c.issuer(c.tenant.id), asked), nil
}

// isOpenID tells whether a scope is one of OpenID Connect, which no resource has.
func isOpenID(scope string) bool {
	return slices.Contains([]string{"openid", "profile", "email", "offline_access"}, scope)
}

// grantedScopes are the scopes of an answer: those that were asked for, as they were written, since clients look for
// them, and what they stand for.
func grantedScopes(asked string, claims tokenClaims) string {
	scopes := slices.DeleteFunc(strings.Fields(asked), isOpenID)
	for scope := range strings.FieldsSeq(*claims.Scopes) {
		if full := claims.Audience + "/" + scope; !slices.Contains(scopes, full) {
			scopes = append(scopes, full)
		}
	}
	return strings.Join(scopes, " ")
}

// userClaims are the claims of a token that an application has on behalf of a user.
func userClaims(t *tenant, app App, userID, audience, issuer string, scopes []string) tokenClaims {
	scp := strings.Join(slices.Compact(slices.Sorted(slices.Values(scopes))), " ")
	claims := tokenClaims{
		Audience: audience, Issuer: issuer, App: app.ID, AppName: app.DisplayName, Kind: "user",
		Object: userID, Subject: hashedID(app.ID, "subject", userID), Tenant: t.id, Scopes: &scp,
	}
	if u, ok := t.dir.userByID(userID); ok {
		claims.Name, claims.UserName = u.displayName, u.mail
	}
	return claims
}

// audience is the aud claim of tokens for a resource: Graph under any of its names, this emulator, or the app itself.
func (c *call) audience(resource string, app App) (string, *graphError) {
	resource = strings.TrimSuffix(resource, "/")
	switch {
	case strings.EqualFold(resource, graphAudience), strings.EqualFold(resource, graphApp), strings.EqualFold(resource, c.origin()):
		return graphAudience, nil
	case strings.EqualFold(resource, app.ID), strings.EqualFold(resource, "api://"+app.ID):
		return app.ID, nil
	}
	return "", refuseToken(aadResourceUnknown,
		"The resource principal named %s was not found in the tenant named %s.", resource, c.tenant.id)
}

// sign completes claims and makes a token of them. Tokens live in real time, since programs wait in it.
func (e *Emulator) sign(claims tokenClaims, lifetime time.Duration) string {
	now := e.opts.Base()
	claims.Version = "1.0"
	claims.IssuedAt, claims.NotBefore, claims.Expires = now.Unix(), now.Unix()-300, now.Add(lifetime).Unix()
	claims.ID = hashedID("token", e.issued.Add(1))
	token, err := e.authority.key().Sign(claims)
	if err != nil {
		panic("emulator: own token cannot be made: " + err.Error())
	}
	return token
}

// tokenRead is what is read of a token that somebody shows: an assertion of a user or of a client.
type tokenRead struct {
	Audience  json.RawMessage `json:"aud"`
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Tenant    string          `json:"tid"`
	Object    string          `json:"oid"`
	Expires   *float64        `json:"exp"`
	NotBefore *float64        `json:"nbf"`
	Scopes    *string         `json:"scp"`
	Roles     json.RawMessage `json:"roles"`
}

// isFor tells whether a token names one of the audiences, alone or in a list.
func (t *tokenRead) isFor(audiences ...string) bool {
	var one string
	var many []string
	if json.Unmarshal(t.Audience, &one) == nil {
		many = []string{one}
	} else if json.Unmarshal(t.Audience, &many) != nil {
		return false
	}
	return slices.ContainsFunc(many, func(aud string) bool {
		return slices.ContainsFunc(audiences, func(want string) bool {
			return strings.EqualFold(strings.TrimSuffix(aud, "/"), want)
		})
	})
}

// leeway is how far clocks of programs may be apart.
const leeway = 5 * time.Minute

// inTime tells whether a token is good at a moment.
func (t *tokenRead) inTime(now time.Time) bool {
	at := float64(now.Unix())
	return (t.Expires == nil || at < *t.Expires) && (t.NotBefore == nil || at+leeway.Seconds() >= *t.NotBefore)
}

func (c *call) realNow() time.Time { return c.e.opts.Base() }
