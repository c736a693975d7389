package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/internal/connection"
	"github.com/m365backup/backupstorage/graph/internal/errorbody"
)

// Kind says how far a request came before it failed.
type Kind int

// The kinds of failure.
const (
	// KindResponse is an error response of Graph.
	KindResponse Kind = iota
	// KindInvalidResponse is a response that cannot be used: a redirect, a header block over 64 KiB, a body that is cut,
	// too large or of another type.
	KindInvalidResponse
	// KindInvalidRequest is a request that cannot be sent as it is. Nothing was sent.
	KindInvalidRequest
	// KindToken is a request for which there was no token. Nothing was sent.
	KindToken
	// KindUnreachable is a request that got no response because of the network.
	KindUnreachable
	// KindDeadline is a request whose deadline passed, KindCancelled one whose caller cancelled it.
	KindDeadline
	KindCancelled
	// KindThrottled is a request that was not sent because Graph would refuse it. RetryAfter says for how long.
	KindThrottled
	// KindOverloaded is a request that was not sent because too many of its tenant wait already, or the response to a read
	// for which Request.Grow had no memory. Nothing was changed.
	KindOverloaded
	// KindHeldBack is a request that Request.BeforeSend kept back, with its error. Nothing was sent.
	KindHeldBack
)

// Error is a failed request, with all that Graph said about it.
type Error struct {
	Kind Kind
	// Meta is the head of Graph's response, zero when there was none. With KindToken it is that of the response that
	// demanded another token, and so are Codes.
	Meta
	// Codes are the codes of Graph's error from the outermost to the deepest inner one, in Graph's spelling; at most
	// nine, of at most 256 bytes each.
	Codes []string
	// Message is Graph's text for developers, cut to 4,096 bytes. It can hold names and addresses of the tenant.
	Message string
	// Target is what Graph says the error is about, cut to 2,048 bytes.
	Target string
	// Details are the separate errors of a request about several things, the first 50,000 of them.
	Details []Detail
	// RetryAfter is how long Graph asks to wait, when HasRetryAfter says that it did so in a way to believe.
	RetryAfter    time.Duration
	HasRetryAfter bool
	// InsufficientClaims says that the response demands a token with further claims.
	InsufficientClaims bool
	// Cause says what is wrong with an invalid response, or why the connection failed; empty when that is not known.
	Cause Cause
	// Sent is set when Graph may have received the request, for requests that change something.
	Sent bool
	// Lost is set when the response to an earlier attempt of a DELETE was lost.
	Lost bool
	// Token says why there is no token, for KindToken.
	Token TokenKind
	// Err is the underlying error; nil when Graph's response is all there is.
	Err error
	// scope is the header x-ms-throttle-scope, claims the JSON of the claims that Graph demands.
	scope, claims string
}

// Detail is one of the separate errors of a request about several things. Its texts are cut: Code to 256 bytes, Message
// to 4,096, Target to 2,048.
type Detail = errorbody.Detail

// ErrorBody reads an error that came in a response with a good status: an error object inside a resource, or a whole
// body that has one in `error`. An array counts as its first element. Of a text that is no JSON it keeps what comes
// before the mistake.
func ErrorBody(text []byte) *Error {
	e := &Error{Kind: KindResponse}
	e.add(errorbody.Parse(text, e.head()))
	return e
}

// head is what the headers have said already.
func (e *Error) head() errorbody.Head {
	return errorbody.Head{RequestID: e.RequestID, ClientRequestID: e.ClientRequestID, Date: e.Date}
}

// add adds what the body says.
func (e *Error) add(body errorbody.Body) {
	e.RequestID, e.ClientRequestID, e.Date = body.RequestID, body.ClientRequestID, body.Date
	e.Codes, e.Message, e.Target, e.Details = body.Codes, body.Message, body.Target, body.Details
}

// Error describes the failure without any text of Graph. It is safe to log.
func (e *Error) Error() string {
	switch e.Kind {
	case KindResponse:
		if len(e.Codes) > 0 {
			return fmt.Sprintf("graph responded %d %s", e.Status, e.Codes[len(e.Codes)-1])
		}
		return fmt.Sprintf("graph responded %d", e.Status)
	case KindInvalidResponse:
		return "graph response cannot be used: " + string(e.Cause)
	case KindInvalidRequest:
		return "request cannot be sent to graph"
	case KindToken:
		return "no token for graph"
	case KindDeadline:
		return "deadline passed while graph was called"
	case KindCancelled:
		return "caller cancelled while graph was called"
	case KindThrottled:
		return "graph would throttle the request"
	case KindHeldBack:
		return "request to graph was kept back"
	case KindOverloaded:
		return "too many requests to graph are under way"
	}
	return "graph is unreachable"
}

// ResponseLost reports whether Graph may have carried out a request although its response is lost: the connection was
// cut, the response cannot be read, or a gateway stopped waiting for it. It only has a meaning for requests that change
// something.
func (e *Error) ResponseLost() bool {
	switch e.Kind {
	case KindUnreachable, KindInvalidResponse:
		return e.Sent
	case KindResponse:
		return e.Status == http.StatusRequestTimeout || e.Status == http.StatusBadGateway || e.Status == http.StatusGatewayTimeout
	}
	return false
}

// lostRace reports whether the directory refused the request because of another change at the same time. The code must
// be the innermost one of a 409: a deeper code says more, and another status can come from a gateway.
func (e *Error) lostRace() bool {
	return e.Kind == KindResponse && e.Status == http.StatusConflict && len(e.Codes) > 0 &&
		strings.EqualFold(e.Codes[len(e.Codes)-1], "Directory_ConcurrencyViolation")
}

// Gone reports whether Graph does not know the resource any more. A gateway that does not know the path responds with
// 404 as well, but without a code.
func (e *Error) Gone() bool {
	return e.Kind == KindResponse && e.Status == http.StatusNotFound && len(e.Codes) > 0
}

// Unwrap returns the underlying error.
func (e *Error) Unwrap() error { return e.Err }

// contextError returns the error of a request that ended because of its context, nil if it did not.
func contextError(ctx context.Context, err error, sent bool) *Error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Kind: KindCancelled, Sent: sent, Err: err}
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) && pastDeadline(ctx):
		return &Error{Kind: KindDeadline, Sent: sent, Err: err}
	}
	return nil
}

// pastDeadline reports whether the deadline has passed, also in the moment before the context notices. The timeouts of
// the dialer and the transport are context.DeadlineExceeded as well, but not the caller's.
func pastDeadline(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

func tokenError(ctx context.Context, err error) *Error {
	if e := contextError(ctx, err, false); e != nil {
		return e
	}
	failed := &Error{Kind: KindToken, Err: err}
	if why, ok := errors.AsType[*TokenError](err); ok {
		failed.Token = why.Kind
	}
	return failed
}

// TokenError returns why there was no token, nil when that is not what failed. After a challenge, Graph's response can
// stand for it.
func (e *Error) TokenError() *TokenError {
	why, _ := errors.AsType[*TokenError](e.Err)
	return why
}

func transportError(ctx context.Context, err error, sent bool) *Error {
	if e := contextError(ctx, err, sent); e != nil {
		return e
	}
	if cause := responseCause(err); cause != "" {
		return &Error{Kind: KindInvalidResponse, Sent: sent, Cause: cause, Err: err}
	}
	return &Error{Kind: KindUnreachable, Sent: sent, Cause: Cause(connection.CauseOf(err)), Err: err}
}

// responseCause says what is wrong with a response that net/http could not read; empty when there was no response.
// net/http has no types for these errors, so it compares their texts. Tests fail when a text changes.
func responseCause(err error) Cause {
	text := err.Error()
	for _, tooLarge := range []string{
		"net/http: server response headers exceeded",
		"http2: response header list larger than advertised limit",
		// For informational responses before the final one.
		"header list too large",
	} {
		if strings.Contains(text, tooLarge) {
			return CauseHeadersTooLarge
		}
	}
	// Over HTTP/2 a far larger block ends the connection with this error. Other responses that break the protocol have the
	// same error.
	if text == "connection error: PROTOCOL_ERROR" {
		return CauseProtocol
	}
	return ""
}
