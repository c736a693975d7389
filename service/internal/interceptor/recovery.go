package interceptor

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc/status"

	"github.com/m365backup/backupstorage/service/internal/apierror"
)

// panicError is a panic that became an error. Its text is not the value of the panic, which may hold anything.
type panicError struct {
	kind  string
	stack []byte
}

func (e *panicError) Error() string { return "panic: " + e.kind }

func newPanicError(value any) *panicError {
	return &panicError{kind: fmt.Sprintf("%T", value), stack: debug.Stack()}
}

// recoverHandler makes an error of a panic in a handler.
func recoverHandler(ctx context.Context, c *call, next handler) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = newPanicError(value)
		}
	}()
	return next(ctx, c)
}

// recoverChain makes a Status of a panic in the chain itself.
func recoverChain(translator *apierror.Translator, logger *slog.Logger) around {
	return func(ctx context.Context, c *call, next handler) (err error) {
		defer func() {
			if value := recover(); value != nil {
				cause := newPanicError(value)
				failure := translator.Translate(c.op, c.request, c.requestID, cause)
				c.setPushback(ctx, failure)
				logger.LogAttrs(ctx, slog.LevelError, "panic in an interceptor",
					slog.String("panic", cause.kind), slog.String("stack", string(cause.stack)), slog.String("incident", failure.Metadata("incident")))
				err = status.ErrorProto(failure.Status())
			}
		}()
		return next(ctx, c)
	}
}
