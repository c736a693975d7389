package interceptor

import (
	"context"
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
	// pendingTime is how long a call waits for its message and for the keys.
	pendingTime = 2 * identityTime
	// maxPending is how many calls wait for keys at once. They have not shown who they are, so they are few: at most an
	// eighth of all calls, as each has a place.
	maxPending = 32
)

// The keys of call metadata that say who calls, and on whose behalf.
const (
	authorizationKey = "authorization"
	assertionKey     = "x-user-assertion"
)

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
func isOpen(method string) bool {
	switch method {
	case "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List":
		return true
	}
	return false
}

// Tap is a tap.ServerInHandle. It refuses strangers by the headers of a call, before the message is read: interceptors
// run after that, and strangers must not make memory. It never waits, as it runs in the goroutine that reads the
// connection.
func (ch *Chain) Tap(ctx context.Context, info *tap.Info) (_ context.Context, err error) {
	defer func() {
		// A panic here would end the process.
		if value := recover(); value != nil {
			err = ch.refuse(ctx, info.FullMethodName, newPanicError(value), "")
		}
	}()
	who := peerOf(ctx)
	c := &call{Context: ctx, method: info.FullMethodName, op: ch.contract.OfMethod(info.FullMethodName), header: info.Header}
	switch {
	case isOpen(info.FullMethodName):
		return ch.begin(c, info, ch.opening, who)
	case ch.callers == nil:
		return ch.begin(c, info, ch.incoming, who)
	}
	caller, pending, err := ch.callers.Authenticator.Known(credentialOf(ctx, info.Header))
	switch {
	case err != nil:
		return nil, ch.refuse(metadata.NewIncomingContext(ctx, info.Header), info.FullMethodName, err, "")
	case pending:
		// The key of the token is being fetched. Such calls are counted until it is there, so that few messages of strangers
		// are read, and they end soon when their message does not come: they may all be forged.
		if !ch.pending.admit(who) {
			return nil, ch.refuse(metadata.NewIncomingContext(ctx, info.Header), info.FullMethodName, apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED), ShedUnidentified)
		}
		if _, err = ch.begin(c, info, ch.incoming, who); err != nil {
			ch.pending.giveBack(who)
			return nil, err
		}
		timer := time.AfterFunc(pendingTime, c.wait.cancel)
		c.identified = sync.OnceFunc(func() {
			timer.Stop()
			ch.pending.giveBack(who)
		})
		context.AfterFunc(c.Context, c.identified)
		return c, nil
	}
	if len(caller.Names) > 0 {
		who = caller.Names[0]
	}
	c.caller, c.shown = caller, true
	return ch.begin(c, info, ch.incoming, who)
}

// begin lets a call in that waits for its request message, unless too many do.
func (ch *Chain) begin(c *call, info *tap.Info, in *incoming, who string) (context.Context, error) {
	if err := in.begin(c, who); err != nil {
		return nil, ch.refuse(metadata.NewIncomingContext(c.Context, info.Header), info.FullMethodName, err, ShedIncoming)
	}
	return c, nil
}

// CallerKnown reports whether the headers of a call showed who makes it.
func CallerKnown(ctx context.Context) bool {
	c := of(ctx)
	return c != nil && c.shown
}

// refuse sends a call that ends at its headers through the interceptors that every call passes, so that it has an id, a
// typed Status and its line in the log. shed is empty unless there was no room for it.
func (ch *Chain) refuse(ctx context.Context, method string, failure error, shed Shed) error {
	c := &call{Context: ctx, method: method, op: ch.contract.OfMethod(method), refused: failure, shed: shed}
	return ch.refusal(c, c)
}

// RefuseRequest ends what did not become a call of gRPC's, as refuse ends a call. A stranger gets no other reason than
// that. The credential can only be a token.
func (ch *Chain) RefuseRequest(ctx context.Context, method string, failure error) error {
	if ch.callers != nil {
		header, _ := metadata.FromIncomingContext(ctx)
		if _, _, err := ch.callers.Authenticator.Known(identity.Credential{Authorization: header.Get(authorizationKey)}); err != nil {
			failure = err
		}
	}
	return ch.refuse(ctx, method, failure, "")
}

// admit lets only known callers use what is not of the contract and not open, such as reflection. Which tenants they
// have does not matter: it shows the contract, which is no secret.
func (ch *Chain) admit(ctx context.Context, c *call) error {
	if ch.callers == nil || isOpen(c.method) {
		return nil
	}
	c.quiet = true
	return ch.refusal(ctx, c)
}

// authenticate learns who calls.
func authenticate(callers *Callers) around {
	return func(ctx context.Context, c *call, next handler) error {
		if c.refused != nil {
			return c.unauthenticated(c.refused)
		}
		if callers == nil {
			return next(ctx, c)
		}
		if c.shown && callers.Now().After(c.caller.Expires) {
			// It was good when the headers came.
			return c.unauthenticated(&identity.CredentialError{Cause: identity.CauseExpired})
		}
		if !c.shown {
			if err := c.learnCaller(ctx, callers); err != nil {
				return c.unauthenticated(err)
			}
		}
		if len(c.caller.Names) > 0 {
			c.principal = c.caller.Names[0]
		}
		return next(ctx, c)
	}
}

// learnCaller learns who makes a call whose headers did not show it.
func (c *call) learnCaller(ctx context.Context, callers *Callers) error {
	header, _ := metadata.FromIncomingContext(ctx)
	waiting, cancel := context.WithTimeout(ctx, identityTime)
	defer cancel()
	known, err := callers.Authenticator.Caller(waiting, credentialOf(ctx, header))
	if c.identified != nil {
		c.identified()
	}
	if err == nil {
		c.caller = known
	}
	return err
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
			return next(ctx, c)
		}
		if err := c.decide(ctx, callers, tenantOf); err != nil {
			return err
		}
		return next(ctx, c)
	}
}

// decide refuses what the caller may not do. What it is asked takes no room on the stack of a call under way.
func (c *call) decide(ctx context.Context, callers *Callers, tenantOf func(context.Context) (string, error)) error {
	tenant, err := tenantOf(ctx)
	if err != nil {
		return err
	}
	rule := callers.Rules.Of(c.method)
	asked := rights.Call{
		Names: c.caller.Names, Tenant: tenant, Rule: rule, Effects: rule.Effects(c.request),
		OnBehalfOfUser: len(Header(ctx, assertionKey)) > 0, Now: callers.Now(),
	}
	decision := callers.Rights().Decide(asked)
	c.tenant, c.principal, c.denied = tenant, decision.Principal, decision.Cause()
	if !decision.Allowed {
		return apierror.Refuse(pb.ErrorReason_CALLER_NOT_ALLOWED)
	}
	if c.lasts() {
		c.still = c.decideLater(callers, asked)
	}
	return nil
}
