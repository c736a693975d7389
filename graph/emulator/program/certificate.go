package program

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// selfSignedFor is how long a certificate of the program's own is good.
const selfSignedFor = 30 * 24 * time.Hour

// certificate reads or makes the certificate; nil is plain HTTP.
func (c *Config) certificate(listening net.Addr) (*tls.Certificate, error) {
	switch {
	case c.TLSCertificateFile != "":
		pair, err := tls.LoadX509KeyPair(c.TLSCertificateFile, c.TLSKeyFile)
		if err != nil {
			return nil, fmt.Errorf("--tls-certificate-file: %w", err)
		}
		return &pair, nil
	case c.TLSSelfSigned != "":
		pair, text, err := selfSigned(c.hosts(listening))
		if err == nil {
			err = os.WriteFile(c.TLSSelfSigned, text, 0o644) //nolint:gosec // A certificate is public.
		}
		if err != nil {
			return nil, fmt.Errorf("--tls-self-signed: %w", err)
		}
		return pair, nil
	}
	return nil, nil
}

// selfSigned makes a certificate that is its own root, and its PEM form. Its key stays in memory.
func selfSigned(hosts []string) (*tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Backup Storage emulator"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedFor),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
