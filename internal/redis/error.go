package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
)

// Cause is why a command failed, in one kebab-case word. It is a label of metrics.
type Cause string

// The causes.
const (
	// CauseDown is a command that was not sent, because Redis is down (see the comment of the package).
	CauseDown Cause = "down"
	// CauseName is a host name that no address was found for.
	CauseName Cause = "name-unknown"
	// CauseUnreachable is a connection that was refused, or that no route leads to.
	CauseUnreachable Cause = "unreachable"
	// CauseTimeout is a response that did not come in time.
	CauseTimeout Cause = "timeout"
	// CauseClosed is a connection that Redis closed. One that expects TLS does so when it gets none.
	CauseClosed Cause = "closed"
	// CauseTLS is a handshake that failed for another reason than the next three.
	CauseTLS Cause = "tls"
	// CauseTLSName is a certificate of another host.
	CauseTLSName Cause = "tls-name"
	// CauseTLSExpired is a certificate that has expired, or is not valid yet.
	CauseTLSExpired Cause = "tls-expired"
	// CauseTLSAuthority is a certificate of an authority that is not trusted.
	CauseTLSAuthority Cause = "tls-authority"
	// CausePassword is a user or password that Redis refuses, or the lack of one.
	CausePassword Cause = "password"
	// CausePermission is a command or key that the user may not use (ACL).
	CausePermission Cause = "permission"
	// CauseReadOnly is a Redis that is a replica.
	CauseReadOnly Cause = "read-only"
	// CauseVersion is a Redis that is older than version 7.
	CauseVersion Cause = "too-old"
	// CauseMemory is a Redis that has no memory left.
	CauseMemory Cause = "out-of-memory"
	// CauseLoading is a Redis that reads its data after a start, or that has lost its master.
	CauseLoading Cause = "loading"
	// CauseNoMaster is a Sentinel that does not know the master.
	CauseNoMaster Cause = "no-master"
	// CauseCanceled is a caller that did not wait for the response. It says nothing about Redis.
	CauseCanceled Cause = "canceled"
	// CauseOther is any other failure, such as the error of a script.
	CauseOther Cause = "other"
)

// Causes are all causes.
func Causes() []Cause {
	return []Cause{
		CauseDown, CauseName, CauseUnreachable, CauseTimeout, CauseClosed, CauseTLS, CauseTLSName, CauseTLSExpired, CauseTLSAuthority,
		CausePassword, CausePermission, CauseReadOnly, CauseVersion, CauseMemory, CauseLoading, CauseNoMaster, CauseCanceled, CauseOther,
	}
}

// meaning says in words what a cause means to an operator.
var meaning = map[Cause]string{
	CauseDown:         "it did not answer before, and is asked again in the background",
	CauseName:         "no address is known for its name",
	CauseUnreachable:  "it is not reachable",
	CauseTimeout:      "it did not answer in time; one without TLS does not answer to rediss:// either",
	CauseClosed:       "it closed the connection; one that expects TLS needs rediss:// in --redis-url",
	CauseTLS:          "the TLS handshake failed; one without TLS needs redis:// in --redis-url",
	CauseTLSName:      "its certificate is of another host",
	CauseTLSExpired:   "its certificate has expired, or is not valid yet",
	CauseTLSAuthority: "its certificate is of an authority that is not trusted, see --redis-ca-file",
	CausePassword:     "it refuses user or password, see --redis-username and --redis-password-file",
	CausePermission:   "the user may not do this, see its ACL",
	CauseReadOnly:     "it is a replica, which takes no writes: --redis-url must name the master, or Sentinels",
	CauseVersion:      "it is older than version 7",
	CauseMemory:       "it has no memory left",
	CauseLoading:      "it is not ready: it loads its data, or has lost its master",
	CauseNoMaster:     "no Sentinel knows a master of this name",
	CauseCanceled:     "the caller did not wait for it",
	CauseOther:        "it failed",
}

// Error is the failure of a command. Its text has no secrets.
type Error struct {
	Cause Cause
	// Err is what go-redis says; nil when nothing was sent.
	Err error
}

func (e *Error) Error() string {
	text := "Redis: " + meaning[e.Cause]
	if e.Err != nil {
		text += " (" + e.Err.Error() + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// CauseOf is the cause of an error of this package, empty for nil.
func CauseOf(err error) Cause {
	if err == nil {
		return ""
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return own.Cause
	}
	return CauseOther
}

// errVersion and errReadOnly are what a new connection is refused for.
var (
	errVersion  = errors.New("INFO names a redis_version below 7")
	errReadOnly = errors.New("INFO names another role than master")
)

// wrap makes an *Error of an error of go-redis; nil stays nil. ctx is the caller's.
func wrap(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	if ctx.Err() != nil {
		return &Error{CauseCanceled, err}
	}
	return &Error{classify(err), err}
}

func classify(err error) Cause {
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case is(errVersion):
		return CauseVersion
	case is(errReadOnly), goredis.IsReadOnlyError(err):
		return CauseReadOnly
	case goredis.IsAuthError(err), goredis.HasErrorPrefix(err, "WRONGPASS"), goredis.HasErrorPrefix(err, "NOAUTH"):
		return CausePassword
	case goredis.IsPermissionError(err):
		return CausePermission
	case goredis.IsOOMError(err):
		return CauseMemory
	case goredis.IsLoadingError(err), goredis.IsMasterDownError(err), goredis.HasErrorPrefix(err, "BUSY"):
		return CauseLoading
	case is(goredis.Nil):
		// Scripts that return nothing are no error: only Sentinel answers so, see Client.send.
		return CauseNoMaster
	}
	return classifyConnection(err)
}

// classifyConnection says why there is no connection.
func classifyConnection(err error) Cause {
	is := func(target error) bool { return errors.Is(err, target) }
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return CauseTLSName
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return CauseTLSAuthority
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return CauseTLSExpired
		}
		return CauseTLS
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return CauseTLS
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return CauseTLS
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok && operation.Op == "remote error" {
		// An alert of TLS, such as that of a client certificate which is missing.
		return CauseTLS
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok && !name.IsTimeout {
		return CauseName
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || is(context.DeadlineExceeded) || is(os.ErrDeadlineExceeded) || is(goredis.ErrPoolTimeout) {
		return CauseTimeout
	}
	switch {
	case is(syscall.ECONNREFUSED), is(syscall.EHOSTUNREACH), is(syscall.ENETUNREACH), is(syscall.ENOENT):
		return CauseUnreachable
	case is(io.EOF), is(io.ErrUnexpectedEOF), is(syscall.ECONNRESET), is(syscall.EPIPE), is(net.ErrClosed), is(goredis.ErrClosed):
		return CauseClosed
	case strings.Contains(err.Error(), "all sentinels specified"):
		return CauseNoMaster
	}
	return CauseOther
}
