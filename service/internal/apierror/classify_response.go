package apierror

import (
	"net/http"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// classifyResponse decides what a response of Graph's that is an error means.
//
//	the response has                          so the reason is that of
//	----------------------------------------  ---------------------------------------------------------------
//	a status with status_decides              the status, whatever code came with it
//	a known code that is not generic          the deepest such code
//	no such code, and speaks of the way       the way: see classifyWay
//	no such code                              the status
func (t *Translator) classifyResponse(op *contract.Operation, failed *GraphError) classification {
	e := failed.Err
	r := t.byCode(e, false)
	if r == nil || t.reasons.StatusDecides(e.Status) {
		if c, ok := t.classifyWay(op, failed); ok {
			return c
		}
		r = t.byStatus(failed)
	}
	if e.Status == http.StatusForbidden && r.Value == pb.ErrorReason_FORBIDDEN && e.InsufficientClaims {
		r = t.reasons.Of(pb.ErrorReason_INSUFFICIENT_CLAIMS)
	}
	c := t.of(r.Value)
	c.response, c.decidedByCode = e, true
	c.delay = t.responseDelay(r, e)
	if e.Status == http.StatusServiceUnavailable && e.HasRetryAfter {
		c.noSideEffects = true
	}
	if isWrite(op) && (e.Lost || e.ResponseLost() || e.Status >= 500 && !c.noSideEffects && isServiceFault(c.code)) {
		// A code that says "refused" is not believed behind a gateway that lost the response.
		c.noSideEffects, c.outcomeUnknown = false, true
	}
	c.speaksToCaller = e.Status >= 400 && e.Status < 500
	if token := e.TokenError(); token != nil && token.AADSTS != 0 {
		// Graph demanded another token, and the authority said why there is none.
		c.addToken(token)
	}
	return c
}

// classifyWay decides of a response without a known code whose status speaks not of the call but of the way to Graph,
// or of the page that the call follows. ok is false for all other responses.
func (t *Translator) classifyWay(op *contract.Operation, failed *GraphError) (c classification, ok bool) {
	e := failed.Err
	switch {
	case e.Status > 599:
		// No final HTTP response has such a status: Graph did not send it.
		return t.invalidResponse(op, failed, graph.CauseStatus), true
	case e.Status < 300:
		return t.invalidResponse(op, failed, graph.CauseEmbeddedError), true
	case isWrite(op) && e.ResponseLost():
		c = t.outcomeUnknown(failed)
	case e.Status == http.StatusGone && failed.NextPage:
		c = t.of(pb.ErrorReason_INVALID_PAGE_TOKEN)
	default:
		return classification{}, false
	}
	c.response = e
	return c, true
}

// byStatus returns the reason of a response without a known code.
func (t *Translator) byStatus(failed *GraphError) *contract.Reason {
	if failed.Err.Status == http.StatusUnauthorized && failed.OnBehalfOfUser {
		return t.reasons.Of(pb.ErrorReason_DELEGATED_TOKEN_REJECTED)
	}
	return t.reasons.OfStatus(failed.Err.Status)
}

// byCode returns the reason of the deepest known code, nil when there is none. Generic codes count only for an embedded
// error, which has no status to fall back to.
func (t *Translator) byCode(e *graph.Error, embedded bool) *contract.Reason {
	for _, v := range slices.Backward(e.Codes) {
		if !embedded && t.reasons.IsGeneric(v) {
			continue
		}
		if r := t.reasons.OfCode(v); r != nil {
			return r
		}
	}
	return nil
}

// responseDelay is the delay of RetryInfo for a response: Graph's own, else the default of the reason.
func (t *Translator) responseDelay(r *contract.Reason, e *graph.Error) time.Duration {
	switch r.GetRetry() {
	case pb.ErrorSpec_AFTER_DELAY:
		if e.HasRetryAfter {
			return t.withJitter(e.RetryAfter)
		}
		return t.withJitter(r.Delay())
	case pb.ErrorSpec_IF_TOLD:
		if e.HasRetryAfter {
			return t.withJitter(e.RetryAfter)
		}
	}
	return 0
}

// isServiceFault reports whether a code says that the service or the server failed, and not the caller.
func isServiceFault(code codes.Code) bool {
	return code == codes.Unknown || code == codes.Unavailable || code == codes.Internal
}
