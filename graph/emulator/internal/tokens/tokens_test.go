package tokens_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator/internal/tokens"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestAKeyKnowsItsOwnTokens(t *testing.T) {
	key, err := tokens.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := tokens.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.Sign(map[string]string{"sub": "x"})
	if err != nil || key.Verify(token) != nil {
		t.Fatalf("an own token: %v, %v", err, key.Verify(token))
	}
	parts := strings.Split(token, ".")
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"another payload":   {parts[0] + "." + encode([]byte(`{"sub":"y"}`)) + "." + parts[2], tokens.ErrSignature},
		"no signature":      {parts[0] + "." + parts[1] + ".", tokens.ErrSignature},
		"no algorithm":      {encode([]byte(`{"alg":"none","kid":"`+key.Public().ID+`"}`)) + "." + parts[1] + ".", tokens.ErrSignature},
		"two parts":         {parts[0] + "." + parts[1], tokens.ErrForm},
		"no base64":         {"{}." + parts[1] + "." + parts[2], tokens.ErrForm},
		"a payload of text": {parts[0] + "." + encode([]byte("x")) + "." + parts[2], tokens.ErrForm},
	} {
		if err := key.Verify(c.token); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := other.Verify(token); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
}

// sign makes an assertion as a program would, with either algorithm and either way to name the certificate.
func sign(t *testing.T, key *rsa.PrivateKey, header, algorithm string) *tokens.Token {
	t.Helper()
	signed := encode([]byte(`{"alg":"`+algorithm+`",`+header+`}`)) + "." + encode([]byte(`{"sub":"x"}`))
	sum := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	if algorithm == "PS256" {
		signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)
	} else {
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	token, err := tokens.Read(signed + "." + encode(signature))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAnAssertionIsCheckedByItsCertificate(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tokens.ParseCertificate(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	named := `"x5t#S256":"` + base64.StdEncoding.EncodeToString(sum[:]) + `"`
	in := `"x5t#S256":"` + encode(sum[:]) + `","x5c":["` + base64.StdEncoding.EncodeToString(der) + `"]`
	registered := []*x509.Certificate{certificate}
	for _, algorithm := range []string{"RS256", "PS256"} {
		if err := sign(t, key, named, algorithm).VerifyCertificate(registered); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	if err := sign(t, key, in, "RS256").VerifyCertificate(nil); err != nil {
		t.Errorf("a certificate in the header: %v", err)
	}
	if err := sign(t, key, `"kid":"x"`, "RS256").VerifyCertificate(nil); err != nil {
		t.Errorf("no certificate at all: %v", err)
	}
	if err := sign(t, key, `"x5t":"x"`, "RS256").VerifyCertificate(registered); !errors.Is(err, tokens.ErrCertificate) {
		t.Errorf("another certificate: %v", err)
	}
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if err := sign(t, another, named, "RS256").VerifyCertificate(registered); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if err := sign(t, key, named, "ES256").VerifyCertificate(registered); !errors.Is(err, tokens.ErrSignature) {
		t.Errorf("another algorithm: %v", err)
	}
	if _, err := tokens.ParseCertificate("x"); err == nil {
		t.Error("a text is a certificate")
	}
}
