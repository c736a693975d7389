package emulator

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/m365backup/backupstorage/graph/emulator/internal/tokens"
)

// assertionType says that client_assertion is a token that the application signed.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authenticate checks who asks for a token: an application, by a secret or by an assertion that it signed.
func (c *call) authenticate(form url.Values) (App, *graphError) {
	id := form.Get("client_id")
	app, found := c.tenant.app(id)
	if !found {
		return App{}, refuseToken(aadAppUnknown, "Application with identifier '%s' was not found in the directory '%s'.", id, c.tenant.id)
	}
	anything := len(app.Secrets) == 0 && len(app.certificates) == 0
	switch secret, assertion := form.Get("client_secret"), form.Get("client_assertion"); {
	case assertion != "":
		if form.Get("client_assertion_type") != assertionType {
			return App{}, refuseToken(aadFieldMissing, "The request body must contain the following parameter: 'client_assertion_type'.")
		}
		return app, c.checkClientAssertion(app, assertion)
	case secret == "":
		return App{}, refuseToken(aadNoSecret,
			"The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	case !anything && !slices.Contains(app.Secrets, secret):
		return App{}, refuseToken(aadWrongSecret, "Invalid client secret provided. Ensure the secret being sent in the "+
			"request is the client secret value, not the client secret ID, for a secret added to app '%s'.", app.ID)
	}
	return app, nil
}

// checkClientAssertion checks an assertion that an application signed with a certificate: one of its own when the
// tenant's seed says which, else that of the assertion's header.
func (c *call) checkClientAssertion(app App, assertion string) *graphError {
	token, err := tokens.Read(assertion)
	var claims tokenRead
	if err != nil || json.Unmarshal(token.Payload, &claims) != nil {
		return refuseToken(aadAssertionForm, "JWT token is invalid or malformed.")
	}
	endpoint := c.origin() + c.r.URL.Path
	if !claims.isFor(endpoint, c.issuer(c.tenant.id), c.issuer(c.param(0))) {
		return refuseToken(aadAssertionFor, "Client assertion audience claim does not match Realm issuer.")
	}
	if claims.Expires == nil || !claims.inTime(c.realNow()) {
		return refuseToken(aadAssertionLate, "Client assertion is not within its valid time range.")
	}
	if !strings.EqualFold(claims.Issuer, app.ID) || !strings.EqualFold(claims.Subject, app.ID) {
		return refuseToken(aadAssertionSigned, "The issuer and the subject of the client assertion must both be the application '%s'.", app.ID)
	}
	if len(app.certificates) == 0 && len(app.Secrets) > 0 {
		return refuseToken(aadAssertionSigned, "The certificate with identifier used to sign the client assertion is not "+
			"registered on application '%s'.", app.ID)
	}
	if err := token.VerifyCertificate(app.certificates); err != nil {
		return refuseToken(aadAssertionSigned, "The certificate with identifier used to sign the client assertion is not "+
			"registered on application '%s', or the signature is not its own: %v.", app.ID, err)
	}
	return nil
}

// userOf reads the token of a user that an application shows. One without a signature, as [UserAssertion] makes it, is
// believed unless the emulator wants real tokens.
func (c *call) userOf(assertion string, app App) (userID string, refusal *graphError) {
	token, err := tokens.Read(assertion)
	var claims tokenRead
	if err != nil || json.Unmarshal(token.Payload, &claims) != nil {
		return "", refuseToken(aadAssertionForm, "JWT token is invalid or malformed.")
	}
	signed := c.e.authority.key().Verify(assertion) == nil
	switch {
	case !signed && (c.e.opts.RequireToken || token.Header.Algorithm == "RS256"):
		return "", refuseToken(aadUserSigned, "Assertion failed signature validation.")
	case signed && !claims.isFor(app.ID, "api://"+app.ID):
		return "", refuseToken(aadUserFor, "Assertion audience does not match the Client app presenting the assertion.")
	case !claims.inTime(c.realNow()):
		return "", refuseToken(aadUserLate, "Assertion is not within its valid time range.")
	case claims.Tenant != "" && !strings.EqualFold(claims.Tenant, c.tenant.id):
		return "", refuseToken(aadUserSigned, "The assertion is of the tenant %s, not of %s.", claims.Tenant, c.tenant.id)
	case claims.Scopes == nil && len(claims.Roles) > 0:
		return "", refuseToken(aadUserSigned, "The assertion is an application's token, not a user's.")
	case claims.Object == "":
		return UserID(c.tenant.id, 1), nil
	}
	return strings.ToLower(claims.Object), nil
}
