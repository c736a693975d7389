package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/m365backup/backupstorage/internal/metrics"
	"github.com/m365backup/backupstorage/internal/reload"
)

// The values of --tls-client-auth.
const (
	clientAuthNone     = "none"
	clientAuthOptional = "optional"
	clientAuthRequired = "required"
)

// tlsConfig holds the flags for TLS.
type tlsConfig struct {
	CertificateFile string `placeholder:"PATH" help:"PEM file with the certificate of the server and those between it and its root, read again when it changes; without it the server has no TLS" page:"PEM file with the certificate of the server and those between it and its root, [read again when it changes](#files-that-change). Without it the server has no TLS"`
	KeyFile         string `placeholder:"PATH" help:"PEM file with the private key of --tls-certificate-file, read again when it changes" page:"PEM file with the private key of ~--tls-certificate-file~, [read again when it changes](#files-that-change)"`
	ClientCAFile    string `name:"client-ca-file" placeholder:"PATH" help:"PEM file with the certificates of the authorities whose client certificates are accepted, read again when it changes" page:"PEM file with the certificates of the authorities whose client certificates are accepted, [read again when it changes](#files-that-change)"`
	ClientAuth      string `placeholder:"NAME" help:"client certificates: \"none\" asks for none, \"optional\" checks those that are sent, \"required\" closes connections without one; the default is \"required\" with --tls-client-ca-file, else \"none\"" page:"client certificates: ~none~ asks for none, ~optional~ checks those that are sent, ~required~ closes connections without one. Without it: ~required~ with ~--tls-client-ca-file~, else ~none~"`
	MinVersion      string `default:"1.3" placeholder:"VERSION" help:"minimum version of TLS, 1.3 or 1.2"`
}

// on reports whether the server has TLS.
func (c *tlsConfig) on() bool { return c.CertificateFile != "" }

// check refuses flags that contradict each other, and fills in ClientAuth.
func (c *tlsConfig) check() error {
	if c.MinVersion != "1.3" && c.MinVersion != "1.2" {
		return errors.New("--tls-min-version must be 1.3 or 1.2")
	}
	if (c.CertificateFile == "") != (c.KeyFile == "") {
		return errors.New("--tls-certificate-file and --tls-key-file must be set both, or none of them")
	}
	if !c.on() {
		if c.ClientCAFile != "" || c.ClientAuth != "" && c.ClientAuth != clientAuthNone || c.MinVersion != "1.3" {
			return errors.New("--tls-client-ca-file, --tls-client-auth and --tls-min-version have no effect without --tls-certificate-file")
		}
	}
	if c.ClientAuth == "" {
		c.ClientAuth = clientAuthNone
		if c.ClientCAFile != "" {
			c.ClientAuth = clientAuthRequired
		}
	}
	switch c.ClientAuth {
	case clientAuthNone:
		if c.ClientCAFile != "" {
			return errors.New("--tls-client-ca-file has no effect with --tls-client-auth none: remove it")
		}
	case clientAuthOptional, clientAuthRequired:
		if c.ClientCAFile == "" {
			return fmt.Errorf("--tls-client-auth %s needs --tls-client-ca-file", c.ClientAuth)
		}
	default:
		return errors.New("--tls-client-auth must be none, optional or required")
	}
	return nil
}

// authorities are the certificates of authorities, and when the first of them expires.
type authorities struct {
	pool    *x509.CertPool
	expires time.Time
}

// open reads the files of TLS and returns what new connections use, nil without TLS. Each of them gets the certificate
// and the client CAs that are in the files by then; those that are there already live on. expiry says when the
// certificates that are in use expire.
func (c *tlsConfig) open(files *reload.Reader) (transport credentials.TransportCredentials, expiry expiries, err error) {
	if !c.on() {
		return nil, nil, nil
	}
	pair, err := reload.Open(files, "tls-certificate", parsePair, c.CertificateFile, c.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("--tls-certificate-file and --tls-key-file: %w", err)
	}
	base := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		// A client that resumes a session would not be checked against the client CAs that are in force now. Connections live
		// for minutes, so that resuming saves little.
		SessionTicketsDisabled: true,
	}
	if c.MinVersion == "1.2" {
		base.MinVersion = tls.VersionTLS12
	}
	// A file of its own: client CAs that are broken must not keep a certificate in use that expires.
	expiry = expiries{metrics.CertificateServer: func() time.Time { return pair.Get().Leaf.NotAfter }}
	var clients *reload.Set[authorities]
	if c.ClientCAFile != "" {
		if clients, err = reload.Open(files, "tls-client-ca", parseCAs, c.ClientCAFile); err != nil {
			return nil, nil, fmt.Errorf("--tls-client-ca-file: %w", err)
		}
		base.ClientAuth = tls.RequireAndVerifyClientCert
		if c.ClientAuth == clientAuthOptional {
			base.ClientAuth = tls.VerifyClientCertIfGiven
		}
		expiry[metrics.CertificateClientCA] = func() time.Time { return clients.Get().expires }
	}
	current := base.Clone()
	current.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := base.Clone()
		now.Certificates = []tls.Certificate{*pair.Get()}
		if clients != nil {
			now.ClientCAs = clients.Get().pool
		}
		return now, nil
	}
	return credentials.NewTLS(current), expiry, nil
}

// parsePair reads certificate and key. Its errors are fixed texts: those of crypto/tls repeat what stands in the files.
func parsePair(contents [][]byte) (*tls.Certificate, error) {
	if _, err := readCertificates(contents[0]); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil || pair.Leaf == nil {
		return nil, errors.New("the private key is missing, broken, or of another certificate")
	}
	leaf := pair.Leaf
	if now := time.Now(); now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("the certificate expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	} else if now.Before(leaf.NotBefore) {
		return nil, fmt.Errorf("the certificate is valid only from %s on", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if usages := leaf.ExtKeyUsage; len(usages) > 0 && !slices.Contains(usages, x509.ExtKeyUsageServerAuth) && !slices.Contains(usages, x509.ExtKeyUsageAny) {
		return nil, errors.New("the certificate is not for servers: its extended key usage lacks serverAuth")
	}
	return &pair, nil
}

// parseCAs reads the certificates of the client CAs.
func parseCAs(contents [][]byte) (authorities, error) { return readAuthorities(contents[0]) }
