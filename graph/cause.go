package graph

// Cause names why a request failed, in one kebab-case word. Metadata, log and metrics use the same words. The comment
// of ErrorReason in the contract lists those that clients see.
type Cause string

// The causes of a response that cannot be used.
const (
	// CauseSyntax is a body that is not JSON.
	CauseSyntax Cause = "syntax"
	// CauseTooLarge is a body over the limit.
	CauseTooLarge Cause = "too-large"
	// CauseTooSlow is a body that arrives too slowly.
	CauseTooSlow Cause = "too-slow"
	// CauseTruncated is a body that ends too early.
	CauseTruncated Cause = "truncated"
	// CauseWrongType is a body of another type than the contract has, such as a list in place of a resource.
	CauseWrongType Cause = "wrong-type"
	// CauseMissingID is a resource that was created and has no id in the response.
	CauseMissingID Cause = "missing-id"
	// CauseRedirect is a 3xx status. Redirects are never followed.
	CauseRedirect Cause = "redirect"
	// CauseNextLink is a nextLink that leads out of the API, or back to its own page.
	CauseNextLink Cause = "next-link"
	// CausePageLoop is a list that has no end.
	CausePageLoop Cause = "page-loop"
	// CauseHeadersTooLarge is a header block over the limit.
	CauseHeadersTooLarge Cause = "headers-too-large"
	// CauseStatus is a status that no final HTTP response has.
	CauseStatus Cause = "status"
	// CauseProtocol is a response that breaks the rules of HTTP/2.
	CauseProtocol Cause = "protocol"
	// CauseEncoding is a Content-Encoding that was not asked for.
	CauseEncoding Cause = "encoding"
	// CauseEmbeddedError is a 2xx response that is an error with a code that the contract does not have.
	CauseEmbeddedError Cause = "embedded-error"
)

// The causes of a connection that failed, to Graph or to the token authority.
const (
	// CauseDNS is a host name that could not be looked up.
	CauseDNS Cause = "dns"
	// CauseRefused is a host where nothing listens.
	CauseRefused Cause = "refused"
	// CauseReset is a connection that the peer, or something on the way to it, ended before the response.
	CauseReset Cause = "reset"
	// CauseTimeout is a peer that did not respond in time.
	CauseTimeout Cause = "timeout"
	// CauseTLSUnknownAuthority is a certificate of an authority that is not trusted, such as that of a proxy that
	// inspects traffic.
	CauseTLSUnknownAuthority Cause = "tls-unknown-authority"
	// CauseTLSExpired is a certificate that has expired, or is not valid yet.
	CauseTLSExpired Cause = "tls-expired"
	// CauseTLSName is a certificate for another host name.
	CauseTLSName Cause = "tls-name"
	// CauseTLSOther is any other failure of the TLS handshake.
	CauseTLSOther Cause = "tls-other"
	// CauseProxyAuthentication is a proxy that demands other credentials.
	CauseProxyAuthentication Cause = "proxy-authentication"
	// CauseProxyRefused is a proxy that cannot be reached, or that does not connect to the host.
	CauseProxyRefused Cause = "proxy-refused"
	// CauseNoDescriptors is a process or machine that has no file descriptor left for another connection.
	CauseNoDescriptors Cause = "no-descriptors"
)

// The causes of a token that is missing.
const (
	// CauseApplicationCredential is a secret, certificate or assertion of the application that the authority refuses, or
	// that the server cannot use.
	CauseApplicationCredential Cause = "application-credential"
	// CauseApplicationUnknown is an application that does not exist in the tenant.
	CauseApplicationUnknown Cause = "application-unknown"
	// CauseConsentMissing is an application whose permissions no administrator of the tenant has granted.
	CauseConsentMissing Cause = "consent-missing"
	// CauseTenantUnknown is a tenant that the authority does not know.
	CauseTenantUnknown Cause = "tenant-unknown"
	// CauseUserAssertion is a user's token that the authority refuses.
	CauseUserAssertion Cause = "user-assertion"
	// CausePolicy is a policy of the tenant that forbids it, such as conditional access.
	CausePolicy Cause = "policy"
	// CauseAuthorityUnavailable is an authority that is down or overloaded. That passes by itself.
	CauseAuthorityUnavailable Cause = "authority-unavailable"
	// CauseWrongTenant is a token of another tenant than the request is for.
	CauseWrongTenant Cause = "wrong-tenant"
	// CauseWrongAudience is a token for another API than Microsoft Graph.
	CauseWrongAudience Cause = "wrong-audience"
	// CauseDelegationUnsupported is a credential mode that cannot act on behalf of users.
	CauseDelegationUnsupported Cause = "delegation-unsupported"
	// CauseOther is any other refusal of the authority.
	CauseOther Cause = "other"
)

// OfConnection reports whether a connection failed, and not a response or a token.
func (c Cause) OfConnection() bool {
	switch c {
	case CauseDNS, CauseRefused, CauseReset, CauseTimeout, CauseTLSUnknownAuthority, CauseTLSExpired, CauseTLSName, CauseTLSOther,
		CauseProxyAuthentication, CauseProxyRefused, CauseNoDescriptors:
		return true
	}
	return false
}

// Lasts reports whether the next connection would fail in the same way, until a person changes a name, a certificate or
// the credentials of a proxy.
func (c Cause) Lasts() bool {
	switch c {
	case CauseDNS, CauseTLSUnknownAuthority, CauseTLSExpired, CauseTLSName, CauseTLSOther, CauseProxyAuthentication:
		return true
	}
	return false
}
