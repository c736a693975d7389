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
)

func isWrite(method protoreflect.MethodDescriptor) bool {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel() != descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

var (
	// lookedUp are the writes after whose loss a read looks, settled those whose outcome it tells at once: a policy is
	// updating for a while, whoever changes what of it.
	lookedUp = []string{"ActivateRestoreSession", "ActivateProtectionPolicy", "DeactivateProtectionPolicy"}
	settled  = []string{"ActivateRestoreSession"}
)

// carryOut has the first write by each rpc get lost in the way of the story. It fills the response, so that the story
// goes on.
func (l *losses) carryOut(s *story, method protoreflect.MethodDescriptor, in, out proto.Message) {
	s.t.Helper()
	rpc := string(method.Name())
	do := func() *outcome { return s.call(string(method.Parent().Name())+"/"+rpc, in, out) }
	isDelete := graphCall(method).GetMethod() == http.MethodDelete
	if l.met[rpc]++; l.met[rpc] > 1 {
		// Once is enough.
		s.wantOK(rpc, do())
		return
	}
	if !l.how.comesThrough() {
		l.comesToNothing(s, rpc, isDelete, do)
		if !isDelete || l.how.unsent > 0 {
			s.wantOK(rpc, do())
			return
		}
	}
	l.isDoneOnce(s, rpc, isDelete, do, out)
}

// comesToNothing loses a write before it is worked on: one that the server may repeat each time, any other once, so that
// the ledger had it if it were repeated.
func (l *losses) comesToNothing(s *story, rpc string, isDelete bool, do func() *outcome) {
	s.t.Helper()
	attempts := 1
	if isDelete {
		attempts = everyAttempt
	}
	since := s.mark()
	l.lose(attempts)
	o := do()
	l.since()
	if l.how.unsent > 0 {
		s.wantUnreachable(rpc, o)
	} else {
		s.wantUnknown(rpc, o)
	}
	if changes, requests := s.writesSince(since); changes != 0 || requests != 0 {
		s.t.Errorf("%s: %d changes by %d requests", rpc, changes, requests)
	}
}

// isDoneOnce loses a write that is done: at once, or when the server repeats it.
func (l *losses) isDoneOnce(s *story, rpc string, isDelete bool, do func() *outcome, out proto.Message) {
	s.t.Helper()
	attempts, reads := 1, 0
	repeated := isDelete || l.how.refused || l.how.unsent > 0
	switch {
	case isDelete && l.everyDelete:
		attempts, reads = everyAttempt, 1
	case !repeated && slices.Contains(lookedUp, rpc):
		reads = 1
	}
	since := s.mark()
	l.lose(attempts)
	o := do()
	body, got := l.since()
	if repeated || slices.Contains(settled, rpc) {
		s.wantOK(rpc, o)
	} else {
		s.wantUnknown(rpc, o)
		fill(s, body, out)
	}
	if got != reads {
		s.t.Errorf("%s: %d reads, want %d", rpc, got, reads)
	}
	s.wantDoneOnce(rpc, since)
}

func (s *story) wantOK(rpc string, o *outcome) {
	s.t.Helper()
	if o.status != nil {
		s.t.Fatalf("%s: %v", rpc, o.status)
	}
}

// fill reads the answer that nobody got.
func fill(s *story, lost []byte, out proto.Message) {
	s.t.Helper()
	into, ok := out.(interface {
		UnmarshalGraphJSON([]byte, pb.GraphReadOptions) error
	})
	if !ok {
		return
	}
	if err := into.UnmarshalGraphJSON(lost, pb.GraphReadOptions{}); err != nil {
		s.t.Fatalf("%v in %s", err, lost)
	}
}

func (s *story) wantUnknown(rpc string, o *outcome) {
	s.t.Helper()
	metadata := detail[*errdetails.ErrorInfo](o.status).GetMetadata()
	if o.code() != codes.Unknown || o.reason() != "OUTCOME_UNKNOWN" || metadata["outcome"] != "unknown" || metadata["verifyWith"] == "" {
		s.t.Errorf("%s: %v", rpc, o.status)
	}
	if found := metadata["observedStatus"]; (found != "") != slices.Contains(lookedUp, rpc) {
		s.t.Errorf("%s: found %q", rpc, found)
	}
	if pushback := o.pushback(); !slices.Equal(pushback, []string{"-1"}) {
		s.t.Errorf("%s: pushback %v", rpc, pushback)
	}
}

// wantUnreachable checks that a caller, and its runtime, is told to try again.
func (s *story) wantUnreachable(rpc string, o *outcome) {
	s.t.Helper()
	outcome := detail[*errdetails.ErrorInfo](o.status).GetMetadata()["outcome"]
	if o.code() != codes.Unavailable || o.reason() != "GRAPH_UNREACHABLE" || outcome != "" || detail[*errdetails.RetryInfo](o.status) == nil {
		s.t.Errorf("%s: %v", rpc, o.status)
	}
	if pushback := o.pushback(); len(pushback) != 1 || pushback[0] == "-1" {
		s.t.Errorf("%s: pushback %v", rpc, pushback)
	}
}

// wantDoneOnce checks by the ledger that one write, and no more, was worked on with success.
func (s *story) wantDoneOnce(rpc string, since uint64) {
	s.t.Helper()
	succeeded := 0
	for _, entry := range s.requests(since) {
		if entry.Method != http.MethodGet && entry.Status < 300 {
			succeeded++
		}
	}
	if succeeded != 1 {
		s.t.Errorf("%s: done %d times: %v", rpc, succeeded, s.requests(since))
	}
}

// writesSince counts what requests changed, and the requests that may.
func (w *world) writesSince(since uint64) (changes, requests int) {
	for _, entry := range w.emulator.Ledger(since).Entries {
		switch {
		case entry.Kind == emulator.EntryChange && entry.Cause != 0:
			changes++
		case entry.Kind == emulator.EntryRequest && entry.Method != http.MethodGet:
			requests++
		}
	}
	return changes, requests
}

// TestAWriteThatGetsLostIsDoneOnceOrNotAndSaysWhich tells the stories again. In each, the first write by every rpc gets
// lost, in one way.
func TestAWriteThatGetsLostIsDoneOnceOrNotAndSaysWhich(t *testing.T) {
	all := newChronicle(t)
	for _, how := range []link{plain, secure} {
		for _, way := range waysOver(how) {
			t.Run(fmt.Sprintf("%s/%s", how, way.name), func(t *testing.T) {
				t.Parallel()
				all.getLost(t, how, way, false)
			})
			if way.done && how == secure {
				t.Run(fmt.Sprintf("%s/%s of each DELETE", how, way.name), func(t *testing.T) {
					t.Parallel()
					all.getLost(t, how, way, true)
				})
			}
		}
	}
}

func (c *chronicle) getLost(t *testing.T, how link, way loss, everyDelete bool) {
	met := make(map[string]int)
	begin := func(p plot) *story {
		l := &losses{how: way, everyDelete: everyDelete, met: met}
		s := newStoryIn(newLossyWorld(t, how, l), p, c)
		s.losses = l
		return s
	}
	for _, p := range plots {
		begin(p).goesOn()
	}
	begin(plots[0]).takesOver()
	for name, rpc := range c.rpcs {
		if isWrite(rpc) && met[name] == 0 {
			t.Errorf("%s was not tried", name)
		}
	}
}

func TestAWriteThatGraphRefusedIsRepeated(t *testing.T) {
	w := newWorld(t)
	for _, l := range workloads {
		since := w.mark()
		w.fault(emulator.Fault{Operation: "POST *", Status: 503, RetryAfter: []string{"0.01"}, Times: 2})
		l.newPolicy(w, 1, 1)
		if requests := w.requests(since); len(requests) != 3 || requests[2].Status != 201 {
			t.Errorf("%s: %v", l.name, requests)
		}
	}
}

func TestWhatDidNotComeAboutByTheCallIsNoSuccess(t *testing.T) {
	lostBefore := func(operation string) emulator.Fault { return emulator.Fault{Operation: operation, Cut: "before"} }
	w := newWorld(t)
	policy := workloads[0].newPolicy(w, 1, 1).GetId()
	w.activate(policy)
	w.emulator.Clock().Advance(10 * 60e9)
	request := &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: policy}

	w.fault(lostBefore("POST /protectionPolicies/{id}/activate"))
	o := w.fails(policies+"ActivateProtectionPolicy", request).call
	if found := detail[*errdetails.ErrorInfo](o.status).GetMetadata()["observedStatus"]; o.reason() != "OUTCOME_UNKNOWN" || !strings.HasSuffix(found, "_ACTIVE") {
		t.Errorf("a policy that had been active: %v", o.status)
	}

	w.fault(lostBefore("POST /protectionPolicies/{id}/activate"))
	w.fault(emulator.Fault{Operation: "GET /protectionPolicies/{id}", Code: "PolicyNotFound"})
	if o := w.fails(policies+"ActivateProtectionPolicy", request).call; o.reason() != "OUTCOME_UNKNOWN" {
		t.Errorf("a policy that the read does not find: %v", o.status)
	}

	w.fault(lostBefore("POST /protectionPolicies/{id}/deactivate"))
	w.fault(emulator.Fault{Operation: "GET /protectionPolicies/{id}", Status: 500})
	if o := w.deactivate(policy).call; o.reason() != "OUTCOME_UNKNOWN" {
		t.Errorf("a read that fails: %v", o.status)
	}

	w.fault(emulator.Fault{Operation: "DELETE /protectionPolicies/{id}", Cut: "before", Times: 3})
	if o := w.deletePolicy(policy).call; o.reason() != "OUTCOME_UNKNOWN" {
		t.Errorf("a DELETE lost three times: %v", o.status)
	}
}

func TestAPolicyThatIsThereByTheReadSettlesItsAction(t *testing.T) {
	// As quick as a policy of nothing may be. Graph's clock is not the server's: it stands still but for this.
	const quick = time.Millisecond
	e := emulator.New(emulator.Options{Stopped: true, Lengths: emulator.Lengths{Protect: quick, Unprotect: quick}})
	var reads atomic.Int64
	w := newWorldOver(t, secure, e, httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
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
		policy := l.newPolicy(w, 1, 1).GetId()
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
			since := w.mark()
			reads.Store(0)
			o := w.call(policies+action.name+"ProtectionPolicy", action.request, action.response)
			if got := action.response.GetProtectionPolicy(); o.status != nil || got.GetId() != policy || got.GetStatus() != action.end {
				t.Errorf("%s of %s: %v %v", action.name, l.name, o.status, got)
			}
			if _, requests := w.writesSince(since); requests != 1 || reads.Load() != 1 {
				t.Errorf("%s of %s: %d writes and %d reads", action.name, l.name, requests, reads.Load())
			}
		}
	}
}

func TestOnlyGraphItselfCanSayThatAPolicyIsGone(t *testing.T) {
	// The answers to the DELETE are lost, and the read is answered in Graph's place.
	for name, c := range map[string]struct{ body, reason string }{
		"a gateway's page":     {"<html><title>404 Not Found</title></html>", "OUTCOME_UNKNOWN"},
		"a gateway's JSON":     {`{"statusCode":404,"message":"Resource not found"}`, "OUTCOME_UNKNOWN"},
		"nothing":              {"", "OUTCOME_UNKNOWN"},
		"Graph's own error":    {`{"error":{"code":"PolicyNotFound"}}`, ""},
		"Graph's general code": {`{"error":{"code":"notFound","message":"m"}}`, ""},
	} {
		w := newWorldAnswering(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				rw.WriteHeader(http.StatusGatewayTimeout)
				return
			}
			answering(http.StatusNotFound, c.body)(rw, r)
		})
		o := w.call(policies+"DeleteProtectionPolicy", &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy}, new(pb.DeleteProtectionPolicyResponse))
		if o.reason() != c.reason || (o.status == nil) != (c.reason == "") {
			t.Errorf("%s: %v", name, o.status)
		}
	}
}

func TestAPolicyThatSomebodyElseChangesIsNoSuccess(t *testing.T) {
	w := newWorld(t)
	policy := workloads[0].activePolicy(w)
	must[pb.DeactivateProtectionPolicyResponse](w, policies+"DeactivateProtectionPolicy", &pb.DeactivateProtectionPolicyRequest{ProtectionPolicyId: policy})
	w.fault(emulator.Fault{Operation: "POST /protectionPolicies/{id}/activate", Cut: "before"})
	o := w.activateFails(policy).call
	if found := detail[*errdetails.ErrorInfo](o.status).GetMetadata()["observedStatus"]; o.reason() != "OUTCOME_UNKNOWN" || !strings.HasSuffix(found, "_UPDATING") {
		t.Errorf("activated while it is being turned off: %v", o.status)
	}
}

func TestASessionThatTheReadDoesNotFindMayHaveBeenActivated(t *testing.T) {
	// A replica that has not heard of the session yet answers the read.
	w := newWorldBehind(t, func(e http.Handler) http.Handler {
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
	o := w.fails(sessions+"ActivateRestoreSession", &pb.ActivateRestoreSessionRequest{RestoreSessionId: "61633878-8321-4950-bfaf-ed285bdd1461"}).call
	if o.reason() != "OUTCOME_UNKNOWN" {
		t.Errorf("activated or not, nobody knows: %v", o.status)
	}
}
