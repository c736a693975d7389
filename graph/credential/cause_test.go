package credential_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
)

// aadsts is an error response as Microsoft's authority writes it.
func aadsts(code string, number int, text string, extra ...string) string {
	return fmt.Sprintf(`{"error":%q,"error_description":"AADSTS%d: %s Trace ID: 4e1f8a6c-4d0e-4a53-9a61-8a5e31b50100 Correlation ID: 7c2b9c0e-52c5-4f0e-8fd0-6d5d3c0b6f11 Timestamp: 2026-11-20 12:00:00Z","error_codes":[%d],"timestamp":"2026-11-20 12:00:00Z","trace_id":"4e1f8a6c-4d0e-4a53-9a61-8a5e31b50100","correlation_id":"7c2b9c0e-52c5-4f0e-8fd0-6d5d3c0b6f11","error_uri":"https://login.microsoftonline.com/error?code=%d"%s}`,
		code, number, text, number, number, strings.Join(extra, ""))
}

func TestARefusalSaysItsCause(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		forApp graph.Cause
		// onBehalf is the cause when the token was to be a user's; empty when it is the same.
		onBehalf graph.Cause
	}{
		{"invalid secret", 401, aadsts("invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '…'."), graph.CauseApplicationCredential, ""},
		{"expired secret", 401, aadsts("invalid_client", 7000222, "The provided client secret keys for app '…' are expired."), graph.CauseApplicationCredential, ""},
		{"unknown certificate", 401, aadsts("invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application."), graph.CauseApplicationCredential, ""},
		{"assertion out of its time", 401, aadsts("invalid_client", 700024, "Client assertion is not within its valid time range."), graph.CauseApplicationCredential, ""},
		{"no federated identity", 401, aadsts("invalid_request", 700213, "No matching federated identity record found for presented assertion subject '…'."), graph.CauseApplicationCredential, ""},
		{"another number of the client", 401, aadsts("invalid_client", 7009999, "Something new."), graph.CauseApplicationCredential, ""},
		{"not in the directory", 400, aadsts("unauthorized_client", 700016, "Application with identifier '…' was not found in the directory 'Contoso'."), graph.CauseApplicationUnknown, ""},
		{"not in the directory, as the client's fault", 401, aadsts("invalid_client", 700016, "Application with identifier '…' was not found in the directory 'Contoso'."), graph.CauseApplicationUnknown, ""},
		{"not in an OrgId tenant", 400, aadsts("unauthorized_client", 700011, "Application with identifier … was not found in the directory."), graph.CauseApplicationUnknown, ""},
		{"no service principal", 400, aadsts("unauthorized_client", 7000229, "The client application … is missing service principal in the tenant …."), graph.CauseApplicationUnknown, ""},
		{"another number of an unauthorized client", 400, aadsts("unauthorized_client", 70001, "The application named … was disabled."), graph.CauseApplicationUnknown, ""},
		{"no consent", 400, aadsts("invalid_grant", 65001, "The user or administrator has not consented to use the application with ID '…'.", `,"suberror":"consent_required"`), graph.CauseConsentMissing, ""},
		{"no consent by the administrator", 400, aadsts("invalid_grant", 90094, "An administrator of Contoso has set a policy that prevents you from granting … the permissions it is requesting."), graph.CauseConsentMissing, ""},
		{"no consent, by the suberror", 400, aadsts("invalid_grant", 7009999, "Something new.", `,"suberror":"consent_required"`), graph.CauseConsentMissing, ""},
		{"no such tenant", 400, aadsts("invalid_request", 90002, "Tenant '…' not found. Check to make sure you have the correct tenant ID."), graph.CauseTenantUnknown, ""},
		{"no tenant's name", 400, aadsts("invalid_request", 900023, "Specified tenant identifier '…' is neither a valid DNS name, nor a valid external domain."), graph.CauseTenantUnknown, ""},
		{"signature of the assertion", 400, aadsts("invalid_grant", 50013, "Assertion failed signature validation."), graph.CauseOther, graph.CauseUserAssertion},
		{"assertion has expired", 400, aadsts("invalid_grant", 500133, "Assertion is not within its valid time range."), graph.CauseOther, graph.CauseUserAssertion},
		{"malformed assertion", 400, aadsts("invalid_request", 5002723, "Invalid JWT token. No certificate SHA-1 thumbprint … nor keyId are specified in token header."), graph.CauseApplicationCredential, graph.CauseUserAssertion},
		{"second factor", 400, aadsts("interaction_required", 50076, "Due to a configuration change made by your administrator, you must use multi-factor authentication to access '…'.", `,"suberror":"basic_action","claims":"{\"access_token\":{\"capolids\":{\"essential\":true,\"values\":[\"…\"]}}}"`), graph.CausePolicy, ""},
		{"second factor to be registered", 400, aadsts("interaction_required", 50079, "The user is required to use multi-factor authentication."), graph.CausePolicy, ""},
		{"conditional access", 400, aadsts("invalid_grant", 53003, "Access has been blocked by Conditional Access policies.", `,"suberror":"message_only"`), graph.CausePolicy, ""},
		{"conditional access, without a suberror", 400, aadsts("invalid_grant", 53003, "Access has been blocked by Conditional Access policies."), graph.CausePolicy, ""},
		{"another interaction", 400, aadsts("interaction_required", 7009999, "Something new."), graph.CausePolicy, ""},
		{"another refusal", 400, aadsts("invalid_resource", 500011, "The resource principal named https://graph.microsoft.com was not found in the tenant named Contoso."), graph.CauseOther, ""},
		{"overloaded, whatever the number", 429, aadsts("invalid_client", 7000215, "Too many requests."), graph.CauseAuthorityUnavailable, ""},
		{"down", 503, "<html>503</html>", graph.CauseAuthorityUnavailable, ""},
		{"a proxy", 403, "<html>blocked</html>", graph.CauseAuthorityUnavailable, ""},
		{"temporarily", 400, aadsts("temporarily_unavailable", 90006, "The service is temporarily unavailable."), graph.CauseAuthorityUnavailable, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			authority := authoritytest.New(t)
			authority.Handle(func(authoritytest.Request) authoritytest.Answer {
				return authoritytest.Answer{Status: test.status, Body: test.body}
			})
			s := source(t, authority)
			if got := refuses(t, s, graph.TokenRequest{Tenant: tenantA}); got.Cause != test.forApp {
				t.Errorf("for the application: got %q (%v), want %q", got.Cause, got.Err, test.forApp)
			}
			want := test.onBehalf
			if want == "" {
				want = test.forApp
			}
			if got := refuses(t, s, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, "u")}); got.Cause != want {
				t.Errorf("for a user: got %q (%v), want %q", got.Cause, got.Err, want)
			}
		})
	}
}

// TestAFailureWithoutARefusalSaysItsCause has failures that the authority did not report.
func TestAFailureWithoutARefusalSaysItsCause(t *testing.T) {
	user := func(claims map[string]any) graph.TokenRequest {
		return graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.JWT(claims)}
	}
	app := graph.TokenRequest{Tenant: tenantA}
	gives := func(token string) func(*testing.T, *authoritytest.Authority) *credential.Source {
		return func(t *testing.T, authority *authoritytest.Authority) *credential.Source {
			authority.Handle(func(authoritytest.Request) authoritytest.Answer { return authoritytest.Answer{Token: token} })
			return source(t, authority)
		}
	}
	with := func(change func(*credential.Options)) func(*testing.T, *authoritytest.Authority) *credential.Source {
		return func(t *testing.T, authority *authoritytest.Authority) *credential.Source {
			return source(t, authority, change)
		}
	}
	managed := with(func(o *credential.Options) { o.Mode, o.HomeTenant = credential.ManagedIdentity, tenantB })
	for _, test := range []struct {
		name    string
		source  func(*testing.T, *authoritytest.Authority) *credential.Source
		request graph.TokenRequest
		kind    graph.TokenKind
		want    graph.Cause
	}{
		{"a token of another tenant", gives(authoritytest.JWT(map[string]any{"tid": tenantB})), app, graph.TokenRefused, graph.CauseWrongTenant},
		{"a token of no tenant", gives(authoritytest.JWT(map[string]any{})), app, graph.TokenRefused, graph.CauseWrongTenant},
		{"a token for another API", gives(authoritytest.JWT(map[string]any{"tid": tenantA, "aud": "https://management.azure.com"})), app, graph.TokenRefused, graph.CauseWrongAudience},
		{"a token for Graph of another cloud", gives(authoritytest.JWT(map[string]any{"tid": tenantA, "aud": "https://graph.microsoft.us"})), app, graph.TokenRefused, graph.CauseWrongAudience},
		{"a token for no API", gives(authoritytest.JWT(map[string]any{"tid": tenantA})), app, graph.TokenRefused, graph.CauseWrongAudience},
		{"a token whose audience is a number", gives(authoritytest.JWT(map[string]any{"tid": tenantA, "aud": 3})), app, graph.TokenRefused, graph.CauseWrongAudience},
		{"a user's token for another API", gives(authoritytest.JWT(map[string]any{"tid": tenantA, "aud": "api://other"})), user(map[string]any{"tid": tenantA}), graph.TokenRefused, graph.CauseWrongAudience},
		{"a token of another tenant for another API", gives(authoritytest.JWT(map[string]any{"tid": tenantB, "aud": "api://other"})), app, graph.TokenRefused, graph.CauseWrongTenant},
		{"a token that is no JWT", gives("opaque"), app, graph.TokenRefused, graph.CauseOther},
		{"another tenant than the managed identity's", managed, app, graph.TokenRefused, graph.CauseWrongTenant},
		{"an assertion of another tenant", with(func(*credential.Options) {}), user(map[string]any{"tid": tenantB}), graph.TokenAssertionRefused, graph.CauseWrongTenant},
		{"an assertion that has expired", with(func(*credential.Options) {}), user(map[string]any{"tid": tenantA, "exp": 1}), graph.TokenAssertionRefused, graph.CauseUserAssertion},
		{"an assertion that is no JWT", with(func(*credential.Options) {}), graph.TokenRequest{Tenant: tenantA, UserAssertion: "opaque"}, graph.TokenAssertionRefused, graph.CauseUserAssertion},
		{"no delegation", with(func(o *credential.Options) { o.Mode = credential.Default }), user(map[string]any{"tid": tenantA}), graph.TokenNotDelegable, graph.CauseDelegationUnsupported},
		{"no authority", with(func(o *credential.Options) { o.Authority = "https://127.0.0.1:1" }), app, graph.TokenUnavailable, graph.CauseRefused},
		{"no credential", func(t *testing.T, authority *authoritytest.Authority) *credential.Source {
			t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
			return source(t, authority, func(o *credential.Options) { o.Mode = credential.Default })
		}, app, graph.TokenRefused, graph.CauseApplicationCredential},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := refuses(t, test.source(t, authoritytest.New(t)), test.request)
			if got.Kind != test.kind || got.Cause != test.want {
				t.Errorf("got kind %d and cause %q (%v), want %d and %q", got.Kind, got.Cause, got.Err, test.kind, test.want)
			}
		})
	}
}

func TestTheAudiencesOfGraph(t *testing.T) {
	for _, audience := range []any{
		"https://graph.microsoft.com", "https://graph.microsoft.com/", "HTTPS://Graph.Microsoft.com", "00000003-0000-0000-c000-000000000000",
		"00000003-0000-0000-C000-000000000000", []string{"api://other", "https://graph.microsoft.com"},
	} {
		authority := authoritytest.New(t)
		token := authoritytest.JWT(map[string]any{"tid": tenantA, "aud": audience})
		authority.Handle(func(authoritytest.Request) authoritytest.Answer { return authoritytest.Answer{Token: token} })
		if got := ask(t, source(t, authority), graph.TokenRequest{Tenant: tenantA}); got != token {
			t.Errorf("audience %v: got %q", audience, got)
		}
	}
}

func TestARefusalSaysItsNumber(t *testing.T) {
	const described = `"error_description":"AADSTS700016: Application with identifier '…' was not found."`
	for _, test := range []struct {
		name, body string
		want       int
	}{
		{"one", `{"error":"invalid_client","error_codes":[7000222]}`, 7000222},
		{"the one that decides the cause", `{"error":"unauthorized_client","error_codes":[90000, 700016]}`, 700016},
		{"the first of several without a cause", `{"error":"invalid_request","error_codes":[90000, 90001]}`, 90000},
		{"a loop, whatever else", `{"error":"invalid_grant","error_codes":[90000, 50196]}`, 50196},
		{"only in the description", `{"error":"unauthorized_client",` + described + `}`, 700016},
		{"as a text, and in the description", `{"error":"unauthorized_client","error_codes":["700016"],` + described + `}`, 700016},
		{"none", `{"error":"invalid_client"}`, 0},
		{"negative", `{"error":"invalid_client","error_codes":[-7000222]}`, 0},
		{"too large", `{"error":"invalid_client","error_codes":[1e30]}`, 0},
		{"within a text", `{"error":"invalid_client","error_description":"see AADSTS700016"}`, 0},
		{"of too many digits", `{"error":"invalid_client","error_description":"AADSTS70001670001670: …"}`, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			authority := authoritytest.New(t)
			authority.Handle(func(authoritytest.Request) authoritytest.Answer {
				return authoritytest.Answer{Status: 400, Body: test.body}
			})
			got := refuses(t, source(t, authority), graph.TokenRequest{Tenant: tenantA, RequestID: "id"})
			if got.AADSTS != test.want || got.RequestID != "id" {
				t.Errorf("got %d of request %q (%v), want %d", got.AADSTS, got.RequestID, got.Err, test.want)
			}
		})
	}
}
