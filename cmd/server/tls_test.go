package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// tlsFlags are the flags for the files of a folder: tls.crt, tls.key, and ca.crt for client certificates.
func tlsFlags(folder string, clientAuth string) []string {
	flags := []string{"--tls-certificate-file", filepath.Join(folder, "tls.crt"), "--tls-key-file", filepath.Join(folder, "tls.key")}
	if clientAuth != clientAuthNone {
		flags = append(flags, "--tls-client-ca-file", filepath.Join(folder, "ca.crt"), "--tls-client-auth", clientAuth)
	}
	return flags
}

// call makes one call over a new connection.
func callOnce(t *testing.T, target string, transport credentials.TransportCredentials) error {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(transport))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(t.Context(), new(pb.GetBackupRestoreRequest))
	return err
}

func TestClientCertificatesAsTheFlagSays(t *testing.T) {
	own, foreign := newCertificateAuthority(t, "own"), newCertificateAuthority(t, "foreign")
	server := own.server(t, 1)
	folder := files(t, map[string][]byte{"tls.crt": server.certificate, "tls.key": server.key, "ca.crt": own.pem})
	good, bad := own.client(t).pair(t), foreign.client(t).pair(t)
	// A certificate of the right authority that is for servers.
	misused := server.pair(t)
	for _, test := range []struct {
		clientAuth                  string
		without, good, bad, misused bool
	}{
		{clientAuthNone, true, true, true, true},
		{clientAuthOptional, true, true, false, false},
		{clientAuthRequired, false, true, false, false},
	} {
		r := start(t, tlsFlags(folder, test.clientAuth)...)
		for _, c := range []struct {
			name string
			with *tls.Certificate
			want bool
		}{{"none", nil, test.without}, {"a good one", &good, test.good}, {"a foreign one", &bad, test.bad}, {"one of a server", &misused, test.misused}} {
			config := &tls.Config{RootCAs: own.pool()}
			if c.with != nil {
				// Certificates alone would send none that the server does not ask for.
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.with, nil }
			}
			if err := callOnce(t, r.address, credentials.NewTLS(config)); (err == nil) != c.want {
				t.Errorf("%s, %s: %v, want success %v", test.clientAuth, c.name, err, c.want)
			}
		}
		if err := callOnce(t, r.address, insecure.NewCredentials()); err == nil {
			t.Errorf("%s: a call without TLS was served", test.clientAuth)
		}
		if !strings.Contains(r.banner, "grpcurl -cacert CA_FILE ") || strings.Contains(r.banner, "-cert ") != (test.clientAuth == clientAuthRequired) {
			t.Errorf("%s: banner %s", test.clientAuth, r.banner)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	own := newCertificateAuthority(t, "own")
	server := own.server(t, 1)
	folder := files(t, map[string][]byte{"tls.crt": server.certificate, "tls.key": server.key})
	for _, test := range []struct {
		flag    string
		version uint16
		want    bool
	}{
		{"1.3", tls.VersionTLS13, true},
		{"1.3", tls.VersionTLS12, false},
		{"1.2", tls.VersionTLS12, true},
		{"1.2", tls.VersionTLS11, false},
	} {
		r := start(t, append(tlsFlags(folder, clientAuthNone), "--tls-min-version", test.flag)...)
		config := &tls.Config{RootCAs: own.pool(), MinVersion: test.version, MaxVersion: test.version}
		if err := callOnce(t, r.address, credentials.NewTLS(config)); (err == nil) != test.want {
			t.Errorf("--tls-min-version %s with %s: %v, want success %v", test.flag, tls.VersionName(test.version), err, test.want)
		}
	}
}

// A session that was begun under one set of client CAs must not be resumed under the next.
func TestNoSessionIsResumed(t *testing.T) {
	own := newCertificateAuthority(t, "own")
	server := own.server(t, 1)
	folder := files(t, map[string][]byte{"tls.crt": server.certificate, "tls.key": server.key, "ca.crt": own.pem})
	r := start(t, tlsFlags(folder, clientAuthRequired)...)
	sessions := &countedSessions{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	config := &tls.Config{RootCAs: own.pool(), Certificates: []tls.Certificate{own.client(t).pair(t)}, ClientSessionCache: sessions}
	for range 2 {
		if err := callOnce(t, r.address, credentials.NewTLS(config)); err != nil {
			t.Error(err)
		}
	}
	if n := sessions.kept(); n != 0 {
		t.Errorf("the server gave out %d tickets", n)
	}
}

// countedSessions counts the sessions that a client could resume.
type countedSessions struct {
	tls.ClientSessionCache
	mu sync.Mutex
	n  int
}

func (c *countedSessions) Put(key string, session *tls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if session != nil {
		c.n++
	}
	c.ClientSessionCache.Put(key, session)
}

func (c *countedSessions) kept() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// Files that are wrong at the start end it with one line, which has nothing of them.
func TestWrongFilesOfTLSPreventStart(t *testing.T) {
	const canary = "canary-of-a-file"
	own := newCertificateAuthority(t, "own")
	good, other := own.server(t, 1), own.server(t, 2)
	client := own.client(t)
	expired := own.issue(t, 3, x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	early := own.issue(t, 4, x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
	garbage := []byte("-----BEGIN " + canary + "-----\n" + canary + "\n-----END " + canary + "-----\n")
	for _, test := range []struct {
		name         string
		crt, key, ca []byte
		says         string
	}{
		{"no certificate", nil, good.key, own.pem, "--tls-certificate-file"},
		{"no key", good.certificate, nil, own.pem, "no such file"},
		{"no client CAs", good.certificate, good.key, nil, "--tls-client-ca-file"},
		{"garbage as certificate", garbage, good.key, own.pem, "--tls-certificate-file"},
		{"garbage as key", good.certificate, garbage, own.pem, "of another certificate"},
		{"garbage as client CAs", good.certificate, good.key, garbage, "--tls-client-ca-file"},
		{"half a key", good.certificate, good.key[:len(good.key)/2], own.pem, "of another certificate"},
		{"the key of another certificate", good.certificate, other.key, own.pem, "of another certificate"},
		{"both exchanged", good.key, good.certificate, own.pem, "no certificate"},
		{"an expired certificate", expired.certificate, expired.key, own.pem, "expired"},
		{"a certificate of tomorrow", early.certificate, early.key, own.pem, "valid only from"},
		{"the certificate of a client", client.certificate, client.key, own.pem, "serverAuth"},
	} {
		contents := map[string][]byte{"tls.crt": test.crt, "tls.key": test.key, "ca.crt": test.ca}
		for name, content := range contents {
			if content == nil {
				delete(contents, name)
			}
		}
		c, err := readConfig(append(tlsFlags(files(t, contents), clientAuthRequired), "--listen", "127.0.0.1:0"), nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err = run(t.Context(), c, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want a line with %q", test.name, err, test.says)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the line has what stands in a file: %v", test.name, err)
		}
	}
}

// A client that connects and says nothing, or stops in the middle of the beginning, loses its connection after 5 s.
func TestSilentConnectionsOverTLSAreClosed(t *testing.T) {
	own := newCertificateAuthority(t, "own")
	server := own.server(t, 1)
	folder := files(t, map[string][]byte{"tls.crt": server.certificate, "tls.key": server.key})
	r := start(t, tlsFlags(folder, clientAuthNone)...)
	var all sync.WaitGroup
	for _, test := range []struct {
		name  string
		begin func(net.Conn) error
	}{
		{"nothing", func(net.Conn) error { return nil }},
		{"half a record", func(conn net.Conn) error {
			_, err := conn.Write([]byte{22, 3, 1, 2, 0, 1})
			return err
		}},
		{"a handshake, and no HTTP/2", func(conn net.Conn) error {
			return tls.Client(conn, &tls.Config{RootCAs: own.pool(), ServerName: "127.0.0.1", NextProtos: []string{"h2"}}).HandshakeContext(t.Context())
		}},
		{"half a preface of HTTP/2", func(conn net.Conn) error {
			_, err := tls.Client(conn, &tls.Config{RootCAs: own.pool(), ServerName: "127.0.0.1", NextProtos: []string{"h2"}}).Write([]byte("PRI * HTTP/2.0\r\n"))
			return err
		}},
	} {
		all.Go(func() {
			start := time.Now()
			conn, err := net.Dial("tcp", r.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if err := test.begin(conn); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			if err := conn.SetReadDeadline(start.Add(15 * time.Second)); err != nil {
				t.Error(err)
			}
			_, err = io.Copy(io.Discard, conn)
			if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
				t.Errorf("%s: the connection is open after 15 s", test.name)
			}
			if took := time.Since(start); took < 4*time.Second || took > 10*time.Second {
				t.Errorf("%s: the connection was closed after %v, want 5 s", test.name, took)
			}
		})
	}
	all.Wait()
}
