package apierror

import (
	"cmp"
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// classification is what was decided of an error. Nothing changes it later.
type classification struct {
	reason *contract.Reason
	code   codes.Code
	// delay is that of RetryInfo; 0 for none.
	delay time.Duration
	// noSideEffects is set when the call is sure to have changed nothing.
	noSideEffects bool
	// outcomeUnknown is set for a write that may have been carried out.
	outcomeUnknown bool
	// looked is set when the next call with the idempotency key looks what became of the write: that is for a program to
	// ask for, not for its runtime.
	looked bool
	// response is the response of Graph whose head, and whose codes, the metadata has; nil for none.
	response *graph.Error
	// decidedByCode is set when a code of the response decided the reason.
	decidedByCode bool
	// speaksToCaller is set when Graph's text, target and separate errors are about what the caller did.
	speaksToCaller bool
	// refusal is set for what the server refused.
	refusal *Refusal
	// cause, aadsts, observedStatus, candidates, incident and throttledHere are for the metadata; zero when there is none.
	cause          graph.Cause
	aadsts         int
	observedStatus string
	candidates     string
	incident       string
	throttledHere  bool
	// host and tokenRequest are for the log; see Failure.
	host, tokenRequest string
}

// keyedDelay is how long a call with an idempotency key waits after a write whose outcome is unknown: Graph's lists
// show what was created after a while.
const keyedDelay = 2 * time.Second

// MinRetryDelay is the shortest delay that RetryInfo asks for.
const MinRetryDelay = 500 * time.Millisecond

// classify decides what an error is. op is nil for a call of no operation.
func (t *Translator) classify(op *contract.Operation, err error) classification {
	var refusal *Refusal
	var failed *GraphError
	var request *graph.Error
	var still *StillUnknownError
	switch {
	case errors.As(err, &still):
		c := t.of(pb.ErrorReason_OUTCOME_UNKNOWN)
		c.outcomeUnknown, c.observedStatus, c.candidates = true, still.ObservedStatus, still.candidates()
		c.delay, c.looked = t.withJitter(keyedDelay), true
		return c
	case errors.As(err, &refusal):
		c := t.of(refusal.Reason)
		c.noSideEffects, c.refusal = true, refusal
		return c
	case errors.As(err, &failed):
		if failed.Read != nil {
			op = failed.Read
		}
		return t.classifyGraph(op, failed)
	case errors.As(err, &request):
		return t.classifyGraph(op, &GraphError{Err: request})
	case errors.Is(err, context.DeadlineExceeded):
		return t.of(pb.ErrorReason_DEADLINE_EXCEEDED)
	case errors.Is(err, context.Canceled):
		return t.of(pb.ErrorReason_CANCELLED)
	case status.Code(err) == codes.Unimplemented:
		c := t.of(pb.ErrorReason_UNKNOWN_METHOD)
		c.noSideEffects = true
		return c
	}
	return t.incident(op)
}

// of is the classification of a reason by what the contract says of it.
func (t *Translator) of(value pb.ErrorReason) classification {
	r := t.reasons.Of(value)
	c := classification{reason: r, code: codes.Code(r.GetCode()), noSideEffects: r.GetSideEffects() == pb.ErrorSpec_NONE}
	if r.GetRetry() == pb.ErrorSpec_AFTER_DELAY {
		c.delay = t.withJitter(r.Delay())
	}
	return c
}

// incident is the classification of a fault of the server.
func (t *Translator) incident(op *contract.Operation) classification {
	c := t.of(pb.ErrorReason_INTERNAL)
	c.incident = t.chance.Incident()
	// A fault can come after the request was sent.
	c.outcomeUnknown = isWrite(op)
	return c
}

// withJitter makes a delay up to a fifth longer, so that callers who were refused together do not come back together.
func (t *Translator) withJitter(delay time.Duration) time.Duration {
	delay = max(delay, MinRetryDelay)
	return (delay + time.Duration(t.chance.Jitter()*float64(delay)/5)).Round(time.Millisecond)
}

// classifyGraph decides what went wrong between the server and Graph.
func (t *Translator) classifyGraph(op *contract.Operation, failed *GraphError) classification {
	e := failed.Err
	switch e.Kind {
	case graph.KindResponse:
		return t.classifyResponse(op, failed)
	case graph.KindInvalidResponse:
		return t.invalidResponse(op, failed, e.Cause)
	case graph.KindUnreachable:
		c := t.of(pb.ErrorReason_GRAPH_UNREACHABLE)
		c.noSideEffects = true
		if isWrite(op) && e.ResponseLost() {
			c = t.outcomeUnknown(failed)
		}
		c.cause, c.host = e.Cause, "graph"
		if e.Cause.Lasts() {
			// The next connection would fail in the same way.
			c.delay = 0
		}
		return c
	case graph.KindThrottled:
		c := t.of(pb.ErrorReason_TOO_MANY_REQUESTS)
		c.delay, c.throttledHere = t.withJitter(e.RetryAfter), true
		return c
	case graph.KindOverloaded:
		c := t.of(pb.ErrorReason_SERVER_OVERLOADED)
		c.noSideEffects = true
		return c
	case graph.KindToken:
		return t.classifyToken(e)
	case graph.KindDeadline, graph.KindCancelled:
		value := pb.ErrorReason_DEADLINE_EXCEEDED
		if e.Kind == graph.KindCancelled {
			value = pb.ErrorReason_CANCELLED
		}
		c := t.of(value)
		// The head of the response may have come in time.
		c.response = e
		c.outcomeUnknown = isWrite(op) && e.Sent
		return c
	}
	return t.incident(op)
}

func isWrite(op *contract.Operation) bool { return op != nil && !op.Safe }

// invalidResponse is a response that cannot be used.
func (t *Translator) invalidResponse(op *contract.Operation, failed *GraphError, cause graph.Cause) classification {
	var c classification
	if isWrite(op) {
		c = t.outcomeUnknown(failed)
	} else {
		c = t.of(pb.ErrorReason_GRAPH_RESPONSE_INVALID)
	}
	if comesAgain(cause) {
		c.delay = 0
	}
	c.cause, c.response = cause, failed.Err
	return c
}

// comesAgain reports whether the next response would very probably be wrong in the same way.
func comesAgain(cause graph.Cause) bool {
	switch cause {
	case graph.CauseSyntax, graph.CauseWrongType, graph.CauseTooLarge, graph.CauseHeadersTooLarge, graph.CauseNextLink,
		graph.CausePageLoop, graph.CauseEncoding:
		return true
	}
	return false
}

// outcomeUnknown is a write whose response is lost. Its code is never UNAVAILABLE, which invites a second write.
func (t *Translator) outcomeUnknown(failed *GraphError) classification {
	c := t.of(pb.ErrorReason_OUTCOME_UNKNOWN)
	c.outcomeUnknown, c.observedStatus = true, failed.ObservedStatus
	if failed.Keyed {
		c.delay, c.looked = t.withJitter(keyedDelay), true
	}
	return c
}

// classifyToken decides why there is no token. Nothing was sent, or only the request that Graph answered with a
// challenge.
func (t *Translator) classifyToken(e *graph.Error) classification {
	token := e.TokenError()
	if token == nil {
		token = new(graph.TokenError)
	}
	var c classification
	switch e.Token {
	case graph.TokenAssertionRefused:
		c = t.of(pb.ErrorReason_DELEGATED_TOKEN_REJECTED)
	case graph.TokenClaimsRefused:
		c = t.of(pb.ErrorReason_INSUFFICIENT_CLAIMS)
	case graph.TokenCloud:
		c = t.of(pb.ErrorReason_CLOUD_NOT_SUPPORTED)
	case graph.TokenUnavailable:
		c = t.of(pb.ErrorReason_GRAPH_CREDENTIALS_UNAVAILABLE)
		c.cause = graph.CauseAuthorityUnavailable
		if !token.Cause.Lasts() {
			c.code = codes.Code(c.reason.GetCodeWithRetryInfo())
			c.delay = t.withJitter(cmp.Or(max(token.RetryAfter, 0), c.reason.Delay()))
		}
	case graph.TokenNotDelegable:
		c = t.of(pb.ErrorReason_GRAPH_CREDENTIALS_UNAVAILABLE)
		c.cause = graph.CauseDelegationUnsupported
	default:
		c = t.of(pb.ErrorReason_GRAPH_CREDENTIALS_UNAVAILABLE)
		c.cause = graph.CauseOther
	}
	if e.Status != 0 {
		c.response = e
	}
	c.addToken(token)
	c.noSideEffects = true
	return c
}

// addToken keeps what is known of a failed token request.
func (c *classification) addToken(token *graph.TokenError) {
	c.cause, c.aadsts, c.tokenRequest = cmp.Or(token.Cause, c.cause), token.AADSTS, token.RequestID
	if token.Cause.OfConnection() {
		c.host = "authority"
	}
}
