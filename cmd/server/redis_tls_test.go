//go:build redis

package main

import (
	"crypto/x509"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/freeport"
	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

// The certificate of Redis has expired: the server serves, without keys, and its log says why. With a new certificate
// it serves keys, and nobody has to start it again.
func TestAnExpiredCertificateOfRedis(t *testing.T) {
	authority := newCertificateAuthority(t, "redis")
	until := func(end time.Time) identity {
		return authority.issue(t, end.Unix(), x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) { c.NotAfter = end })
	}
	expired, valid := until(time.Now().Add(-time.Hour)), until(time.Now().Add(time.Hour))
	folder := files(t, map[string][]byte{
		"ca.crt": authority.pem, "expired.crt": expired.certificate, "expired.key": expired.key, "valid.crt": valid.certificate, "valid.key": valid.key,
	})
	at := func(name string) string { return filepath.Join(folder, name) }
	secure := freeport.ForTest(t)
	_, port, _ := net.SplitHostPort(secure)
	server := redistest.Start(t, "--tls-port", port, "--tls-auth-clients", "no", "--tls-cert-file", at("expired.crt"), "--tls-key-file", at("expired.key"), "--tls-ca-cert-file", at("ca.crt"))
	r := start(t, "--redis-url", "rediss://"+secure, "--redis-ca-file", at("ca.crt"), "--redis-min-replicas", "0")
	policies := pb.NewProtectionPolicyServiceClient(r.conn)
	redistest.Eventually(t, "the log has the cause", func() bool { return strings.Contains(r.log.String(), `"cause":"tls-expired"`) })
	if err := create(t.Context(), policies); err != nil {
		t.Errorf("without a key: %v", err)
	}
	if _, _, err := createKeyed(t.Context(), policies, uuid.NewString(), "a"); reasonOf(err) != "IDEMPOTENCY_STORE_UNAVAILABLE" {
		t.Errorf("with a key: %v", err)
	}
	server.Do("config", "set", "tls-cert-file", at("valid.crt"), "tls-key-file", at("valid.key"))
	redistest.Eventually(t, "keys are served", func() bool {
		_, _, err := createKeyed(t.Context(), policies, uuid.NewString(), "b")
		return err == nil
	})
}
