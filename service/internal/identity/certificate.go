package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"time"
)

// maxNames is how many names a certificate may have. Certificates of servers can have many.
const maxNames = 100

// Tags of names in the extension subjectAltName.
const (
	tagDNS = 2
	tagURI = 6
)

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// ofCertificate returns the caller that a verified certificate names. Without a verified certificate the cause is
// CauseNoCredential.
func (a *Authenticator) ofCertificate(certificate *x509.Certificate, now time.Time) (Caller, error) {
	if certificate == nil {
		return Caller{}, &CredentialError{Cause: CauseNoCredential}
	}
	// It was valid when the connection began, which can be long ago.
	if now.After(certificate.NotAfter) {
		return Caller{}, &CredentialError{Cause: CauseCertificateExpired}
	}
	names, ok := a.names.Get(certificate)
	if !ok {
		names = namesOf(certificate)
		a.names.Put(certificate, names)
	}
	if len(names) == 0 || len(names) > maxNames {
		return Caller{}, &CredentialError{Cause: CauseCertificateNames}
	}
	return Caller{Names: names, Expires: certificate.NotAfter}, nil
}

// VerifiedCertificate returns the certificate of the client of a connection, nil unless it was verified: without
// verified chains it is a mere claim.
func VerifiedCertificate(state *tls.ConnectionState) *x509.Certificate {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

// namesOf returns the principals of a certificate, URIs first. It reads the bytes of the certificate, since the parsed
// form of a URI can be written in another way: SPIFFE://a is parsed to spiffe://a.
func namesOf(certificate *x509.Certificate) []string {
	var uris, hosts []string
	for _, extension := range certificate.Extensions {
		if !extension.Id.Equal(subjectAltName) {
			continue
		}
		var all asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &all); err != nil || len(rest) > 0 {
			return nil
		}
		for rest := all.Bytes; len(rest) > 0; {
			var name asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &name); err != nil {
				return nil
			}
			switch {
			case name.Class != asn1.ClassContextSpecific || len(name.Bytes) == 0:
			case name.Tag == tagURI && validURI(string(name.Bytes)):
				uris = append(uris, string(name.Bytes))
			case name.Tag == tagDNS:
				hosts = append(hosts, "dns:"+strings.ToLower(string(name.Bytes)))
			}
		}
	}
	return append(uris, hosts...)
}

// validURI reports whether a URI of a certificate can be a principal: not one that looks like a principal of another
// kind. A certificate with the URI `oidc:…` or `dns:…` must not pass for a token or for a host.
func validURI(uri string) bool {
	scheme, _, ok := strings.Cut(uri, ":")
	return ok && !strings.EqualFold(scheme, "oidc") && !strings.EqualFold(scheme, "dns")
}
