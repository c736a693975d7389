package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/internal/errorbody"
)

// Kind says how far a call came before it failed.
type Kind int

// The kinds of failure.
const (
	// KindResponse is an answer of Graph's that tells an error.
	KindResponse Kind = iota
	// KindInvalidResponse is an answer that cannot be used: a redirect, a header block over 64 KiB, a body that is cut, too
	// large or of another type.
	KindInvalidResponse
	// KindInvalidRequest is a call that could not be made into a request. Nothing was sent.
	KindInvalidRequest
	// KindToken is a call for which there was no token. Nothing was sent.
	KindToken
	// KindUnreachable is a call that got no answer because of the network.
	KindUnreachable
	// KindDeadline is a call whose deadline passed, KindCancelled one whose caller gave up.
	KindDeadline
	KindCancelled
	// KindThrottled is a call that was not sent since Graph would only refuse it: RetryAfter says for how long.
	KindThrottled
)

// Error is a failed call, with all that Graph said about it.
type Error struct {
	Kind Kind
	// Meta is the head of Graph's answer, zero when there was none.
	Meta
	// Codes are the codes of Graph's error from the outermost to the deepest inner one, in Graph's spelling; at most
	// nine, of at most 256 bytes each.
	Codes []string
	// Message is Graph's text for developers, cut to 4,096 bytes. It can hold names and addresses of the tenant.
	Message string
	// Target is what Graph says the error is about, cut to 2,048 bytes.
	Target string
	// Details are the separate errors of a call about several things, the first 50,000 of them.
	Details []Detail
	// RetryAfter is how long Graph asks to wait, when HasRetryAfter says that it did so in a way to believe.
	RetryAfter    time.Duration
	HasRetryAfter bool
	// InsufficientClaims says that the answer challenges the caller for a token with further claims.
	InsufficientClaims bool
	// Cause says what was wrong with an invalid response, or why the connection failed.
	Cause Cause
	// Sent tells of a call that changes something that Graph may have received it.
	Sent bool
	// Lost tells of a repeated DELETE that the answer to an earlier attempt was lost.
	Lost bool
	// Token says why there is no token, for KindToken.
	Token TokenKind
	// Err is the cause, if there is one besides Graph's answer.
	Err error
	// scope is what Graph says that it throttles, claims the JSON of those that it wants.
	scope, claims string
}

// Detail is one of the separate errors of a request about several things. Its texts are cut: Code to 256 bytes, Message to
// 4,096, Target to 2,048.
type Detail = errorbody.Detail

// ErrorBody reads an error that came in a response with a good status: an error object inside a resource, or a whole body
// that has one in `error`. An array counts as its first element. Of a text that is no JSON it keeps what comes before the
// mistake.
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

// Error describes the failure without any text of Graph's: it is safe to log.
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
		return "call cannot be sent to graph"
	case KindToken:
		return "no token for graph"
	case KindDeadline:
		return "deadline passed while calling graph"
	case KindCancelled:
		return "caller gave up while calling graph"
	case KindThrottled:
		return "graph would throttle the call"
	}
	return "graph is unreachable"
}

// ResponseLost tells of a call that changes something whether Graph may have carried it out without anyone having heard of
// it: the connection was lost, the answer cannot be read, or a gateway gave up waiting for it. Of other calls it means
// nothing.
func (e *Error) ResponseLost() bool {
	switch e.Kind {
	case KindUnreachable, KindInvalidResponse:
		return e.Sent
	case KindResponse:
		return e.Status == http.StatusRequestTimeout || e.Status == http.StatusBadGateway || e.Status == http.StatusGatewayTimeout
	}
	return false
}

// Gone tells whether it is Graph that does not know the resource any more. A gateway that does not know the path answers
// 404 too, but without a code.
func (e *Error) Gone() bool {
	return e.Kind == KindResponse && e.Status == http.StatusNotFound && len(e.Codes) > 0
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// contextError returns the error of a call that ended because of its context, nil if it did not.
func contextError(ctx context.Context, err error, sent bool) *Error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Kind: KindCancelled, Sent: sent, Err: err}
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) && pastDeadline(ctx):
		return &Error{Kind: KindDeadline, Sent: sent, Err: err}
	}
	return nil
}

// pastDeadline tells whether the deadline has passed, also in the moment before the context notices. Timeouts of the
// dialer and of the transport call themselves context.DeadlineExceeded too, without being the caller's.
func pastDeadline(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

func tokenError(ctx context.Context, err error) *Error {
	if e := contextError(ctx, err, false); e != nil {
		return e
	}
	failed := &Error{Kind: KindToken, Err: err}
	var why *TokenError
	if errors.As(err, &why) {
		failed.Token = why.Kind
	}
	return failed
}

func transportError(ctx context.Context, err error, sent bool) *Error {
	if e := contextError(ctx, err, sent); e != nil {
		return e
	}
	if cause := responseCause(err); cause != "" {
		return &Error{Kind: KindInvalidResponse, Sent: sent, Cause: cause, Err: err}
	}
	return &Error{Kind: KindUnreachable, Sent: sent, Cause: connectionCause(err), Err: err}
}

// responseCause tells what was wrong with an answer that net/http gave up on, empty when there was none. net/http has no
// types for these errors, so their texts have to do; the tests see when they change.
func responseCause(err error) Cause {
	text := err.Error()
	for _, tooLarge := range []string{
		"net/http: server response headers exceeded",
		"http2: response header list larger than advertised limit",
		// Of informational answers before the final one.
		"header list too large",
	} {
		if strings.Contains(text, tooLarge) {
			return CauseHeadersTooLarge
		}
	}
	// Over HTTP/2 a block that is larger by far ends the connection with this error, which it shares with other answers
	// that break the protocol.
	if text == "connection error: PROTOCOL_ERROR" {
		return CauseProtocol
	}
	return ""
}
