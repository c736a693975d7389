package interceptor

import (
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/identity"
	"github.com/m365backup/backupstorage/service/internal/rights"
)

// Callers says who calls, and what a caller may do.
type Callers struct {
	// Authenticator says who calls.
	Authenticator *identity.Authenticator
	// Rules are what the rpcs need, Rights returns the rights file of this moment.
	Rules  *rights.Rules
	Rights func() *rights.File
	// Now is the clock.
	Now func() time.Time
}

const (
	// identityTime is how long a call waits for the keys of an issuer.
	identityTime = 2 * time.Second
	// maxPending is how many calls wait for keys at once. They have not shown who they are, so they are few.
	maxPending = 32
)

// The keys of call metadata that say who calls, and on whose behalf.
const (
	authorizationKey = "authorization"
	assertionKey     = "x-user-assertion"
)

// callerKey is the key of the caller in the context of a call whose headers showed who calls.
type callerKey struct{}

// credentialOf returns what came with a call to show who calls.
func credentialOf(ctx context.Context, header metadata.MD) identity.Credential {
	c := identity.Credential{Authorization: header.Get(authorizationKey)}
	if p, ok := peer.FromContext(ctx); ok {
		if secure, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			c.TLS = &secure.State
		}
	}
	return c
}

// isOpen reports whether anybody may call a method: health, which probes ask without a credential.
func isOpen(method string) bool { return strings.HasPrefix(method, "/grpc.health.v1.Health/") }

// Tap is a tap.ServerInHandle. It refuses strangers by the headers of a call, before the message is read: interceptors
// run after that, and strangers must not make memory. It never waits, as it runs in the goroutine that reads the
// connection.
func (ch *Chain) Tap(ctx context.Context, info *tap.Info) (_ context.Context, err error) {
	defer func() {
		// A panic here would end the process.
		if value := recover(); value != nil {
			err = ch.refuse(ctx, info.FullMethodName, newPanicError(value))
		}
	}()
	if ch.callers == nil || isOpen(info.FullMethodName) {
		return ctx, nil
	}
	caller, pending, err := ch.callers.Authenticator.Known(credentialOf(ctx, info.Header))
	switch {
	case err != nil:
		return nil, ch.refuse(metadata.NewIncomingContext(ctx, info.Header), info.FullMethodName, err)
	case pending:
		// The key of the token is not known. Such calls are counted until it is, so that few messages of strangers are read.
		if !ch.pending.enter() {
			return nil, ch.refuse(metadata.NewIncomingContext(ctx, info.Header), info.FullMethodName, apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED))
		}
		identified := sync.OnceFunc(ch.pending.leave)
		context.AfterFunc(ctx, identified)
		return context.WithValue(ctx, pendingKey{}, identified), nil
	}
	return context.WithValue(ctx, callerKey{}, caller), nil
}

// pendingKey is the key of a function that says that the caller of a pending call is known, or refused.
type pendingKey struct{}

// refuse sends a call that ends at its headers through the interceptors that every call passes, so that it has an id, a
// typed Status and its line in the log.
func (ch *Chain) refuse(ctx context.Context, method string, failure error) error {
	c := &call{method: method, op: ch.contract.OfMethod(method), refused: failure}
	return run(ctx, c, ch.entrance, func(context.Context) error { return nil })
}

// admit lets only known callers use what is not of the contract and not open, such as reflection. Which tenants they
// have does not matter: it shows the contract, which is no secret.
func (ch *Chain) admit(ctx context.Context, method string) error {
	if ch.callers == nil || isOpen(method) {
		return nil
	}
	return run(ctx, &call{method: method, quiet: true}, ch.entrance, func(context.Context) error { return nil })
}

// authenticate learns who calls.
func authenticate(callers *Callers) around {
	return func(ctx context.Context, c *call, next handler) error {
		if c.refused != nil {
			return c.unauthenticated(c.refused)
		}
		if callers == nil {
			return next(ctx)
		}
		known, ok := ctx.Value(callerKey{}).(identity.Caller)
		if !ok {
			header, _ := metadata.FromIncomingContext(ctx)
			waiting, cancel := context.WithTimeout(ctx, identityTime)
			defer cancel()
			var err error
			known, err = callers.Authenticator.Caller(waiting, credentialOf(ctx, header))
			if identified, ok := ctx.Value(pendingKey{}).(func()); ok {
				identified()
			}
			if err != nil {
				return c.unauthenticated(err)
			}
		}
		c.caller = known
		return next(ctx)
	}
}

// unauthenticated notes for the log why nobody is known to call. The client gets the same Status for all causes.
func (c *call) unauthenticated(err error) error {
	refused, ok := err.(*identity.CredentialError) //nolint:errorlint // Nothing wraps it.
	if !ok {
		return err
	}
	c.denied = string(refused.Cause)
	return apierror.Refuse(pb.ErrorReason_CALLER_UNAUTHENTICATED)
}

// authorize decides whether the caller may do what the call does. What is not granted and what does not exist end in
// the same way.
func authorize(callers *Callers, tenantOf func(context.Context) (string, error)) around {
	return func(ctx context.Context, c *call, next handler) error {
		if callers == nil || c.op == nil {
			return next(ctx)
		}
		tenant, err := tenantOf(ctx)
		if err != nil {
			return err
		}
		rule := callers.Rules.Of(c.method)
		decision := callers.Rights().Decide(rights.Call{
			Names: c.caller.Names, Tenant: tenant, Rule: rule, Effects: rule.Effects(c.request),
			OnBehalfOfUser: len(metadata.ValueFromIncomingContext(ctx, assertionKey)) > 0, Now: callers.Now(),
		})
		c.tenant, c.principal, c.denied = tenant, decision.Principal, decision.Cause()
		if !decision.Allowed {
			return apierror.Refuse(pb.ErrorReason_CALLER_NOT_ALLOWED)
		}
		return next(ctx)
	}
}
