package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/idempotency/redisstore"
	"github.com/m365backup/backupstorage/internal/redis"
	"github.com/m365backup/backupstorage/internal/reload"
	"github.com/m365backup/backupstorage/internal/sharedthrottle"
)

// redisConfig holds the flags of the Redis that replicas share.
type redisConfig struct {
	URL             string `name:"url" placeholder:"URL" help:"Redis 7 or newer, or Valkey, that the replicas share: redis://HOST:PORT, rediss:// with TLS, or Sentinels: redis://HOST:PORT?master_name=NAME&addr=HOST:PORT; without it each replica is on its own" page:"[Redis](replicas.md) 7 or newer, or Valkey, that the replicas share: ~redis://HOST:PORT/DATABASE~, ~rediss://~ with TLS, ~unix:///PATH~, or Sentinels: ~redis://HOST:PORT?master_name=NAME&addr=HOST:PORT~. It must not have a password. Without it each replica is on its own"`
	Username        string `placeholder:"NAME" help:"user of Redis; the default is its default user"`
	PasswordFile    string `placeholder:"PATH" help:"file with the password of Redis, read again when it changes" page:"file with the password of Redis, [read again when it changes](#files-that-change)"`
	CAFile          string `name:"ca-file" placeholder:"PATH" help:"PEM file with the root certificates to trust for Redis, read again when it changes; replaces those of the machine" page:"PEM file with the root certificates to trust for Redis, [read again when it changes](#files-that-change); replaces those of the machine"`
	CertificateFile string `placeholder:"PATH" help:"PEM file with the client certificate for Redis, read again when it changes" page:"PEM file with the client certificate for Redis, [read again when it changes](#files-that-change)"`
	KeyFile         string `placeholder:"PATH" help:"PEM file with the private key of --redis-certificate-file, read again when it changes" page:"PEM file with the private key of ~--redis-certificate-file~, [read again when it changes](#files-that-change)"`
}

// on reports whether there is a Redis.
func (c *redisConfig) on() bool { return c.URL != "" }

// check refuses flags that contradict each other.
func (c *redisConfig) check() error {
	if !c.on() {
		if c.Username != "" || c.PasswordFile != "" || c.CAFile != "" || c.CertificateFile != "" || c.KeyFile != "" {
			return errors.New("the --redis- flags have no effect without --redis-url")
		}
		return nil
	}
	if err := redis.CheckURL(c.URL); err != nil {
		// The value is not printed: it can contain a password.
		return fmt.Errorf("--redis-url: %w", err)
	}
	if (c.CertificateFile == "") != (c.KeyFile == "") {
		return errors.New("--redis-certificate-file and --redis-key-file must be set both, or none of them")
	}
	if c.CAFile+c.CertificateFile != "" && !strings.HasPrefix(c.URL, "rediss://") {
		return errors.New("--redis-ca-file and --redis-certificate-file have no effect without TLS: --redis-url must begin with rediss://")
	}
	if c.Username != "" && c.PasswordFile == "" {
		return errors.New("--redis-username needs --redis-password-file")
	}
	return nil
}

// options reads the files and returns what the connection needs. Each new connection gets what is in the files by then.
func (c *redisConfig) options(files *reload.Reader) (o redis.Options, err error) {
	o = redis.Options{URL: c.URL, Username: c.Username}
	if c.PasswordFile != "" {
		password, err := reload.Open(files, "redis-password", parseRedisPassword, c.PasswordFile)
		if err != nil {
			return o, fmt.Errorf("--redis-password-file: %w", err)
		}
		o.Password = password.Get
	}
	if c.CAFile != "" {
		roots, err := reload.Open(files, "redis-ca", parseCAs, c.CAFile)
		if err != nil {
			return o, fmt.Errorf("--redis-ca-file: %w", err)
		}
		o.RootCAs = func() *x509.CertPool { return roots.Get().pool }
	}
	if c.CertificateFile != "" {
		pair, err := reload.Open(files, "redis-certificate", parseClientPair, c.CertificateFile, c.KeyFile)
		if err != nil {
			return o, fmt.Errorf("--redis-certificate-file and --redis-key-file: %w", err)
		}
		o.Certificate = pair.Get
	}
	return o, nil
}

// parseRedisPassword reads the file of a password, whose line end is none of it.
func parseRedisPassword(contents [][]byte) (string, error) {
	password := strings.TrimRight(string(contents[0]), "\r\n")
	if password == "" {
		return "", errors.New("the file is empty")
	}
	return password, nil
}

// parseClientPair reads certificate and key. Its errors are fixed texts: those of crypto/tls repeat what stands in the
// files.
func parseClientPair(contents [][]byte) (*tls.Certificate, error) {
	if _, err := readCertificates(contents[0]); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return nil, errors.New("the private key is missing, broken, or of another certificate")
	}
	return &pair, nil
}

// sharedRedis is the Redis with what is kept there.
type sharedRedis struct {
	client    *redis.Client
	throttles *sharedthrottle.Store
	// records are those of idempotency keys; nil when they are kept elsewhere, or not at all.
	records *redisstore.Store
}

// openRedis returns the Redis, nil without one. It does not wait for it: a server serves without.
func (c *config) openRedis(files *reload.Reader, logger *slog.Logger) (*sharedRedis, error) {
	if !c.Redis.on() {
		return nil, nil
	}
	o, err := c.Redis.options(files)
	if err != nil {
		return nil, err
	}
	o.Namespace, o.Logger = c.redisNamespace(), logger
	client, err := redis.Open(o)
	if err != nil {
		return nil, err
	}
	return &sharedRedis{client: client, throttles: sharedthrottle.New(client)}, nil
}

// shared is what the Graph client shares; nil without Redis.
func (r *sharedRedis) shared() graph.SharedThrottles {
	// A nil pointer would be a store.
	if r == nil {
		return nil
	}
	return r.throttles
}

func (r *sharedRedis) close() {
	if r != nil {
		if r.records != nil {
			r.records.Close()
		}
		r.client.Close()
	}
}

// commands are the commands to Redis by result. A label has at most 16 values: the failures of TLS are one.
func (r *sharedRedis) commands() map[string]uint64 {
	all := make(map[string]uint64)
	for cause, n := range r.client.Commands() {
		result := cmp.Or(string(cause), "ok")
		if strings.HasPrefix(result, "tls") {
			result = "tls"
		}
		all[result] += n
	}
	return all
}

// redisNamespace says whose the keys in Redis are: upstream and application. Two servers that agree in both share their
// throttles.
func (c *config) redisNamespace() []string {
	upstream := c.GraphEndpoint
	if u, err := url.Parse(upstream); err == nil && u.Host != "" {
		upstream = strings.ToLower(u.Host)
	}
	return []string{upstream, cmp.Or(c.Credential.ClientID, c.getenvOf("AZURE_CLIENT_ID"), c.Credential.HomeTenant, credentialNone)}
}

func (c *config) getenvOf(name string) string {
	if c.getenv == nil {
		return ""
	}
	return c.getenv(name)
}

// checkRedis says what the Redis is, or what is wrong with it.
func (c *config) checkRedis(ctx context.Context) finding {
	o, err := c.Redis.options(nil)
	if err != nil {
		return finding{says: err.Error()}
	}
	client, err := redis.Open(o)
	if err != nil {
		return finding{says: err.Error()}
	}
	defer client.Close()
	facts, err := client.Check(ctx)
	switch {
	case err != nil:
		return finding{says: string(redis.CauseOf(err)) + " (" + err.Error() + ")"}
	case !facts.Known:
		return finding{ok: true, says: "reached; the user may not use INFO, so version and role are not checked"}
	}
	return finding{ok: true, says: fmt.Sprintf("version %s, %s, %d replicas, maxmemory-policy %s", facts.Version, facts.Role, facts.Replicas, facts.MaxMemoryPolicy)}
}
