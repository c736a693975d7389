package interceptor

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/m365backup/backupstorage/service/internal/apierror"
)

// pushbackKey is the only word on retries that gRPC runtimes obey.
const pushbackKey = "grpc-retry-pushback-ms"

// noRetry is the pushback that forbids a runtime to retry.
const noRetry = "-1"

// minRetryTime is what must be left of the deadline after the delay of a retry: what the server asks of a call, and as
// much for the way to it. A runtime that retries with less loses the typed error to its own DEADLINE_EXCEEDED.
const minRetryTime = 2 * minTime

// translate makes a typed Status of every error of a call, and says to the caller's runtime whether it may retry.
func translate(translator *apierror.Translator) around {
	return func(ctx context.Context, c *call, next handler) error {
		err := next(ctx, c)
		if err == nil {
			return nil
		}
		c.failure, c.err = translator.Translate(c.op, c.request, c.requestID, err), err
		c.setPushback(ctx, c.failure)
		return status.ErrorProto(c.failure.Status())
	}
}

// setPushback sets the trailer for retries, which a runtime obeys only when it is there once.
func (c *call) setPushback(ctx context.Context, failure *apierror.Failure) {
	if value, ok := pushback(c.timeLeft(ctx), failure); ok && !c.hasPushback {
		c.hasPushback = true
		setTrailer(ctx, pushbackKey, value)
	}
}

// pushback returns the trailer for retries.
//
//	the failure                                              pushback
//	-------------------------------------------------------  -------------------------------------------------
//	has a code that no runtime retries                       none: it would count against the retry budget
//	is not Repeatable                                        -1
//	has no RetryInfo                                         -1
//	asks for a delay that does not fit the caller's deadline -1
//	is any other                                             the delay in milliseconds
func pushback(left time.Duration, failure *apierror.Failure) (value string, ok bool) {
	switch failure.Code() {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Unknown, codes.Internal:
	default:
		return "", false
	}
	delay := failure.RetryDelay()
	if !failure.Repeatable() || delay == 0 || delay+minRetryTime > left {
		return noRetry, true
	}
	return strconv.FormatInt(delay.Milliseconds(), 10), true
}

// timeLeft is how long the client waits for the call from now on.
func (c *call) timeLeft(ctx context.Context) time.Duration {
	if !c.clientDeadline.IsZero() {
		return time.Until(c.clientDeadline)
	}
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return defaultTime
}
