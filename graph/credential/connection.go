package credential

import (
	"cmp"
	"context"
	"net/http"
	"sync/atomic"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/internal/connection"
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
type connectionError struct{ cause graph.Cause }

func (*connectionError) Error() string { return "the authority sent no response" }

// asConnectionError says why a connection failed. A failure that is not known does not last: the authority counts as
// unavailable.
func asConnectionError(err error) *connectionError {
	return &connectionError{cmp.Or(graph.Cause(connection.CauseOf(err)), graph.CauseAuthorityUnavailable)}
}

// recorder is a transport that tells the attempt of a request why its connection failed.
type recorder struct{ http.RoundTripper }

func (r recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.RoundTripper.RoundTrip(request)
	attempt := attemptOf(request.Context())
	attempt.failed.Store(nil)
	if err != nil {
		attempt.failed.Store(asConnectionError(err))
	}
	return response, err
}

// CloseIdleConnections is called by http.Client.
func (r recorder) CloseIdleConnections() {
	if transport, ok := r.RoundTripper.(*http.Transport); ok {
		transport.CloseIdleConnections()
	}
}

// timedOut reports whether there was no response because the time was over. That says nothing about the next request.
func timedOut(err *graph.TokenError) bool { return err.Cause == graph.CauseTimeout }

// broke reports whether the connection was there and ended before the response, as those do that a peer or something on
// the way has forgotten. A new one may work at once.
func broke(err *graph.TokenError) bool { return err.Cause == graph.CauseReset }
