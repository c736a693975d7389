//go:build redis

package redis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/internal/freeport"
	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

// check returns what Check says of a Redis.
func check(t *testing.T, o Options) (Facts, error) {
	t.Helper()
	return open(t, o).Check(t.Context())
}

// What is wrong is named, by a word and by a sentence.
func TestErrorsNameWhatIsWrong(t *testing.T) {
	plain, locked := redistest.Start(t), redistest.Start(t, "--requirepass", "canary")
	locked.Do("acl", "setuser", "few", "on", ">canary", "~*", "+set")
	locked.Do("acl", "setuser", "enough", "on", ">canary", "~*", "&*", "+set", "+publish")
	replica := redistest.Start(t)
	replica.Do("replicaof", "127.0.0.1", plain.Address[len("127.0.0.1:"):])
	password := func(text string) func() string { return func() string { return text } }
	for name, test := range map[string]struct {
		o    Options
		want Cause
		says string
	}{
		"well":                    {Options{URL: plain.URL()}, "", ""},
		"a password":              {Options{URL: locked.URL(), Password: password("canary")}, "", ""},
		"nobody listens":          {Options{URL: "redis://" + freeport.ForTest(t)}, CauseUnreachable, "not reachable"},
		"no password":             {Options{URL: locked.URL()}, CausePassword, "--redis-password-file"},
		"a wrong password":        {Options{URL: locked.URL(), Password: password("wrong-canary")}, CausePassword, "--redis-password-file"},
		"an unknown user":         {Options{URL: locked.URL(), Username: "nobody", Password: password("canary")}, CausePassword, "--redis-username"},
		"a user without channels": {Options{URL: locked.URL(), Username: "few", Password: password("canary")}, CausePermission, "ACL"},
		"a read-only one":         {Options{URL: replica.URL()}, CauseReadOnly, "must name the master"},
		"no TLS there":            {Options{URL: "rediss://" + plain.Address}, CauseTimeout, "TLS"},
		"not known Sentinel":      {Options{URL: plain.URL() + "?master_name=m"}, CauseNoMaster, "master"},
	} {
		t.Run(name, func(t *testing.T) {
			facts, err := check(t, test.o)
			if CauseOf(err) != test.want || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want %s", CauseOf(err), err, test.want)
			}
			if err == nil && (facts.Role != "master" || facts.RunID == "" || facts.MaxMemoryPolicy != "noeviction") {
				t.Errorf("%+v", facts)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
	if facts, err := check(t, Options{URL: locked.URL(), Username: "enough", Password: password("canary")}); err != nil || facts.Known {
		t.Errorf("a user who may not use INFO: %+v, %v", facts, err)
	}
}

// pair writes a certificate and its key, and returns the pool that trusts it.
func pair(t *testing.T, folder string, end time.Time, name string) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: end.Add(-48 * time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{name},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for file, content := range map[string][]byte{"tls.crt": certificate, "tls.key": private} {
		if err := os.WriteFile(filepath.Join(folder, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	both, err := tls.X509KeyPair(certificate, private)
	if err != nil {
		t.Fatal(err)
	}
	return pool, both
}

// The failures of TLS have names of their own, and a new certificate is used by the next connection.
func TestTLS(t *testing.T) {
	folder := t.TempDir()
	foreign, _ := pair(t, t.TempDir(), time.Now().Add(time.Hour), "127.0.0.1")
	pool, own := pair(t, folder, time.Now().Add(time.Hour), "127.0.0.1")
	secure := freeport.ForTest(t)
	_, port, _ := net.SplitHostPort(secure)
	at := func(name string) string { return filepath.Join(folder, name) }
	server := redistest.Start(t, "--tls-port", port, "--tls-cert-file", at("tls.crt"), "--tls-key-file", at("tls.key"), "--tls-ca-cert-file", at("tls.crt"))
	trust := func(pool *x509.CertPool) func() *x509.CertPool { return func() *x509.CertPool { return pool } }
	present := func(own tls.Certificate) func() *tls.Certificate { return func() *tls.Certificate { return &own } }
	is := func(what string, o Options, want Cause) {
		t.Helper()
		o.URL = "rediss://" + secure
		if _, err := check(t, o); CauseOf(err) != want {
			t.Errorf("%s: %s (%v), want %q", what, CauseOf(err), err, want)
		}
	}
	is("well", Options{RootCAs: trust(pool), Certificate: present(own)}, "")
	is("a foreign authority", Options{RootCAs: trust(foreign), Certificate: present(own)}, CauseTLSAuthority)
	is("no client certificate", Options{RootCAs: trust(pool)}, CauseTLS)
	for _, next := range []struct {
		what, name string
		end        time.Time
		want       Cause
	}{
		{"another host", "redis.example.com", time.Now().Add(time.Hour), CauseTLSName},
		{"an expired certificate", "127.0.0.1", time.Now().Add(-time.Hour), CauseTLSExpired},
	} {
		pool, own = pair(t, folder, next.end, next.name)
		server.Do("config", "set", "tls-cert-file", at("tls.crt"), "tls-key-file", at("tls.key"), "tls-ca-cert-file", at("tls.crt"))
		is(next.what, Options{RootCAs: trust(pool), Certificate: present(own)}, next.want)
	}
	if _, err := check(t, Options{URL: "redis://" + secure}); CauseOf(err) != CauseClosed {
		t.Errorf("no TLS here: %v", err)
	}
}

// WAIT goes over the connection of the script, and counts the replicas of Redis that have what it wrote.
func TestRunAndWait(t *testing.T) {
	master, replica := redistest.Start(t), redistest.Start(t)
	c := openUp(t, Options{URL: master.URL()})
	if _, err := c.Run(t.Context(), add, []string{"n"}, 0); err != nil {
		t.Fatal(err)
	}
	if result, replicas, err := c.RunAndWait(t.Context(), add, 1, 30*time.Millisecond, []string{"n"}, 1); result != int64(1) || replicas != 0 || err != nil {
		t.Fatalf("without a replica: %v, %d, %v", result, replicas, err)
	}
	_, port, _ := net.SplitHostPort(master.Address)
	replica.Do("replicaof", "127.0.0.1", port)
	redistest.Eventually(t, "the replica has what was written", func() bool {
		_, replicas, err := c.RunAndWait(t.Context(), add, 1, 30*time.Millisecond, []string{"n"}, 1)
		return replicas == 1 && err == nil
	})
	facts, err := c.Facts(t.Context())
	if err != nil || facts.Replicas != 1 || facts.RunID != c.RunID() {
		t.Errorf("%+v, %v", facts, err)
	}
}

// A Redis that starts anew has another run id before a command reaches it.
func TestAnotherRunID(t *testing.T) {
	server := redistest.Start(t)
	c := openUp(t, Options{URL: server.URL()})
	before := c.RunID()
	server.Kill()
	server.Restart()
	redistest.Eventually(t, "a command succeeds", func() bool {
		_, err := c.Do(t.Context(), "get", "x")
		if err == nil && c.RunID() == before {
			t.Fatal("a command succeeded, and the run id is the old one")
		}
		return err == nil
	})
}

// Each way in which Redis fails costs a command at most Timeout, and nothing when it counts as down.
func TestWhatFailuresCost(t *testing.T) {
	for name, fail := range map[string]func(*redistest.Server){"refused": (*redistest.Server).Kill, "hanging": (*redistest.Server).Freeze} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			c := openUp(t, Options{URL: server.URL(), Patience: Timeout})
			fail(server)
			var most time.Duration
			for n := 0; c.Up(); n++ {
				began := time.Now()
				if _, err := c.Run(context.Background(), add, []string{"n"}, 1); err == nil || n > failuresInARow {
					t.Fatalf("command %d: %v", n, err)
				}
				most = max(most, time.Since(began))
			}
			began := time.Now()
			for range 1000 {
				if _, err := c.Run(context.Background(), add, []string{"n"}, 1); CauseOf(err) != CauseDown {
					t.Fatal(err)
				}
			}
			t.Logf("figure: %s: a command costs at most %v while Redis goes down, and %v afterwards", name, most.Round(time.Millisecond), (time.Since(began) / 1000).Round(time.Microsecond))
			// A busy machine may add as much again.
			if most > 2*Timeout || time.Since(began) > time.Second {
				t.Errorf("%v, and %v for 1,000 commands", most, time.Since(began))
			}
		})
	}
}

// With Sentinels the connection follows the master.
func TestSentinel(t *testing.T) {
	master, _, sentinel := redistest.StartPair(t, "main")
	c := openUp(t, Options{URL: sentinel.URL() + "?master_name=main"})
	if _, err := c.Do(t.Context(), "set", "x", "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t, Options{URL: sentinel.URL() + "?master_name=another"}); CauseOf(err) != CauseNoMaster {
		t.Errorf("a master that nobody knows: %v", err)
	}
	before := c.RunID()
	master.Kill()
	redistest.Eventually(t, "the connection leads to the new master", func() bool {
		_, err := c.Do(t.Context(), "set", "x", "2")
		return err == nil
	})
	if c.RunID() == before {
		t.Error("the run id is that of the old master")
	}
}
