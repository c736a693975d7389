package graph

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/internal/throttle"
)

func keyOf(request *Request) throttle.Key {
	return throttle.Key{Tenant: request.Tenant, Write: !request.Safe}
}

// ResetThrottles forgets what was learned from throttle responses: requests go out at once, as if Graph had throttled
// nobody. It is for an upstream that has started anew, such as the built-in emulator after its reset.
func (c *Client) ResetThrottles() { c.throttles.Reset() }

// logStretches writes a line when a throttle comes into force and when it is no longer in force: one of each, however
// many responses there are.
func logStretches(throttles *throttle.Throttles, logger *slog.Logger) {
	if logger == nil {
		return
	}
	throttles.Began = func(key throttle.Key, wait time.Duration) {
		logger.LogAttrs(context.Background(), slog.LevelWarn, "Graph throttles a tenant: its requests are paced",
			append(attributesOf(key), slog.Duration("retryAfter", wait))...)
	}
	throttles.Ended = func(key throttle.Key) {
		logger.LogAttrs(context.Background(), slog.LevelInfo, "a tenant's requests are no longer paced", attributesOf(key)...)
	}
}

// attributesOf names a throttle in the log. The tenant of the application's is "application".
func attributesOf(key throttle.Key) []slog.Attr {
	tenant, kind := key.Tenant, "reads"
	if tenant == "" {
		tenant = "application"
	}
	if key.Write {
		kind = "writes"
	}
	return []slog.Attr{slog.String("tenant", tenant), slog.String("kind", kind)}
}

// enter waits until the throttles let the request pass. Its pass goes back by leave. Of the errors, KindThrottled says
// that Graph would only refuse the request.
func (c *Client) enter(ctx context.Context, request *Request, patient bool) (throttle.Pass, *Error) {
	enter := func() (throttle.Pass, error) { return c.throttles.Enter(ctx, keyOf(request), patient) }
	if request.Background {
		enter = func() (throttle.Pass, error) { return c.throttles.Try(ctx, keyOf(request)) }
	}
	pass, err := enter()
	if err == nil {
		return pass, nil
	}
	if refused, ok := errors.AsType[*throttle.Refused](err); ok {
		return pass, &Error{Kind: KindThrottled, RetryAfter: refused.RetryAfter, HasRetryAfter: true}
	}
	return pass, contextError(ctx, err, false)
}

// leave reports the end of a request to the throttles; failed is nil when it succeeded.
func (c *Client) leave(request *Request, pass throttle.Pass, failed *Error) {
	switch {
	case failed == nil:
		c.throttles.Leave(pass, true)
	case failed.throttled():
		c.throttles.Block(keyOf(request), pass, scopeOf(failed.scope, request), failed.throttledFor())
	case failed.Kind == KindInvalidRequest || failed.Kind == KindToken || failed.Kind == KindHeldBack:
		c.throttles.GiveBack(pass)
	default:
		c.throttles.Leave(pass, failed.Status != 0)
	}
}

// scopeOf reads the header x-ms-throttle-scope, `Scope/Limit/AppId/TenantId`, such as `Tenant_Application/Read/…/…`.
// What it does not say is as the request was: its tenant, and reads or writes.
func scopeOf(header string, request *Request) []throttle.Key {
	scope, rest, _ := strings.Cut(header, "/")
	limit, _, _ := strings.Cut(rest, "/")
	key := keyOf(request)
	if strings.EqualFold(strings.TrimSpace(scope), "Application") {
		key.Tenant = ""
	}
	switch strings.ToLower(strings.TrimSpace(limit)) {
	case "read":
		key.Write = false
	case "write":
		key.Write = true
	case "readwrite":
		return []throttle.Key{{Tenant: key.Tenant}, {Tenant: key.Tenant, Write: true}}
	}
	return []throttle.Key{key}
}

// Throttled reports whether the caller asks too much, by a response of Graph or because the client knows it.
func (e *Error) Throttled() bool { return e.Kind == KindThrottled || e.throttled() }

// throttled reports whether a response says that the caller asks too much. A 503 is the response of an overloaded
// service unless it names the scope of a throttle.
func (e *Error) throttled() bool {
	if e.Kind != KindResponse {
		return false
	}
	return e.Status == http.StatusTooManyRequests || e.Status == statusBandwidthLimit || e.Status == http.StatusServiceUnavailable && e.scope != ""
}

// statusBandwidthLimit is 509, which net/http has no name for.
const statusBandwidthLimit = 509

// throttledFor is how long a throttle response asks to wait.
func (e *Error) throttledFor() time.Duration {
	if e.HasRetryAfter {
		return e.RetryAfter
	}
	return throttle.DefaultWait
}
