package credential

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
)

// attempt is one token request of a flight. It travels in the context, since azidentity passes nothing else on to the
// transport, and returns the errors of the transport as text.
type attempt struct {
	// second is the request that is sent because the first one hangs, or because its connection broke. It needs a new
	// connection, since that of the first one may be dead.
	second bool
	// failed is the error of the last connection, nil after a response.
	failed atomic.Pointer[connectionError]
}

type attemptKey struct{}

func withAttempt(ctx context.Context, a *attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// attemptOf returns the attempt of a context, a new one if it has none.
func attemptOf(ctx context.Context) *attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return new(attempt)
}

// connectionError is a connection to the authority that brought no response. It has no text of the transport's error,
// which may hold anything, such as the password of a proxy.
type connectionError struct {
	// timedOut is a peer that did not respond in time: that says nothing about the next request.
	timedOut bool
	// broken is a connection that was there and ended before the response, as those do that a peer or something on the way
	// has forgotten. A new one may work at once.
	broken bool
}

func (*connectionError) Error() string { return "the authority sent no response" }

func asConnectionError(err error) *connectionError {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &connectionError{timedOut: true}
	}
	for _, broken := range []error{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, broken) {
			return &connectionError{broken: true}
		}
	}
	// net/http has no types for these: errors of an HTTP/2 connection, such as one that no longer responds to pings, and a
	// connection that the peer closed while it was idle.
	text := err.Error()
	return &connectionError{broken: strings.HasPrefix(text, "http2: ") || strings.HasPrefix(text, "http: server closed idle connection")}
}

// timedOut reports whether there was no response because the time was over.
func timedOut(err error) bool {
	var failed *connectionError
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &failed) && failed.timedOut
}

// broke reports whether the connection ended before the response.
func broke(err error) bool {
	var failed *connectionError
	return errors.As(err, &failed) && failed.broken
}
