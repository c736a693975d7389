package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// devCACommand makes all that a desk needs to try TLS and callers.
type devCACommand struct {
	Folder  string   `arg:"" help:"folder for the files; it is made if it is not there"`
	Callers []string `arg:"" optional:"" help:"names of more callers: a certificate and a token for each, by the authority and the issuer that are in the folder"`
}

// The names of the desk. Names under .example belong to nobody.
const (
	deskIssuer   = "https://issuer.desk.example"
	deskAudience = "backupstorage"
	deskTime     = 30 * 24 * time.Hour
)

// deskRights has two callers, each by certificate and by token.
const deskRights = `# Written by "server dev-ca". The operator may protect and change; the reader may read.
version: 1
issuers:
  - {issuer: ` + deskIssuer + `, audience: ` + deskAudience + `, principalClaim: sub, jwksFile: jwks.json}
tenantSets:
  customers: {file: tenants.txt}
callers:
  - {principal: spiffe://desk.example/operator, tenants: [set:customers], role: operator}
  - {principal: spiffe://desk.example/reader, tenants: [set:customers], role: reader}
  - {principal: "oidc:` + deskIssuer + `#operator", tenants: [set:customers], role: operator, onBehalfOfUsers: true}
  - {principal: "oidc:` + deskIssuer + `#reader", tenants: [set:customers], role: reader}
`

// Run implements the command.
func (d *devCACommand) Run(to streams) error {
	if err := os.MkdirAll(d.Folder, 0o700); err != nil {
		return err
	}
	if len(d.Callers) > 0 {
		return d.more(to)
	}
	authority, err := newDeskAuthority()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"ca.crt": authority.pem, "rights.yaml": []byte(deskRights),
		"tenants.txt": []byte("# The tenants of the emulator.\n" + emulator.TenantA + "\n" + emulator.TenantB + "\n" + emulator.TenantDemo + "\n"),
	}
	if files["ca.key"], err = keyPEM(authority.key); err != nil {
		return err
	}
	for _, one := range []struct {
		name string
		make func(*x509.Certificate)
	}{
		{"server", func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}},
		{"operator", deskClient("operator")}, {"reader", deskClient("reader")},
	} {
		if files[one.name+".crt"], files[one.name+".key"], err = authority.certify(one.make); err != nil {
			return err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if files["issuer.key"], err = keyPEM(key); err != nil {
		return err
	}
	public := jose.JSONWebKey{Key: key.Public(), KeyID: "desk", Algorithm: string(jose.ES256), Use: "sig"}
	if files["jwks.json"], err = json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}); err != nil {
		return err
	}
	for _, name := range []string{"operator", "reader"} {
		if files[name+".token"], err = deskToken(key, name); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := writeNew(filepath.Join(d.Folder, name), content); err != nil {
			return err
		}
	}
	at := func(name string) string { return filepath.Join(d.Folder, name) }
	fmt.Fprintf(to.out, "Wrote %d files, for a desk alone: their keys are on this disk, and all of it ends in 30 days.\n", len(files))
	fmt.Fprintf(to.out, "Start: server --tls-certificate-file %s --tls-key-file %s --tls-client-ca-file %s --tls-client-auth optional --rights-file %s --audit required --audit-file %s\n",
		at("server.crt"), at("server.key"), at("ca.crt"), at("rights.yaml"), at("audit.log"))
	fmt.Fprintf(to.out, "Call:  grpcurl -cacert %s -cert %s -key %s 127.0.0.1:50051 list\n", at("ca.crt"), at("operator.crt"), at("operator.key"))
	fmt.Fprintf(to.out, "   or: grpcurl -cacert %s -H \"authorization: Bearer $(cat %s)\" 127.0.0.1:50051 list\n", at("ca.crt"), at("operator.token"))
	return nil
}

// more writes certificates and tokens of more callers.
func (d *devCACommand) more(to streams) error {
	certificates, err := os.ReadFile(filepath.Join(d.Folder, "ca.crt"))
	if err != nil {
		return err
	}
	block, _ := pem.Decode(certificates)
	if block == nil {
		return errors.New("ca.crt has no certificate")
	}
	authority := &deskAuthority{}
	if authority.certificate, err = x509.ParseCertificate(block.Bytes); err != nil {
		return errors.New("ca.crt has no certificate")
	}
	if authority.key, err = readKey(filepath.Join(d.Folder, "ca.key")); err != nil {
		return err
	}
	issuer, err := readKey(filepath.Join(d.Folder, "issuer.key"))
	if err != nil {
		return err
	}
	for _, name := range d.Callers {
		if !callerName.MatchString(name) {
			return errors.New("the name of a caller has small letters, digits and - alone")
		}
		certificate, key, err := authority.certify(deskClient(name))
		if err != nil {
			return err
		}
		token, err := deskToken(issuer, name)
		if err != nil {
			return err
		}
		for suffix, content := range map[string][]byte{".crt": certificate, ".key": key, ".token": token} {
			if err := writeNew(filepath.Join(d.Folder, name+suffix), content); err != nil {
				return err
			}
		}
		fmt.Fprintf(to.out, "Wrote %[1]s.crt, %[1]s.key and %[1]s.token. Principals for the rights file: spiffe://desk.example/%[1]s and oidc:%[2]s#%[1]s\n", name, deskIssuer)
	}
	return nil
}

var callerName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// keyPEM writes a private key.
func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// readKey reads what keyPEM wrote.
func readKey(path string) (*ecdsa.PrivateKey, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(content); block != nil {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if private, ok := key.(*ecdsa.PrivateKey); ok {
				return private, nil
			}
		}
	}
	return nil, fmt.Errorf("%s has no key", path)
}

// deskClient makes a certificate that of a caller.
func deskClient(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "desk.example", Path: "/" + name}}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
}

// deskAuthority signs certificates.
type deskAuthority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

func newDeskAuthority() (*deskAuthority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := deskTemplate("Backup Storage desk CA")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &deskAuthority{key, certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// certify makes a key and its certificate, both in PEM.
func (a *deskAuthority) certify(change func(*x509.Certificate)) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := deskTemplate("Backup Storage desk")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	secret, err := keyPEM(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), secret, err
}

func deskTemplate(name string) *x509.Certificate {
	serial := make([]byte, 16)
	// It never fails.
	_, _ = rand.Read(serial)
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(deskTime),
	}
}

// deskToken makes a token of the desk's issuer.
func deskToken(key *ecdsa.PrivateKey, name string) ([]byte, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": deskIssuer, "aud": deskAudience, "sub": name, "iat": time.Now().Unix(), "exp": time.Now().Add(deskTime).Unix(),
	})
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "desk"}}, nil)
	if err != nil {
		return nil, err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return nil, err
	}
	text, err := signed.CompactSerialize()
	return []byte(text), err
}

// writeNew writes a file that must not be there yet: it can be a key that is in use.
func writeNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}
