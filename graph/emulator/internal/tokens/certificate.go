package tokens

import (
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Clients name their certificate by its SHA-1, as RFC 7515 has it; nothing relies on it.
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ParseCertificate reads the first certificate of a PEM text. Its key must be an RSA key.
func ParseCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate in PEM form")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if _, ok := certificate.PublicKey.(*rsa.PublicKey); !ok {
		return nil, fmt.Errorf("the certificate of %s has no RSA key", certificate.Subject)
	}
	return certificate, nil
}

// ErrCertificate is the error of a token whose header names none of the certificates.
var ErrCertificate = errors.New("the certificate is not one of those registered")

// VerifyCertificate fails with [ErrCertificate] or [ErrSignature] unless one of the certificates signed the token.
// Without certificates that of the token's own header counts, and without that nothing is checked.
func (t *Token) VerifyCertificate(certificates []*x509.Certificate) error {
	if len(certificates) == 0 {
		if len(t.Header.Certificates) == 0 {
			return nil
		}
		der, err := base64.StdEncoding.DecodeString(t.Header.Certificates[0])
		if err != nil {
			return ErrCertificate
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return ErrCertificate
		}
		certificates = []*x509.Certificate{certificate}
	}
	for _, certificate := range certificates {
		key, ok := certificate.PublicKey.(*rsa.PublicKey)
		if ok && t.names(certificate) {
			return t.verify(key)
		}
	}
	return ErrCertificate
}

// names tells whether the header names a certificate by either of its thumbprints. RFC 7515 has them in base64url, MSAL
// for Go writes plain base64.
func (t *Token) names(certificate *x509.Certificate) bool {
	first, second := sha1.Sum(certificate.Raw), sha256.Sum256(certificate.Raw) //nolint:gosec // See the import.
	return asURL(t.Header.Thumbprint) == encode(first[:]) || asURL(t.Header.Thumbprint2) == encode(second[:])
}

func asURL(text string) string {
	return strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(text)
}
