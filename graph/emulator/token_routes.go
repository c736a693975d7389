package emulator

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/m365backup/backupstorage/graph/emulator/internal/tokens"
)

// authorityRoutes are the operations of the token authority, which stand at the root of the host.
func authorityRoutes() []*route {
	return []*route{
		{area: areaAuthority, method: http.MethodPost, template: "/{tenant}/oauth2/v2.0/token", handle: postToken},
		{area: areaAuthority, method: http.MethodGet, template: "/{tenant}/v2.0/.well-known/openid-configuration", handle: getTokenConfiguration},
		{area: areaAuthority, method: http.MethodGet, template: "/{tenant}/discovery/v2.0/keys", handle: getTokenKeys},
		{area: areaAuthority, method: http.MethodGet, template: "/common/discovery/instance", handle: getInstance},
	}
}

// issuer is who issues the tokens of a tenant.
func (c *call) issuer(tenant string) string { return c.origin() + "/" + tenant + "/v2.0" }

// getTokenConfiguration answers with the authority's metadata (OpenID Connect Discovery). A tenant that is none, such
// as common, is repeated as it is.
func getTokenConfiguration(c *call) (*answer, *graphError) {
	at := c.origin() + "/" + c.param(0)
	return ok(map[string]any{
		"issuer":                                c.issuer(c.param(0)),
		"token_endpoint":                        at + "/oauth2/v2.0/token",
		"authorization_endpoint":                at + "/oauth2/v2.0/authorize",
		"jwks_uri":                              at + "/discovery/v2.0/keys",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		"response_types_supported":              []string{"code", "id_token"},
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"tenant_region_scope":                   "EU",
		"cloud_instance_name":                   c.host(),
		"msgraph_host":                          c.host(),
	}), nil
}

// getTokenKeys answers with the keys that tokens are signed with.
func getTokenKeys(c *call) (*answer, *graphError) {
	return ok(map[string]any{"keys": []tokens.PublicKey{c.e.authority.key().Public()}}), nil
}

// getInstance says which hosts belong to the cloud that a client was pointed to: this one alone.
func getInstance(c *call) (*answer, *graphError) {
	tenant := "common"
	if asked, err := url.Parse(c.r.URL.Query().Get("authorization_endpoint")); err == nil {
		if first, _, found := strings.Cut(strings.TrimPrefix(asked.Path, "/"), "/"); found {
			tenant = first
		}
	}
	return ok(map[string]any{
		"tenant_discovery_endpoint": c.origin() + "/" + url.PathEscape(tenant) + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata": []map[string]any{{
			"preferred_network": c.host(), "preferred_cache": c.host(), "aliases": []string{c.host()},
		}},
	}), nil
}

// authorityTenant is the tenant of a path of the token authority, which is nobody's request but the tenant's.
func (c *call) authorityTenant() (caller, *graphError) {
	who := caller{tenant: c.e.opts.DefaultTenant}
	if len(c.params) == 0 {
		return who, nil
	}
	name := strings.ToLower(c.param(0))
	switch {
	case isGUID(name):
		who.tenant = name
	case c.route.method != http.MethodPost:
	case name == "common" || name == "organizations" || name == "consumers":
		return who, refuseToken(aadNoTenant, "No tenant-identifying information found in either the request or implied by any provided credentials.")
	default:
		return who, refuseToken(aadTenantForm, "Specified tenant identifier '%s' is neither a valid DNS name, nor a valid external domain.", c.param(0))
	}
	return who, nil
}
