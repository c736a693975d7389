package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// handshakes are transport credentials that log the handshakes that fail: neither gRPC nor the caller's call leaves a
// trace of them, and whoever forgot a certificate asks the operator why.
type handshakes struct {
	credentials.TransportCredentials
	logger *slog.Logger
	limit  *handshakeLimit
}

// handshakeLimit bounds the lines: strangers can fail as often as they like.
type handshakeLimit struct {
	mu    sync.Mutex
	last  time.Time
	count int
}

// handshakePause is the time between two lines.
const handshakePause = time.Second

// logHandshakes returns the credentials, nil for nil.
func logHandshakes(inner credentials.TransportCredentials, logger *slog.Logger) credentials.TransportCredentials {
	if inner == nil {
		return nil
	}
	return handshakes{inner, logger, new(handshakeLimit)}
}

// ServerHandshake implements credentials.TransportCredentials.
func (h handshakes) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := h.TransportCredentials.ServerHandshake(conn)
	if err == nil {
		return secured, info, nil
	}
	if count, ok := h.limit.take(time.Now()); ok {
		host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		h.logger.Warn("TLS handshakes failed", slog.String("cause", handshakeCause(err)), slog.String("peer", host), slog.Int("count", count))
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (h handshakes) Clone() credentials.TransportCredentials {
	return handshakes{h.TransportCredentials.Clone(), h.logger, h.limit}
}

// take counts a failed handshake, and reports whether it gets a line, and how many that line is about.
func (l *handshakeLimit) take(now time.Time) (count int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if now.Sub(l.last) < handshakePause {
		return 0, false
	}
	count, l.count, l.last = l.count, 0, now
	return count, true
}

// handshakeCause says in fixed words why a handshake failed: the texts of crypto/x509 repeat what stands in a
// stranger's certificate.
func handshakeCause(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	var timeout net.Error
	text := err.Error()
	switch {
	case strings.Contains(text, "client didn't provide a certificate"):
		return "the client has no certificate"
	case errors.As(err, &unknown):
		return "the client's certificate is of an unknown authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the client's certificate has expired, or is not valid yet"
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "the client's certificate is not for clients"
	case errors.As(err, &invalid):
		return "the client's certificate is invalid"
	case errors.As(err, &noTLS), strings.Contains(text, "does not look like a TLS handshake"):
		return "the client speaks no TLS"
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "protocol version"):
		return "the client's versions of TLS are too old"
	case strings.Contains(text, "remote error: tls: "):
		// The alerts have fixed names.
		_, alert, _ := strings.Cut(text, "remote error: tls: ")
		return "the client refused: " + alert
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the client was silent"
	case errors.Is(err, io.EOF):
		return "the client closed the connection"
	}
	return "other"
}
