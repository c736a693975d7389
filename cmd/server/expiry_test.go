package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// expiring makes a certificate and its RSA key, which ends after some hours.
func expiring(t *testing.T, hours int) (certificate, key []byte, ends time.Time) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ends = time.Now().Add(time.Duration(hours) * time.Hour).Truncate(time.Second)
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(hours)), NotBefore: time.Now().Add(-time.Hour), NotAfter: ends, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), ends
}

// Each certificate that an operator can let run out has its end in the metrics; of several in a file the first end.
func TestExpiryOfEachCertificate(t *testing.T) {
	folder := t.TempDir()
	put := func(name string, parts ...[]byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	want := make(map[string]time.Time)
	server, serverKey, ends := expiring(t, 10)
	want["server"] = ends
	later, _, _ := expiring(t, 30)
	sooner, _, ends := expiring(t, 20)
	want["client-ca"] = ends
	application, applicationKey, ends := expiring(t, 40)
	want["graph-credential"] = ends
	root, _, ends := expiring(t, 50)
	want["graph-ca"] = ends
	issuer, _, ends := expiring(t, 60)
	want["issuer-ca"] = ends
	put("issuer.crt", issuer)
	rights := put("rights.yaml", []byte(`version: 1
issuers:
  - {issuer: https://issuer.example, audience: backupstorage, principalClaim: sub, caFile: issuer.crt}
callers:
  - {principal: "oidc:https://issuer.example#a", tenants: ["11111111-2222-4333-8444-000000000001"], role: reader}
`))
	r := start(t, "--admin-listen", "127.0.0.1:0", "--reload-interval", "10ms",
		"--tls-certificate-file", put("tls.crt", server), "--tls-key-file", put("tls.key", serverKey), "--tls-client-ca-file", put("ca.crt", later, sooner), "--tls-client-auth", "optional",
		"--graph-endpoint", "https://graph.microsoft.com/v1.0", "--graph-ca-file", put("graph.crt", root), "--graph-credential", "certificate",
		"--graph-client-id", someGUID, "--graph-certificate-file", put("application.pem", applicationKey, application),
		"--rights-file", rights, "--audit", "off")
	url := r.admin(t)
	shown := func() (lines []string) {
		_, text := page(t, url+"/metrics")
		return regexp.MustCompile(`(?m)^backupstorage_certificate_expiry_timestamp_seconds.*$`).FindAllString(text, -1)
	}
	wanted := func() (lines []string) {
		for which, at := range want {
			lines = append(lines, fmt.Sprintf(`backupstorage_certificate_expiry_timestamp_seconds{which="%s"} %s`, which, scientific(at)))
		}
		slices.Sort(lines)
		return lines
	}
	if got := shown(); !slices.Equal(got, wanted()) {
		t.Fatalf("the metrics say\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted(), "\n"))
	}
	// New files have new ends, but for the one that is read once.
	put("ca.crt", later)
	put("issuer.crt", later)
	block, _ := pem.Decode(later)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	want["client-ca"], want["issuer-ca"] = certificate.NotAfter, certificate.NotAfter
	for began := time.Now(); !slices.Equal(shown(), wanted()); {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("after new files the metrics say\n%s\nwant\n%s", strings.Join(shown(), "\n"), strings.Join(wanted(), "\n"))
		}
	}
}

// scientific writes a time as the metrics do.
func scientific(at time.Time) string { return strconv.FormatFloat(float64(at.Unix()), 'g', -1, 64) }
