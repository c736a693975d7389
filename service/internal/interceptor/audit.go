package interceptor

import (
	"context"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/audit"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/rights"
)

// Audit says which calls have lines in the audit file.
type Audit struct {
	// Log takes the lines; nil for none.
	Log *audit.Log
	// Reads is set when reads that show people or content have lines too.
	Reads bool
	// Rules say what a call does to backups.
	Rules *rights.Rules
}

// auditCalls writes the audit lines of a call that stand behind it. That of a write's attempt stands before it:
// BeginWrite.
func auditCalls(a Audit) around {
	return func(ctx context.Context, c *call, next handler) error {
		if a.Log == nil {
			return next(ctx, c)
		}
		c.audit = a
		err := next(ctx, c)
		c.endAudit(ctx, err)
		return err
	}
}

// endAudit writes the line that stands behind a call, if it has one.
func (c *call) endAudit(ctx context.Context, err error) {
	switch a := c.audit; {
	case c.attempt != nil:
		c.attempt.Outcome(c.result())
	case c.failure != nil && isDenial(c.failure):
		a.Log.Denied(c.audited(ctx), c.result())
	case (err == nil || c.hasSent.Load()) && a.Reads && showsPeople(ctx, c):
		a.Log.Read(c.audited(ctx), c.result())
	}
}

// BeginWrite has to be called before the first byte of a write goes to Graph. With an error nothing may be sent.
// Outside of a call it does nothing.
func BeginWrite(ctx context.Context) error {
	c := of(ctx)
	if c == nil || c.audit.Log == nil || c.attempt != nil {
		return nil
	}
	attempt, err := c.audit.Log.Attempt(c.audited(ctx))
	if err != nil {
		return apierror.Refuse(pb.ErrorReason_AUDIT_UNAVAILABLE)
	}
	c.attempt = attempt
	return nil
}

func isDenial(f *apierror.Failure) bool {
	return f.Reason() == pb.ErrorReason_CALLER_UNAUTHENTICATED.String() || f.Reason() == pb.ErrorReason_CALLER_NOT_ALLOWED.String()
}

// showsPeople reports whether a read shows people or content: names on behalf of users, and what is in their files and
// mailboxes.
func showsPeople(ctx context.Context, c *call) bool {
	if c.op == nil || !c.op.Safe {
		return false
	}
	_, method, _ := strings.Cut(c.op.Name, "/")
	return len(Header(ctx, assertionKey)) > 0 || strings.HasPrefix(method, "Browse") || strings.HasPrefix(method, "Search")
}

// audited is what the audit lines say of a call.
func (c *call) audited(ctx context.Context) audit.Call {
	line := audit.Call{Principal: c.principal, Tenant: c.tenant, RPC: c.shownMethod(), RequestID: c.requestID}
	if assertion := Header(ctx, assertionKey); len(assertion) == 1 && c.denied == "" {
		// What a stranger claims is nothing, and a claim can hold anything.
		if claims, ok := graph.ReadClaims(assertion[0]); ok && graph.IsGUID(claims.User) {
			line.OnBehalfOf = claims.User
		}
	}
	if c.denied != "" {
		line.Cause, line.Peer = c.denied, peerOf(ctx)
	}
	if c.op == nil {
		return line
	}
	line.RPC = c.op.Name
	for effect := range strings.SplitSeq(c.audit.Rules.Of(c.method).Effects(c.request).String(), ", ") {
		line.Effects = append(line.Effects, effect)
	}
	for _, segment := range c.op.Path {
		if segment.Field == nil || c.request == nil {
			continue
		}
		if line.IDs == nil {
			line.IDs = make(map[string]string)
		}
		line.IDs[string(segment.Field.Name())] = c.request.Get(segment.Field).String()
	}
	line.Removed = c.removed()
	return line
}

// removed are the ids that a request takes out of a policy: who asks later what became of a mailbox asks for them.
func (c *call) removed() (ids []string) {
	if c.request == nil {
		return nil
	}
	for _, field := range c.op.Removes {
		list := c.request.Get(field).List()
		for i := range list.Len() {
			ids = append(ids, list.Get(i).String())
		}
	}
	return ids
}

// result is what the audit lines say of the end of a call.
func (c *call) result() audit.Result {
	r := audit.Result{Code: code.Code_OK.String(), Outcome: audit.OK, GraphRequestIDs: c.stats.GraphRequestIDs}
	if c.failure == nil {
		return r
	}
	r.Code, r.Reason, r.Outcome = code.Code(c.failure.Code()).String(), c.failure.Reason(), audit.Failed
	// After a fault of the server itself nobody knows what became of a write that was sent.
	internal := c.failure.Reason() == pb.ErrorReason_INTERNAL.String() && c.attempt != nil && c.stats.Attempts > 0
	if c.failure.Metadata("outcome") == "unknown" || internal {
		r.Outcome = audit.Unknown
	}
	return r
}
