package interceptor

import (
	"errors"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/identity"
	"github.com/m365backup/backupstorage/service/internal/rights"
)

// Observer is told of each call, for metrics and for the table of troubled tenants. Its methods are called on the way
// of calls, from many goroutines at once: they have to be fast, and must not block.
type Observer interface {
	// CallBegan is called when a call begins. The method is as in CallInfo.
	CallBegan(method string)
	// CallEnded is called when the handler of a call has ended, before the response is out.
	CallEnded(c CallInfo)
}

// CallInfo is what a call came to.
type CallInfo struct {
	// Method is gRPC's name of the method, `/m365.backupstorage.v1.ServiceAppService/ListServiceApps`; empty for one that
	// the contract does not have, whatever the client called it.
	Method string
	// Tenant is the GUID of the tenant that the call names, in lower case; empty for none. No metric may have it.
	Tenant string
	// Code is the gRPC code.
	Code codes.Code
	// Reason is ErrorInfo.reason, Fault who has to act: `caller`, `tenant`, `graph` or `server`. Both are empty for a call
	// that was OK.
	Reason, Fault string
	// Cause is the cause in the Status, empty for none.
	Cause string
	// OutcomeUnknown is set for a write that failed and may have been done.
	OutcomeUnknown bool
	// Denied says why nobody is known to make the call, with the reason CALLER_UNAUTHENTICATED, or why its caller has no
	// right to it, with CALLER_NOT_ALLOWED; empty for any other call.
	Denied string
	// Shed says why the server had no room for the call; empty when it had.
	Shed Shed
	// Duration is how long the handler took, with all interceptors.
	Duration time.Duration
}

// Shed says why the server had no room for a call.
type Shed string

// The reasons to refuse a call for lack of room.
const (
	// ShedAllCalls is that as many calls are under way as the server takes.
	ShedAllCalls Shed = "all-calls"
	// ShedTenantShare is that the tenant has its share of them.
	ShedTenantShare Shed = "tenant-share"
	// ShedWaits is that too many streams, waits and watches are under way: all, the tenant's or the connection's.
	ShedWaits Shed = "waits"
	// ShedGraphQueue is that too many requests of the tenant wait to be sent to Graph.
	ShedGraphQueue Shed = "graph-queue"
	// ShedResponseBytes is that calls hold as many bytes of responses as the server allows.
	ShedResponseBytes Shed = "response-bytes"
	// ShedIncoming is that too many calls wait for their request message.
	ShedIncoming Shed = "incoming"
	// ShedUnidentified is that too many calls wait for the keys by which their callers are known.
	ShedUnidentified Shed = "unidentified"
	// ShedOther is any other lack of room.
	ShedOther Shed = "other"
)

// Sheds are all reasons to refuse a call for lack of room.
var Sheds = []Shed{
	ShedAllCalls, ShedTenantShare, ShedWaits, ShedGraphQueue, ShedResponseBytes, ShedIncoming, ShedUnidentified, ShedOther,
}

// known is gRPC's name of the method of a call, empty when the contract does not have it.
func (c *call) known() string {
	if c.op == nil {
		return ""
	}
	return c.op.FullMethod
}

// UnauthenticatedCauses are all values of CallInfo.Denied with the reason CALLER_UNAUTHENTICATED.
func UnauthenticatedCauses() (all []string) {
	for _, cause := range identity.Causes {
		all = append(all, string(cause))
	}
	return all
}

// DeniedCauses are all values of CallInfo.Denied with the reason CALLER_NOT_ALLOWED.
func DeniedCauses() []string { return rights.Causes }

// began tells observers of a call that begins.
func began(observers []Observer, c *call) {
	for _, o := range observers {
		o.CallBegan(c.known())
	}
}

// ended tells observers what a call came to.
func ended(observers []Observer, c *call, took time.Duration) {
	if len(observers) == 0 {
		return
	}
	info := c.info(took)
	for _, o := range observers {
		o.CallEnded(info)
	}
}

// info is what a call came to.
func (c *call) info(took time.Duration) CallInfo {
	i := CallInfo{Method: c.known(), Tenant: c.tenant, Denied: c.denied, Duration: took}
	f := c.failure
	if f == nil {
		return i
	}
	i.Code, i.Reason, i.Fault = f.Code(), f.Reason(), f.Fault()
	i.Cause, i.OutcomeUnknown = f.Metadata("cause"), f.Metadata("outcome") == "unknown"
	if i.Reason == pb.ErrorReason_SERVER_OVERLOADED.String() {
		i.Shed = c.shedAs()
	}
	return i
}

// shedAs says for lack of what a call was refused.
func (c *call) shedAs() Shed {
	failed, ok := errors.AsType[*graph.Error](c.err)
	switch {
	case c.shed != "":
		return c.shed
	case !ok || failed.Kind != graph.KindOverloaded:
		return ShedOther
	case failed.Status != 0:
		// There was a response, and no memory for it.
		return ShedResponseBytes
	}
	return ShedGraphQueue
}
