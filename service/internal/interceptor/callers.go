package interceptor

import (
	"context"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

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

// identityTime is how long a call waits for the keys of an issuer.
const identityTime = 2 * time.Second

// The keys of call metadata that say who calls, and on whose behalf.
const (
	authorizationKey = "authorization"
	assertionKey     = "x-user-assertion"
)

// credentialOf returns what came with a call to show who calls.
func credentialOf(ctx context.Context, header metadata.MD) identity.Credential {
	// gRPC has the keys in lower case.
	c := identity.Credential{Authorization: header[authorizationKey]}
	if p, ok := peer.FromContext(ctx); ok {
		if secure, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			c.Certificate = identity.VerifiedCertificate(&secure.State)
		}
	}
	return c
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
