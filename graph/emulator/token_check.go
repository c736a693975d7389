package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator/internal/tokens"
)

// checkToken refuses a request to Graph whose bearer token the emulator's own token authority did not hand out for it:
// [Options.RequireToken].
func (c *call) checkToken() *graphError {
	bad := func(message string) *graphError { return refuse(c.r.Method, codeInvalidToken, "%s", message) }
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if token == "" || !strings.EqualFold(scheme, "Bearer") {
		return bad("Access token is empty.")
	}
	switch err := c.e.authority.key().Verify(token); {
	case errors.Is(err, tokens.ErrForm):
		return bad("JWT is not well formed, there are no dots (.) or a part of it is not base64url.")
	case err != nil:
		return bad("Signature validation of the access token failed: " + err.Error() + ".")
	}
	read, err := tokens.Read(token)
	var claims tokenRead
	if err != nil || json.Unmarshal(read.Payload, &claims) != nil {
		return bad("JWT is not well formed.")
	}
	if !claims.inTime(c.realNow()) {
		return bad("Lifetime validation failed, the token is expired.")
	}
	if !claims.isFor(graphAudience, graphApp) {
		return bad("Access token validation failure. Invalid audience.")
	}
	return nil
}

// challenge is the WWW-Authenticate header of a 401.
func (c *call) challenge() string {
	return fmt.Sprintf(`Bearer realm="", authorization_uri="%s/common/oauth2/authorize", client_id="%s"`, c.origin(), graphApp)
}

// TokenRequest asks for a token of a signed-in user, as a program has it after a sign-in, or of an application.
type TokenRequest struct {
	// Tenant is the tenant's GUID; empty is [Options.DefaultTenant].
	Tenant string `json:"tenant,omitempty"`
	// User is the object id or the address of the user; empty for an application's token.
	User string `json:"user,omitempty"`
	// App is the client id of the application; empty is [DefaultApp].
	App string `json:"app,omitempty"`
	// Audience is whom the token is for: empty is Microsoft Graph, an application's client id makes an assertion that
	// this application can exchange on the user's behalf.
	Audience string `json:"audience,omitempty"`
	// Permissions in the token; nil is what the app was granted.
	Permissions []string `json:"permissions,omitempty"`
	// Lifetime is how long the token is good, in real time; 0 is [Options.TokenLifetime]. A negative one has expired.
	Lifetime Duration `json:"lifetime,omitempty"`
}

// Token makes a signed token without a credential, for tests that are not about credentials. It refuses a tenant that
// is no GUID, and a user or an application that the tenant does not have.
func (e *Emulator) Token(r TokenRequest) (string, error) {
	return e.token(r, "https://sts.windows.example")
}

func (e *Emulator) token(r TokenRequest, origin string) (string, error) {
	if r.Tenant == "" {
		r.Tenant = e.opts.DefaultTenant
	}
	if r.App == "" {
		r.App = DefaultApp
	}
	if r.Audience == "" {
		r.Audience = graphAudience
	}
	if r.Lifetime == 0 {
		r.Lifetime = Duration(e.opts.TokenLifetime)
	}
	var claims tokenClaims
	err := e.inTenant(r.Tenant, func(t *tenant, _ time.Time) error {
		app, found := t.app(r.App)
		if !found {
			return fmt.Errorf("tenant %s has no application %q", t.id, r.App)
		}
		permissions := r.Permissions
		if permissions == nil {
			permissions = app.granted()
		}
		issuer := origin + "/" + t.id + "/v2.0"
		if r.User == "" {
			app.Permissions = permissions
			claims = applicationClaims(t, app, r.Audience, issuer)
			return nil
		}
		u, found := t.dir.userByID(r.User)
		if !found {
			u, found = t.dir.userByName(r.User)
		}
		if !found {
			return fmt.Errorf("tenant %s has no user %q", t.id, r.User)
		}
		claims = userClaims(t, app, u.id, r.Audience, issuer, permissions)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return e.sign(claims, time.Duration(r.Lifetime)), nil
}
