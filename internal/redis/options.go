package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// Timeout is how long a command may take, with the time that it waits for a connection.
	Timeout = 50 * time.Millisecond
	// probeTimeout is how long the goroutine that asks a Redis which is down waits. It makes the first connection, which
	// takes several round trips with TLS.
	probeTimeout = time.Second
	// maxConnections bounds the connections of one server.
	maxConnections = 32
)

// Options say which Redis it is, and who is told what it does.
type Options struct {
	// URL is `redis://host:port/database`, `rediss://…` with TLS, `unix:///path`, or the one of Sentinels:
	// `redis://sentinel-1:26379?master_name=NAME&addr=sentinel-2:26379`. CheckURL says what it may have.
	URL string
	// Namespace begins each key: the upstream and the application id, so that staging and production on one Redis do not
	// meet.
	Namespace []string

	// Username and Password authenticate each new connection to Redis. Password may be nil. It is called for each.
	Username string
	Password func() string
	// RootCAs are trusted with TLS; nil, or a nil pool, means those of the machine. Certificate is the client
	// certificate; nil for none. They are called for each new connection.
	RootCAs     func() *x509.CertPool
	Certificate func() *tls.Certificate

	// Patience is how long a command may take; 0 means the constant Timeout. Tests on a busy machine take more.
	Patience time.Duration

	// Logger gets a line when Redis comes up and when it goes down, with the cause. Nil logs nothing.
	Logger *slog.Logger
	// Observer is told of each command. Nil is told nothing.
	Observer Observer
}

// Observer is told of each command, from many goroutines at once. It must not wait.
type Observer interface {
	// RedisCommand is called with the name of the script, or the command in lower case. cause is empty for success.
	RedisCommand(name string, took time.Duration, cause Cause)
}

// CheckURL says what is wrong with a URL. Its errors do not repeat the URL. A user and a password are refused in it: it
// stands in the list of processes, in `server config` and in manifests. A password comes from a file, which can be
// replaced while the server runs.
func CheckURL(text string) error {
	_, err := parse(text)
	return err
}

// target is what a URL means. Exactly one of its fields is set.
type target struct {
	direct   *goredis.Options
	sentinel *goredis.FailoverOptions
}

func parse(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		return target{}, errors.New("it must be redis://host:port, rediss://host:port with TLS, or unix:///path")
	}
	if u.Scheme != "unix" && u.Hostname() == "" {
		return target{}, errors.New("it has no host")
	}
	if u.User != nil {
		return target{}, errors.New("it must have no user and no password: they belong into --redis-username and --redis-password-file")
	}
	for key := range u.Query() {
		switch key {
		case "db", "master_name", "addr":
		default:
			return target{}, fmt.Errorf("it has the option %q; allowed are db, and for Sentinels master_name and addr", key)
		}
	}
	if u.Query().Has("addr") && u.Query().Get("master_name") == "" {
		return target{}, errors.New("it has addr, which names another Sentinel, and no master_name")
	}
	var t target
	if u.Query().Has("master_name") {
		t.sentinel, err = goredis.ParseFailoverURL(text)
	} else {
		t.direct, err = goredis.ParseURL(text)
	}
	if err != nil {
		return target{}, errors.New("it cannot be read: host, port (also of each addr) or number of the database")
	}
	return t, nil
}

// connect returns a client of go-redis. It sends nothing. onConnect is called for each new connection.
func (o *Options) connect(onConnect func(context.Context, *goredis.Conn) error) (*goredis.Client, error) {
	to, err := parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("--redis-url: %w", err)
	}
	// It would write to standard error, besides the log.
	logging.Disable()
	credentials := func() (string, string) {
		if o.Password == nil {
			return o.Username, ""
		}
		return o.Username, o.Password()
	}
	if to.direct != nil {
		d := to.direct
		d.Dialer, d.CredentialsProvider, d.OnConnect = o.dialer(d.TLSConfig != nil), credentials, onConnect
		d.DialTimeout, d.ReadTimeout, d.WriteTimeout, d.PoolTimeout = probeTimeout, probeTimeout, probeTimeout, probeTimeout
		d.MaxRetries, d.DialerRetries, d.ContextTimeoutEnabled = -1, 1, true
		d.PoolSize, d.MaxActiveConns, d.PipelinePoolSize, d.DisableIdentity = maxConnections, maxConnections, -1, true
		d.ReadBufferSize, d.WriteBufferSize = 4<<10, 4<<10
		d.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		return goredis.NewClient(d), nil
	}
	s := to.sentinel
	s.Dialer, s.CredentialsProvider, s.OnConnect = o.dialer(s.TLSConfig != nil), credentials, onConnect
	s.DialTimeout, s.ReadTimeout, s.WriteTimeout, s.PoolTimeout = probeTimeout, probeTimeout, probeTimeout, probeTimeout
	s.MaxRetries, s.DialerRetries, s.ContextTimeoutEnabled = -1, 1, true
	s.PoolSize, s.MaxActiveConns, s.PipelinePoolSize, s.DisableIdentity = maxConnections, maxConnections, -1, true
	s.ReadBufferSize, s.WriteBufferSize = 4<<10, 4<<10
	return goredis.NewFailoverClient(s), nil
}

// dialer returns the function that makes connections, to Redis and to Sentinels. It takes certificates as they are when
// it is called.
func (o *Options) dialer(withTLS bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		// A subscription sends nothing, so only keep-alive finds that a firewall has forgotten it.
		plain := &net.Dialer{Timeout: probeTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3}}
		if !withTLS {
			return plain.DialContext(ctx, network, address)
		}
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.RootCAs != nil {
			config.RootCAs = o.RootCAs()
		}
		if o.Certificate != nil {
			config.Certificates = []tls.Certificate{*o.Certificate()}
		}
		return (&tls.Dialer{NetDialer: plain, Config: config}).DialContext(ctx, network, address)
	}
}
