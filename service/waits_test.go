package service_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const (
	policyUpdating = pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_UPDATING
	policyActive   = pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE
	policyPartly   = pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE_WITH_ERRORS

	reached  = pb.WaitResult_WAIT_RESULT_REACHED
	terminal = pb.WaitResult_WAIT_RESULT_TERMINAL
	timedOut = pb.WaitResult_WAIT_RESULT_TIMED_OUT
)

// onePolicy is an upstream with one policy, whose state a test changes.
type onePolicy struct {
	mu       sync.Mutex
	status   string
	respond  func(w http.ResponseWriter) bool
	requests int
}

func (p *onePolicy) set(state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = state
}

func (p *onePolicy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

func (p *onePolicy) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if p.respond != nil && p.respond(w) {
		return
	}
	fmt.Fprintf(w, `{"@odata.type":"#microsoft.graph.exchangeProtectionPolicy","id":%q,"status":%q}`, unknownPolicy, p.status)
}

// failure is what a program reads of an error.
type failure struct {
	reason string
	delay  time.Duration
}

func failureOf(err error) failure {
	s := status.Convert(err).Proto()
	return failure{servicetest.ReasonOf(s), servicetest.Detail[*errdetails.RetryInfo](s).GetRetryDelay().AsDuration()}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Errorf("never: %s", what)
			return
		}
	}
}

// upstreamOf serves a handler, and returns its URL with the version.
func upstreamOf(t *testing.T, handler http.Handler) string {
	t.Helper()
	upstream := httptest.NewServer(handler)
	t.Cleanup(upstream.Close)
	return upstream.URL + "/v1.0"
}

// timedServer starts a server with other times of waits, streams and looks at the rights.
func timedServer(t *testing.T, handler http.HandlerFunc, wait, stream, look time.Duration, options ...servicetest.Option) *servicetest.Server {
	t.Helper()
	return servicetest.NewMade(t, func(o service.Options) (*service.Server, error) {
		return service.NewTimed(o, wait, stream, look)
	}, upstreamOf(t, handler), options...)
}

func waitPolicy(s *servicetest.Server, request *pb.WaitProtectionPolicyRequest) (*pb.WaitProtectionPolicyResponse, error) {
	request.ProtectionPolicyId = unknownPolicy
	return pb.NewProtectionPolicyServiceClient(s.Conn).WaitProtectionPolicy(s.Context(), request)
}

func TestWaitsSayWhyTheyEnd(t *testing.T) {
	policy := &onePolicy{status: "updating"}
	s := servicetest.NewOnHandler(t, policy.ServeHTTP)
	first, err := waitPolicy(s, &pb.WaitProtectionPolicyRequest{})
	if err != nil || first.GetResult() != reached || first.GetRevision() == "" || first.GetProtectionPolicy().GetStatus() != policyUpdating {
		t.Fatalf("%v, %v", first, err)
	}
	for _, test := range []struct {
		name    string
		request *pb.WaitProtectionPolicyRequest
		// before is the state when the wait begins, after the one that follows when Graph was asked once.
		before, after string
		want          pb.WaitResult
		state         pb.ProtectionPolicyStatus
		atOnce        bool
	}{
		{"nothing new", &pb.WaitProtectionPolicyRequest{Seen: first.GetRevision(), MaxWait: durationpb.New(300 * time.Millisecond)}, "updating", "", timedOut, policyUpdating, false},
		{"no time", &pb.WaitProtectionPolicyRequest{Until: []pb.ProtectionPolicyStatus{policyActive}, MaxWait: new(durationpb.Duration)}, "updating", "", timedOut, policyUpdating, true},
		{"a change", &pb.WaitProtectionPolicyRequest{Seen: first.GetRevision()}, "updating", "active", reached, policyActive, false},
		{"the state", &pb.WaitProtectionPolicyRequest{Until: []pb.ProtectionPolicyStatus{policyPartly, policyActive}}, "updating", "active", reached, policyActive, false},
		{"the state already", &pb.WaitProtectionPolicyRequest{Until: []pb.ProtectionPolicyStatus{policyActive}}, "active", "", reached, policyActive, true},
		{"another end", &pb.WaitProtectionPolicyRequest{Until: []pb.ProtectionPolicyStatus{policyActive}}, "activeWithErrors", "", terminal, policyPartly, true},
		{"another end later", &pb.WaitProtectionPolicyRequest{Until: []pb.ProtectionPolicyStatus{policyActive}}, "updating", "activeWithErrors", terminal, policyPartly, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy.set(test.before)
			if test.after != "" {
				asked := policy.count()
				go func() {
					eventually(t, "a poll", func() bool { return policy.count() > asked })
					policy.set(test.after)
				}()
			}
			start := time.Now()
			got, err := waitPolicy(s, test.request)
			if err != nil || got.GetResult() != test.want || got.GetProtectionPolicy().GetStatus() != test.state || got.GetRevision() == "" {
				t.Errorf("%v, %v", got, err)
			}
			if took := time.Since(start); test.atOnce && took > 1500*time.Millisecond {
				t.Errorf("it took %v", took)
			}
		})
	}
	t.Run("seen and terminal", func(t *testing.T) {
		policy.set("active")
		seen, err := waitPolicy(s, &pb.WaitProtectionPolicyRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := waitPolicy(s, &pb.WaitProtectionPolicyRequest{Seen: seen.GetRevision()}); err != nil || got.GetResult() != terminal || !proto.Equal(got.GetProtectionPolicy(), seen.GetProtectionPolicy()) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// A wait ends before the client's runtime gives up, and at the cap without a deadline.
func TestWaitsEndWithinTheDeadline(t *testing.T) {
	policy := &onePolicy{status: "updating"}
	s := timedServer(t, policy.ServeHTTP, 400*time.Millisecond, 0, 0)
	for name, test := range map[string]struct{ deadline, atLeast, atMost time.Duration }{
		"300 ms":      {300 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond},
		"no deadline": {0, 400 * time.Millisecond, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(context.Background(), "x-tenant-id", s.Tenant)
			if test.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.deadline)
				defer cancel()
			}
			start := time.Now()
			got, err := pb.NewProtectionPolicyServiceClient(s.Conn).WaitProtectionPolicy(ctx, &pb.WaitProtectionPolicyRequest{
				ProtectionPolicyId: unknownPolicy, Until: []pb.ProtectionPolicyStatus{policyActive},
			})
			took := time.Since(start)
			if err != nil || got.GetResult() != timedOut || took < test.atLeast || took > test.atMost {
				t.Errorf("%v, %v after %v", got, err, took)
			}
		})
	}
}

func TestWaitsRefuseWhatGraphHasNoFormFor(t *testing.T) {
	policy := &onePolicy{status: "updating"}
	s := servicetest.NewOnHandler(t, policy.ServeHTTP)
	for name, test := range map[string]struct {
		request *pb.WaitProtectionPolicyRequest
		reason  string
		field   string
	}{
		"a bad id":       {&pb.WaitProtectionPolicyRequest{ProtectionPolicyId: "a/b"}, "INVALID_POLICY_ID", "protection_policy_id"},
		"a zero state":   {&pb.WaitProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy, Until: []pb.ProtectionPolicyStatus{0}}, "INVALID_REQUEST", "until[0]"},
		"no such state":  {&pb.WaitProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy, Until: []pb.ProtectionPolicyStatus{policyActive, 99}}, "INVALID_REQUEST", "until[1]"},
		"a past wait":    {&pb.WaitProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy, MaxWait: durationpb.New(-time.Second)}, "INVALID_REQUEST", "max_wait"},
		"no duration":    {&pb.WaitProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy, MaxWait: &durationpb.Duration{Seconds: 1, Nanos: -1}}, "INVALID_REQUEST", "max_wait"},
		"a future state": {&pb.WaitProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy, Until: []pb.ProtectionPolicyStatus{1}}, "INVALID_REQUEST", "until[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.Try("ProtectionPolicyService/WaitProtectionPolicy", test.request)
			if o.Reason() != test.reason || !strings.Contains(fmt.Sprint(o.Status), test.field) {
				t.Errorf("%v", o.Status)
			}
		})
	}
	if policy.count() > 0 {
		t.Errorf("%d requests were sent", policy.count())
	}
}

// The error of a wait is that of its read, to the byte.
func TestWaitsHaveTheErrorsOfTheirReads(t *testing.T) {
	policy := &onePolicy{respond: func(w http.ResponseWriter) bool {
		w.Header().Set("request-id", "0f0f0f0f-1111-4222-8333-444444444444")
		w.Header().Set("Date", "Thu, 26 Nov 2026 12:00:00 GMT")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"code":"PolicyNotFound","message":"There is no such policy in this tenant."}}`)
		return true
	}}
	s := servicetest.NewOnHandler(t, policy.ServeHTTP)
	read := s.Try("ProtectionPolicyService/GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy})
	waited := s.Try("ProtectionPolicyService/WaitProtectionPolicy", &pb.WaitProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy})
	if read.Reason() != "POLICY_NOT_FOUND" || !proto.Equal(read.Status, waited.Status) {
		t.Errorf("the read has %v\nthe wait %v", read.Status, waited.Status)
	}
	stream, err := pb.NewWatchServiceClient(s.Conn).WatchProtectionPolicy(s.Context(), &pb.WatchProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !proto.Equal(read.Status, status.Convert(err).Proto()) {
		t.Errorf("the watch has %v\nthe read %v", status.Convert(err).Proto(), read.Status)
	}
}

// What passes is no reason to end a wait; what lasts is, once its time is over.
func TestWaitsOutlastErrorsThatPass(t *testing.T) {
	failures := 1
	policy := &onePolicy{status: "active"}
	policy.respond = func(w http.ResponseWriter) bool {
		if failures == 0 {
			return false
		}
		failures--
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	s := timedServer(t, policy.ServeHTTP, 4*time.Second, 0, 0)
	if got, err := waitPolicy(s, &pb.WaitProtectionPolicyRequest{}); err != nil || got.GetResult() != reached {
		t.Errorf("%v, %v", got, err)
	}
	policy.mu.Lock()
	failures = 1000
	policy.mu.Unlock()
	s = timedServer(t, policy.ServeHTTP, 500*time.Millisecond, 0, 0)
	before := policy.count()
	_, err := waitPolicy(s, &pb.WaitProtectionPolicyRequest{})
	if e := failureOf(err); e.reason != "TOO_MANY_REQUESTS" || e.delay <= 0 {
		t.Errorf("%v", err)
	}
	if n := policy.count() - before; n != 1 {
		t.Errorf("%d requests within the Retry-After", n)
	}
}

func TestWatchesShowEachState(t *testing.T) {
	policy := &onePolicy{status: "inactive"}
	s := servicetest.NewOnHandler(t, policy.ServeHTTP)
	client := pb.NewWatchServiceClient(s.Conn)
	request := &pb.WatchProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy}
	watch := func() (states []string, last *pb.WatchProtectionPolicyResponse, err error) {
		stream, err := client.WatchProtectionPolicy(s.Context(), request)
		if err != nil {
			return nil, nil, err
		}
		for {
			message, err := stream.Recv()
			if err != nil {
				return states, last, err
			}
			states, last = append(states, message.GetProtectionPolicy().GetStatus().String()), message
			if message.GetProtectionPolicy().GetStatus() == policyUpdating {
				policy.set("active")
			}
		}
	}
	if states, _, err := watch(); len(states) != 1 || err.Error() != "EOF" {
		t.Errorf("a policy that stays inactive: %v, %v", states, err)
	}
	policy.set("updating")
	states, last, err := watch()
	if len(states) != 2 || last.GetProtectionPolicy().GetStatus() != policyActive || err.Error() != "EOF" {
		t.Errorf("%v, %v", states, err)
	}
	// Who goes on with the last revision sees nothing twice.
	request.Seen = last.GetRevision()
	if states, _, err := watch(); len(states) != 0 || err.Error() != "EOF" {
		t.Errorf("again: %v, %v", states, err)
	}
}

// A connection has room for 50 calls that last: the next is refused and does not hang, and short calls go on.
func TestFiftyWaitsOfAConnection(t *testing.T) {
	policy := &onePolicy{status: "updating"}
	s := servicetest.NewOnHandler(t, policy.ServeHTTP, func(o *service.Options) { o.MaxCalls = 40 })
	client := pb.NewProtectionPolicyServiceClient(s.Conn)
	ctx, cancel := context.WithCancel(s.Context())
	var waits sync.WaitGroup
	for range 50 {
		waits.Go(func() {
			_, err := client.WaitProtectionPolicy(ctx, &pb.WaitProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy, Until: []pb.ProtectionPolicyStatus{policyActive}})
			if status.Code(err) != codes.Canceled {
				t.Errorf("%v", err)
			}
		})
	}
	eventually(t, "50 waits", func() bool { return s.Services.WaitsInFlight() == 50 })
	start := time.Now()
	_, err := waitPolicy(s, &pb.WaitProtectionPolicyRequest{})
	if e := failureOf(err); e.reason != "SERVER_OVERLOADED" || e.delay <= 0 || time.Since(start) > time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if _, err := client.GetProtectionPolicy(s.Context(), &pb.GetProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy}); err != nil {
		t.Errorf("a short call: %v", err)
	}
	if polls := s.Services.Polls(); polls.Readers != 50 || polls.Watched != 1 || polls.Polls == 0 {
		t.Errorf("%+v", polls)
	}
	cancel()
	waits.Wait()
	eventually(t, "no waits", func() bool { return s.Services.WaitsInFlight() == 0 && s.Services.Polls().Readers == 0 })
}

// A tenant gets its share of all that last, and no more.
func TestWaitsAreSharedByTenants(t *testing.T) {
	policy := &onePolicy{status: "updating"}
	s := servicetest.NewOnHandler(t, policy.ServeHTTP, func(o *service.Options) { o.MaxWaits = 10 })
	client := pb.NewProtectionPolicyServiceClient(s.Conn)
	ctx, cancel := context.WithCancel(s.Context())
	var waits sync.WaitGroup
	refused := make(chan error, 20)
	for range 20 {
		waits.Go(func() {
			_, err := client.WaitProtectionPolicy(ctx, &pb.WaitProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy, Until: []pb.ProtectionPolicyStatus{policyActive}})
			if status.Code(err) != codes.Canceled {
				refused <- err
			}
		})
	}
	for range 15 {
		if err := <-refused; failureOf(err).reason != "SERVER_OVERLOADED" {
			t.Errorf("%v", err)
		}
	}
	s.NextTenant()
	if got, err := waitPolicy(s, &pb.WaitProtectionPolicyRequest{}); err != nil {
		t.Errorf("another tenant: %v, %v", got, err)
	}
	cancel()
	waits.Wait()
}
