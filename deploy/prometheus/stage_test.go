//go:build live

package prometheus

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// The names behind the proxy. Replicas believe that they talk to Microsoft, or an alert would say that they do not.
const (
	graphName     = "graph.microsoft.com:443"
	authorityName = "login.microsoftonline.com:443"
)

// surroundings are what stands around the replicas: Microsoft Graph, the token authority, the proxy that leads to
// both, and an authority for certificates. All of it is in this process.
type surroundings struct {
	folder  string
	graph   *emulator.Emulator
	tokens  *authoritytest.Authority
	proxy   string
	ca      *signer
	servers map[string]string
	// redis is that of replica a.
	redis *miniredis.Miniredis
	// authorityDown has the proxy lead nowhere for the token authority.
	authorityDown atomic.Bool
}

func newSurroundings(t *testing.T) *surroundings {
	t.Helper()
	w := &surroundings{folder: t.TempDir(), graph: emulator.New(emulator.Options{}), tokens: authoritytest.New(t), ca: newSigner(t), redis: miniredis.RunT(t)}
	graphServer := w.serve(t, w.graph)
	tokens := w.tokens.Handler()
	authorityServer := w.serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.authorityDown.Load() {
			// Also for connections that are open already.
			panic(http.ErrAbortHandler)
		}
		if r.Method != http.MethodGet {
			tokens.ServeHTTP(rw, r)
			return
		}
		// Its endpoints are at the name by which it was asked.
		base := "https://" + r.Host + "/" + strings.Split(r.URL.Path, "/")[1]
		_, _ = io.WriteString(rw, `{"issuer":"`+base+`/v2.0","authorization_endpoint":"`+base+`/authorize","token_endpoint":"`+base+`/oauth2/v2.0/token"}`)
	}))
	w.servers = map[string]string{graphName: graphServer, authorityName: authorityServer}
	proxy := httptest.NewServer(http.HandlerFunc(w.connect))
	t.Cleanup(proxy.Close)
	w.proxy = proxy.URL
	w.write(t, "roots.pem", w.ca.pem)
	w.write(t, "secret", []byte("a secret of nobody"))
	w.write(t, "tenants.txt", []byte(strings.Join(customers, "\n")+"\n"))
	w.write(t, "keys", []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	w.certify(t, 90*24*time.Hour)
	return w
}

// serve serves a handler over TLS by all names.
func (w *surroundings) serve(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	certificate, key := w.ca.certify(t, 24*time.Hour, func(c *x509.Certificate) {
		for _, name := range []string{graphName, authorityName} {
			c.DNSNames = append(c.DNSNames, strings.TrimSuffix(name, ":443"))
		}
	})
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// connect is an HTTP proxy that leads to this process.
func (w *surroundings) connect(rw http.ResponseWriter, r *http.Request) {
	address := w.servers[r.Host]
	if r.Method != http.MethodConnect || address == "" || r.Host == authorityName && w.authorityDown.Load() {
		rw.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	// The client sends nothing before it has the response, so that nothing is left in a buffer of net/http.
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}

func (w *surroundings) at(name string) string { return filepath.Join(w.folder, name) }

// write writes a file in one step, so that nobody reads half of it.
func (w *surroundings) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(w.at(name+".new"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.at(name+".new"), w.at(name)); err != nil {
		t.Fatal(err)
	}
}

// certify writes a new certificate of the replicas.
func (w *surroundings) certify(t *testing.T, lifetime time.Duration) {
	t.Helper()
	certificate, key := w.ca.certify(t, lifetime, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	w.write(t, "tls.key", key)
	w.write(t, "tls.crt", certificate)
}

// operator is the TLS of the caller whom the rights file names.
func (w *surroundings) operator(t *testing.T) *tls.Config {
	t.Helper()
	certificate, key := w.ca.certify(t, 24*time.Hour, func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "live.example", Path: "/operator"}}
	})
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: w.ca.pool, Certificates: []tls.Certificate{pair}}
}

// signer is an authority for certificates.
type signer struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
	pool        *x509.CertPool
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "live"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := &signer{key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pool: x509.NewCertPool()}
	if s.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	s.pool.AddCert(s.certificate)
	return s
}

// certify makes a certificate and its key, in PEM.
func (s *signer) certify(t *testing.T, lifetime time.Duration, change func(*x509.Certificate)) (certificate, key []byte) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime)}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, s.certificate, own.Public(), s.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}
