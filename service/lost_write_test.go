package service_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

func isWrite(method protoreflect.MethodDescriptor) bool {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel() != descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

var (
	// verified are the writes after whose loss the server reads the state.
	verified = []string{"ActivateRestoreSession", "ActivateProtectionPolicy", "DeactivateProtectionPolicy"}
	// resolved are those of them whose outcome the read proves at once. A policy is updating for a while, no matter who
	// changed what about it.
	resolved = []string{"ActivateRestoreSession"}
)

// lostWrites loses the first write by each rpc of a lifecycle, in one way.
type lostWrites struct {
	proxy *servicetest.LossyProxy
	// everyDelete has a DELETE lose the responses to all attempts.
	everyDelete bool
	// tried is how often each rpc was called.
	tried map[string]int
	// keyed calls those that take a key with one, and a second time; nil for none.
	keyed *keyedLosses
}

// carryOut calls a write, and loses it if it is the first one by its rpc. It fills the response, so that the lifecycle
// continues.
func (l *lostWrites) carryOut(s *story, method protoreflect.MethodDescriptor, in, out proto.Message) {
	s.TB.Helper()
	rpc := string(method.Name())
	do := func() *servicetest.Outcome { return s.Call(string(method.Parent().Name())+"/"+rpc, in, out) }
	isDelete := graphCall(method).GetMethod() == http.MethodDelete
	if l.keyed != nil {
		l.tried[rpc]++
		l.keyed.carryOut(s, l.proxy, method, in, out, l.tried[rpc] == 1)
		return
	}
	if l.tried[rpc]++; l.tried[rpc] > 1 {
		// Once is enough.
		s.wantOK(rpc, do())
		return
	}
	if l.proxy.Loss.BeforeWork() {
		l.lostBeforeWork(s, rpc, isDelete, do)
		if !isDelete || l.proxy.Loss.Unsent > 0 {
			s.wantOK(rpc, do())
			return
		}
	}
	l.doneOnce(s, rpc, isDelete, do, out)
}

// lostBeforeWork loses a write that the emulator never works on. A DELETE may be repeated, so all its attempts are
// lost. Any other write is lost once: if the server repeated it, the ledger would show the repeat.
func (l *lostWrites) lostBeforeWork(s *story, rpc string, isDelete bool, do func() *servicetest.Outcome) {
	s.TB.Helper()
	attempts := 1
	if isDelete {
		attempts = servicetest.EveryAttempt
	}
	since := s.Mark()
	l.proxy.Lose(attempts)
	o := do()
	l.proxy.Stop()
	if l.proxy.Loss.Unsent > 0 {
		s.wantUnreachable(rpc, o)
	} else {
		s.wantUnknown(rpc, o)
	}
	if changes, requests := writesSince(s.Server, since); changes != 0 || requests != 0 {
		s.TB.Errorf("%s: %d changes by %d requests", rpc, changes, requests)
	}
}

// doneOnce loses a write that is done: at the first attempt, or when the server repeats it.
func (l *lostWrites) doneOnce(s *story, rpc string, isDelete bool, do func() *servicetest.Outcome, out proto.Message) {
	s.TB.Helper()
	attempts, reads := 1, 0
	repeated := isDelete || l.proxy.Loss.Refused || l.proxy.Loss.Unsent > 0
	switch {
	case isDelete && l.everyDelete:
		attempts, reads = servicetest.EveryAttempt, 1
	case !repeated && slices.Contains(verified, rpc):
		reads = 1
	}
	since := s.Mark()
	l.proxy.Lose(attempts)
	o := do()
	body, got := l.proxy.Stop()
	if repeated || slices.Contains(resolved, rpc) {
		s.wantOK(rpc, o)
	} else {
		s.wantUnknown(rpc, o)
		fill(s, body, out)
	}
	if got != reads {
		s.TB.Errorf("%s: %d reads, want %d", rpc, got, reads)
	}
	s.wantDoneOnce(rpc, since)
}

func (s *story) wantOK(rpc string, o *servicetest.Outcome) {
	s.TB.Helper()
	if o.Status != nil {
		s.TB.Fatalf("%s: %v", rpc, o.Status)
	}
}

// fill decodes a response that was lost.
func fill(s *story, lost []byte, out proto.Message) {
	s.TB.Helper()
	into, ok := out.(interface {
		UnmarshalGraphJSON(body []byte, options pb.GraphReadOptions) error
	})
	if !ok {
		return
	}
	if err := into.UnmarshalGraphJSON(lost, pb.GraphReadOptions{}); err != nil {
		s.TB.Fatalf("%v in %s", err, lost)
	}
}

func (s *story) wantUnknown(rpc string, o *servicetest.Outcome) {
	s.TB.Helper()
	metadata := o.Info().GetMetadata()
	if o.Code() != codes.Unknown || o.Reason() != "OUTCOME_UNKNOWN" || metadata["outcome"] != "unknown" || metadata["verifyWith"] == "" {
		s.TB.Errorf("%s: %v", rpc, o.Status)
	}
	if observed := metadata["observedStatus"]; (observed != "") != slices.Contains(verified, rpc) {
		s.TB.Errorf("%s: observed %q", rpc, observed)
	}
	if pushback := o.Pushback(); !slices.Equal(pushback, []string{"-1"}) {
		s.TB.Errorf("%s: pushback %v", rpc, pushback)
	}
}

// wantUnreachable checks that the caller and its gRPC runtime are told to retry.
func (s *story) wantUnreachable(rpc string, o *servicetest.Outcome) {
	s.TB.Helper()
	outcome := o.Info().GetMetadata()["outcome"]
	if o.Code() != codes.Unavailable || o.Reason() != "GRAPH_UNREACHABLE" || outcome != "" || servicetest.Detail[*errdetails.RetryInfo](o.Status) == nil {
		s.TB.Errorf("%s: %v", rpc, o.Status)
	}
	if pushback := o.Pushback(); len(pushback) != 1 || pushback[0] == "-1" {
		s.TB.Errorf("%s: pushback %v", rpc, pushback)
	}
}

// wantDoneOnce checks that the ledger has exactly one write that succeeded.
func (s *story) wantDoneOnce(rpc string, since uint64) {
	s.TB.Helper()
	succeeded := 0
	for _, entry := range s.Requests(since) {
		if entry.Method != http.MethodGet && entry.Status < 300 {
			succeeded++
		}
	}
	if succeeded != 1 {
		s.TB.Errorf("%s: done %d times: %v", rpc, succeeded, s.Requests(since))
	}
}

// writesSince counts the changes that requests made, and the requests that can make one.
func writesSince(s *servicetest.Server, since uint64) (changes, requests int) {
	for _, entry := range s.Emulator.Ledger(since).Entries {
		switch {
		case entry.Kind == emulator.EntryChange && entry.Cause != 0:
			changes++
		case entry.Kind == emulator.EntryRequest && entry.Method != http.MethodGet:
			requests++
		}
	}
	return changes, requests
}

// TestALostWriteIsDoneOnceOrNotAndSaysWhich runs the lifecycles again. In each of them, the first write by every rpc
// gets lost in one way. The outcome says whether the write was done, or that it is unknown.
func TestALostWriteIsDoneOnceOrNotAndSaysWhich(t *testing.T) {
	all := newCoverage(t)
	for _, transport := range transports {
		for _, loss := range servicetest.Losses(transport) {
			t.Run(fmt.Sprintf("%s/%s", transport, loss.Name), func(t *testing.T) {
				t.Parallel()
				all.loseWrites(t, transport, loss, false)
			})
			if loss.AfterWork && transport == servicetest.TLS {
				t.Run(fmt.Sprintf("%s/%s of each DELETE", transport, loss.Name), func(t *testing.T) {
					t.Parallel()
					all.loseWrites(t, transport, loss, true)
				})
			}
		}
	}
}

func (c *coverage) loseWrites(t *testing.T, transport servicetest.Transport, loss servicetest.Loss, everyDelete bool) {
	tried := make(map[string]int)
	start := func(p workloadCase) *story {
		server, proxy := servicetest.NewLossy(t, transport, loss)
		s := newStoryOn(server, p, c)
		s.losses = &lostWrites{proxy: proxy, everyDelete: everyDelete, tried: tried}
		return s
	}
	for _, p := range workloadCases {
		start(p).runLifecycle()
	}
	start(workloadCases[0]).runTakeover()
	for name, rpc := range c.rpcs {
		if isWrite(rpc) && tried[name] == 0 {
			t.Errorf("%s was not tried", name)
		}
	}
}

func TestAWriteThatGraphRefusedIsRepeated(t *testing.T) {
	s := servicetest.New(t)
	for _, l := range workloads {
		since := s.Mark()
		s.Fault(emulator.Fault{Operation: "POST *", Status: 503, RetryAfter: []string{"0.01"}, Times: 2})
		l.newPolicy(s, 1, 1)
		if requests := s.Requests(since); len(requests) != 3 || requests[2].Status != 201 {
			t.Errorf("%s: %v", l.name, requests)
		}
	}
}

func TestAStateThatTheCallDidNotCauseIsNoSuccess(t *testing.T) {
	lostBefore := func(operation string) emulator.Fault { return emulator.Fault{Operation: operation, Cut: "before"} }
	s := servicetest.New(t)
	policy := workloads[0].newPolicy(s, 1, 1).GetId()
	mustActivate(s, policy)
	s.Emulator.Clock().Advance(10 * 60e9)
	request := &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: policy}

	s.Fault(lostBefore("POST /protectionPolicies/{id}/activate"))
	o := s.Try(policies+"ActivateProtectionPolicy", request)
	if found := o.Info().GetMetadata()["observedStatus"]; o.Reason() != "OUTCOME_UNKNOWN" || !strings.HasSuffix(found, "_ACTIVE") {
		t.Errorf("a policy that had been active: %v", o.Status)
	}

	s.Fault(lostBefore("POST /protectionPolicies/{id}/activate"))
	s.Fault(emulator.Fault{Operation: "GET /protectionPolicies/{id}", Code: "PolicyNotFound"})
	if o := s.Try(policies+"ActivateProtectionPolicy", request); o.Reason() != "OUTCOME_UNKNOWN" {
		t.Errorf("a policy that the read does not find: %v", o.Status)
	}

	s.Fault(lostBefore("POST /protectionPolicies/{id}/deactivate"))
	s.Fault(emulator.Fault{Operation: "GET /protectionPolicies/{id}", Status: 500})
	if o := deactivate(s, policy).call; o.Reason() != "OUTCOME_UNKNOWN" {
		t.Errorf("a read that fails: %v", o.Status)
	}

	s.Fault(emulator.Fault{Operation: "DELETE /protectionPolicies/{id}", Cut: "before", Times: 3})
	if o := deletePolicy(s, policy).call; o.Reason() != "OUTCOME_UNKNOWN" {
		t.Errorf("a DELETE lost three times: %v", o.Status)
	}
}

// The outcome of an activation or a deactivation is known when the read shows the state that it leads to, and a change
// since the call.
func TestAPolicyInItsEndStateResolvesTheOutcome(t *testing.T) {
	// A policy changes within a millisecond, as one without units can. Graph's clock is not the server's: it stands still,
	// and advances only by this.
	const quick = time.Millisecond
	e := emulator.New(emulator.Options{Stopped: true, Lengths: emulator.Lengths{Protect: quick, Unprotect: quick}})
	var reads atomic.Int64
	s := servicetest.NewOnEmulator(t, servicetest.TLS, e, httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			reads.Add(1)
		}
		if name := path.Base(r.URL.Path); name != "activate" && name != "deactivate" {
			e.ServeHTTP(rw, r)
			return
		}
		e.ServeHTTP(httptest.NewRecorder(), r)
		e.Clock().Advance(quick)
		panic(http.ErrAbortHandler)
	})))
	for _, l := range workloads {
		policy := l.newPolicy(s, 1, 1).GetId()
		for _, action := range []struct {
			name     string
			request  proto.Message
			response interface {
				proto.Message
				GetProtectionPolicy() *pb.ProtectionPolicy
			}
			end pb.ProtectionPolicyStatus
		}{
			{"Activate", &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: policy}, new(pb.ActivateProtectionPolicyResponse), pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE},
			{"Deactivate", &pb.DeactivateProtectionPolicyRequest{ProtectionPolicyId: policy}, new(pb.DeactivateProtectionPolicyResponse), pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_INACTIVE},
		} {
			since := s.Mark()
			reads.Store(0)
			o := s.Call(policies+action.name+"ProtectionPolicy", action.request, action.response)
			if got := action.response.GetProtectionPolicy(); o.Status != nil || got.GetId() != policy || got.GetStatus() != action.end {
				t.Errorf("%s of %s: %v %v", action.name, l.name, o.Status, got)
			}
			if _, requests := writesSince(s, since); requests != 1 || reads.Load() != 1 {
				t.Errorf("%s of %s: %d writes and %d reads", action.name, l.name, requests, reads.Load())
			}
		}
	}
}

func TestOnlyGraphItselfCanSayThatAPolicyIsGone(t *testing.T) {
	// The responses to the DELETE are lost. Something else than Graph may respond to the read that follows.
	for name, c := range map[string]struct{ body, reason string }{
		"a gateway's page":     {"<html><title>404 Not Found</title></html>", "OUTCOME_UNKNOWN"},
		"a gateway's JSON":     {`{"statusCode":404,"message":"Resource not found"}`, "OUTCOME_UNKNOWN"},
		"nothing":              {"", "OUTCOME_UNKNOWN"},
		"Graph's own error":    {`{"error":{"code":"PolicyNotFound"}}`, ""},
		"Graph's general code": {`{"error":{"code":"notFound","message":"m"}}`, ""},
	} {
		s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				rw.WriteHeader(http.StatusGatewayTimeout)
				return
			}
			servicetest.Respond(http.StatusNotFound, c.body)(rw, r)
		})
		o := s.Call(policies+"DeleteProtectionPolicy", &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy}, new(pb.DeleteProtectionPolicyResponse))
		if o.Reason() != c.reason || (o.Status == nil) != (c.reason == "") {
			t.Errorf("%s: %v", name, o.Status)
		}
	}
}

func TestAPolicyThatSomebodyElseChangesIsNoSuccess(t *testing.T) {
	s := servicetest.New(t)
	policy := workloads[0].activePolicy(s)
	servicetest.Must[pb.DeactivateProtectionPolicyResponse](s, policies+"DeactivateProtectionPolicy", &pb.DeactivateProtectionPolicyRequest{ProtectionPolicyId: policy})
	s.Fault(emulator.Fault{Operation: "POST /protectionPolicies/{id}/activate", Cut: "before"})
	o := activateFails(s, policy).call
	if found := o.Info().GetMetadata()["observedStatus"]; o.Reason() != "OUTCOME_UNKNOWN" || !strings.HasSuffix(found, "_UPDATING") {
		t.Errorf("activated while it is being turned off: %v", o.Status)
	}
}

// A session that the read does not find may have been activated all the same.
func TestASessionThatIsNotFoundMayBeActivated(t *testing.T) {
	// The read reaches a replica that does not know the session yet.
	s := servicetest.NewBehind(t, func(e http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/activate"):
				e.ServeHTTP(httptest.NewRecorder(), r)
				out.WriteHeader(http.StatusGatewayTimeout)
			case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/restoreSessions/"):
				out.WriteHeader(http.StatusNotFound)
			default:
				e.ServeHTTP(out, r)
			}
		})
	})
	o := s.Try(sessions+"ActivateRestoreSession", &pb.ActivateRestoreSessionRequest{RestoreSessionId: "61633878-8321-4950-bfaf-ed285bdd1461"})
	if o.Reason() != "OUTCOME_UNKNOWN" {
		t.Errorf("activated or not, nobody knows: %v", o.Status)
	}
}
