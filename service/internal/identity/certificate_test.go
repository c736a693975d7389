package identity

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// stateOf is a connection whose verified client certificate has these URIs, or hosts with `dns:` before them.
func stateOf(t *testing.T, names ...string) *tls.ConnectionState {
	t.Helper()
	var all []asn1.RawValue
	for _, name := range names {
		value := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagURI, Bytes: []byte(name)}
		if len(name) > 4 && name[:4] == "dns:" {
			value.Tag, value.Bytes = tagDNS, []byte(name[4:])
		}
		all = append(all, value)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "name.example"}, EmailAddresses: []string{"a@b.example"},
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour),
	}
	if len(all) > 0 {
		value, err := asn1.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		template.ExtraExtensions = []pkix.Extension{{Id: subjectAltName, Value: value}}
	}
	key := signers()[jose.ES256]
	data, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(data)
	if err != nil {
		t.Fatal(err)
	}
	chain := []*x509.Certificate{certificate}
	return &tls.ConnectionState{PeerCertificates: chain, VerifiedChains: [][]*x509.Certificate{chain}}
}

// Names stand as the certificate has them, URIs first. Nothing but these names counts: no common name, no e-mail.
func TestNamesOfCertificates(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	for name, test := range map[string]struct{ names, want []string }{
		"a SPIFFE id":     {[]string{"spiffe://corp.example/portal"}, []string{"spiffe://corp.example/portal"}},
		"another URI":     {[]string{"urn:corp:portal"}, []string{"urn:corp:portal"}},
		"as it stands":    {[]string{"SPIFFE://Corp.example/a%2Fb"}, []string{"SPIFFE://Corp.example/a%2Fb"}},
		"a host":          {[]string{"dns:Portal.Corp.example"}, []string{"dns:portal.corp.example"}},
		"several":         {[]string{"dns:a.example", "spiffe://a/b"}, []string{"spiffe://a/b", "dns:a.example"}},
		"a URI as a host": {[]string{"Dns:a.example", "spiffe://a/b"}, []string{"spiffe://a/b"}},
		"no token":        {[]string{"oidc:https://issuer.example#a", "spiffe://a/b"}, []string{"spiffe://a/b"}},
	} {
		caller, err := a.Caller(context.Background(), Credential{Certificate: VerifiedCertificate(stateOf(t, test.names...))})
		if err != nil || !slices.Equal(caller.Names, test.want) {
			t.Errorf("%s: the names are %q (%v), want %q", name, caller.Names, err, test.want)
		}
		if !caller.Expires.Equal(start.Add(time.Hour)) {
			t.Errorf("%s: the credential expires at %s", name, caller.Expires)
		}
	}
}

func TestBadCertificates(t *testing.T) {
	i := newTestIssuer(t)
	a := i.authenticator()
	unverified := stateOf(t, "spiffe://a/b")
	unverified.VerifiedChains = nil
	var many []string
	for n := range maxNames + 1 {
		many = append(many, fmt.Sprintf("spiffe://a/%d", n))
	}
	for name, test := range map[string]struct {
		state *tls.ConnectionState
		want  Cause
	}{
		"no TLS":               {&tls.ConnectionState{}, CauseNoCredential},
		"not verified":         {unverified, CauseNoCredential},
		"no name":              {stateOf(t), CauseCertificateNames},
		"only a token's name":  {stateOf(t, "OIDC:https://issuer.example#a"), CauseCertificateNames},
		"too many names":       {stateOf(t, many...), CauseCertificateNames},
		"a name without bytes": {stateOf(t, ""), CauseCertificateNames},
	} {
		if got := causeOf(t, a, Credential{Certificate: VerifiedCertificate(test.state)}); got != test.want {
			t.Errorf("%s: the cause is %q, want %q", name, got, test.want)
		}
	}
	state := stateOf(t, "spiffe://a/b")
	i.pass(time.Hour + time.Second)
	if got := causeOf(t, a, Credential{Certificate: VerifiedCertificate(state)}); got != CauseCertificateExpired {
		t.Errorf("the cause for a certificate that expired during its connection is %q", got)
	}
}

// A good token is the caller, and the certificate then only the transport.
func TestTokenBeforeCertificate(t *testing.T) {
	i := newTestIssuer(t)
	credential := with(i.token(nil))
	credential.Certificate = VerifiedCertificate(stateOf(t, "spiffe://proxy.example/envoy"))
	caller, err := i.authenticator().Caller(context.Background(), credential)
	if err != nil || !slices.Equal(caller.Names, []string{Principal(issuerURL, person)}) {
		t.Errorf("the caller is %q (%v)", caller.Names, err)
	}
}
