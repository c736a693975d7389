package interceptor

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

const getPolicy = "/m365.backupstorage.v1.ProtectionPolicyService/GetProtectionPolicy"

// suite is a chain and its log.
type suite struct {
	*Chain
	options Options
	calls   *inFlight
	log     *bytes.Buffer
}

// tenantKey is the metadata that names the tenant, in these tests by any text.
const tenantKey = "x-tenant-id"

func newSuite(t *testing.T, maxCalls int) *suite {
	t.Helper()
	return newSuiteWith(t, maxCalls, nil)
}

// newSuiteWith takes another log, nil for one that keeps its lines.
func newSuiteWith(t *testing.T, maxCalls int, handler slog.Handler) *suite {
	t.Helper()
	c, err := contract.Read()
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{log: new(bytes.Buffer), calls: newInFlight(maxCalls, false)}
	if handler == nil {
		handler = slog.NewJSONHandler(s.log, nil)
	}
	o := Options{
		Contract: c, Translator: apierror.New(c.Reasons), Logger: slog.New(handler), MaxCalls: maxCalls, Bytes: wire.NewBytes(1 << 20),
		Tenant: func(ctx context.Context) (string, error) {
			return strings.ToLower(strings.Join(metadata.ValueFromIncomingContext(ctx, tenantKey), ",")), nil
		},
	}
	s.options, s.Chain = o, newChain(o, s.calls)
	return s
}

// transport takes the trailers of a call that no connection carries.
type transport struct{ trailer metadata.MD }

func (*transport) Method() string { return getPolicy }
func (*transport) SetHeader(metadata.MD) error {
	return errors.New("a header before an error switches off retries")
}
func (*transport) SendHeader(metadata.MD) error {
	return errors.New("a header before an error switches off retries")
}
func (t *transport) SetTrailer(md metadata.MD) error {
	t.trailer = metadata.Join(t.trailer, md)
	return nil
}

func through(ctx context.Context, s *suite, handler grpc.UnaryHandler) (*status.Status, metadata.MD) {
	carrier := new(transport)
	ctx = grpc.NewContextWithServerTransportStream(ctx, carrier)
	response, err := s.Unary(ctx, new(pb.GetProtectionPolicyRequest), &grpc.UnaryServerInfo{FullMethod: getPolicy}, handler)
	if r, ok := response.(*wire.Response); ok {
		// As gRPC does: it marshals the response and frees it.
		data, err := wire.Codec{}.Marshal(r)
		if err != nil {
			return status.Convert(err), carrier.trailer
		}
		data.Free()
	}
	return status.Convert(err), carrier.trailer
}

func infoOf(t *testing.T, s *status.Status) *errdetails.ErrorInfo {
	t.Helper()
	if len(s.Details()) > 0 {
		if info, ok := s.Details()[0].(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	t.Fatalf("no ErrorInfo in %v", s)
	return nil
}

func TestOrderOfTheChain(t *testing.T) {
	s := newSuite(t, 1000)
	var names []string
	for _, n := range s.around {
		names = append(names, n.name)
	}
	want := []string{"recovery", "request id", "log", "audit", "translation", "inner recovery", "deadline", "capacity", "identity", "rights", "share"}
	if !slices.Equal(names, want) {
		t.Errorf("order is %v, want %v", names, want)
	}
}

func TestAnyErrorBecomesATypedStatus(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		code   codes.Code
		reason string
	}{
		{"a plain error", errors.New("secret"), codes.Internal, "INTERNAL"},
		{"a Status of another kind", status.Error(codes.DataLoss, "secret"), codes.Internal, "INTERNAL"},
		{"a missing method", status.Error(codes.Unimplemented, "secret"), codes.Unimplemented, "UNKNOWN_METHOD"},
		{"a deadline", context.DeadlineExceeded, codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
		{"a cancellation", context.Canceled, codes.Canceled, "CANCELLED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSuite(t, 1000)
			got, _ := through(t.Context(), s, func(context.Context, any) (any, error) { return nil, c.err })
			if got.Code() != c.code || infoOf(t, got).GetReason() != c.reason {
				t.Errorf("got %v", got)
			}
			if strings.Contains(got.String()+s.log.String(), "secret") {
				t.Error("the text of an unknown error got out")
			}
		})
	}
}

func TestPanicIsAnIncidentThatTheLogHas(t *testing.T) {
	s := newSuite(t, 1000)
	got, trailer := through(t.Context(), s, func(context.Context, any) (any, error) { panic("secret token") })
	incident := infoOf(t, got).GetMetadata()["incident"]
	if got.Code() != codes.Internal || incident == "" {
		t.Fatalf("got %v", got)
	}
	if !strings.Contains(s.log.String(), incident) || !strings.Contains(s.log.String(), "chain_test.go") {
		t.Error("the log has neither incident nor stack")
	}
	if strings.Contains(got.String()+s.log.String(), "secret") {
		t.Error("the panic's value got out")
	}
	if got := trailer.Get(pushbackKey); !slices.Equal(got, []string{"-1"}) {
		t.Errorf("pushback %v", got)
	}
}

func TestPanicOutsideOfTranslationIsTyped(t *testing.T) {
	s := newSuiteWith(t, 1000, panicking{})
	_, err := s.Unary(grpc.NewContextWithServerTransportStream(t.Context(), new(transport)), new(pb.GetProtectionPolicyRequest),
		&grpc.UnaryServerInfo{FullMethod: getPolicy}, func(context.Context, any) (any, error) { return new(pb.GetProtectionPolicyResponse), nil })
	if got := status.Convert(err); got.Code() != codes.Internal || infoOf(t, got).GetReason() != "INTERNAL" {
		t.Errorf("got %v, log %s", got, s.log)
	}
}

func TestPanicOutsideOfTranslationForbidsRetries(t *testing.T) {
	for name, failure := range map[string]error{"of a call that was OK": nil, "of a call that failed": apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED)} {
		s := newSuiteWith(t, 1000, panicking{})
		got, trailer := through(t.Context(), s, func(context.Context, any) (any, error) { return nil, failure })
		if got.Code() != codes.Internal || len(trailer.Get(pushbackKey)) != 1 || failure == nil && trailer.Get(pushbackKey)[0] != "-1" {
			t.Errorf("%s: got %v, trailer %v", name, got.Code(), trailer)
		}
		if len(trailer.Get(requestIDKey)) != 1 {
			t.Errorf("%s: trailer %v", name, trailer)
		}
	}
}

// A runtime gets a delay only when the deadline leaves time for a retry.
func TestPushbackFitsTheDeadline(t *testing.T) {
	c, err := contract.Read()
	if err != nil {
		t.Fatal(err)
	}
	translator := apierror.NewWithChance(c.Reasons, apierror.Chance{Jitter: func() float64 { return 0 }})
	f := translator.Translate(nil, nil, "", &graph.Error{Kind: graph.KindThrottled, RetryAfter: 1157 * time.Millisecond})
	for left, want := range map[time.Duration]string{0: "1157", 1160 * time.Millisecond: "-1", 1340 * time.Millisecond: "-1", 5 * time.Second: "1157"} {
		ctx := t.Context()
		if left > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, left)
			defer cancel()
		}
		if got, ok := pushback(new(call).timeLeft(ctx), f); !ok || got != want {
			t.Errorf("%v left: pushback %q, want %q", left, got, want)
		}
	}
}

// The server gives no call more than MaxTime. Whether a retry fits depends on how long the client waits.
func TestTimeLeftIsTheClients(t *testing.T) {
	s := newSuite(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*MaxTime)
	defer cancel()
	ctx, err := s.Tap(ctx, &tap.Info{FullMethodName: getPolicy})
	if err != nil {
		t.Fatal(err)
	}
	if deadline, _ := ctx.Deadline(); time.Until(deadline) > MaxTime {
		t.Errorf("the call has %v", time.Until(deadline))
	}
	if left := of(ctx).timeLeft(ctx); left < 2*MaxTime {
		t.Errorf("%v left, of %v", left, 3*MaxTime)
	}
}

// panicking is a log that fails at its first line and then takes the others.
type panicking struct{}

func (panicking) Enabled(context.Context, slog.Level) bool { return true }
func (panicking) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "call" {
		panic("disk full")
	}
	return nil
}
func (p panicking) WithAttrs([]slog.Attr) slog.Handler { return p }
func (p panicking) WithGroup(string) slog.Handler      { return p }

func TestOverloadIsRefusedAtOnce(t *testing.T) {
	s := newSuite(t, 1)
	reached := false
	outer, _ := through(t.Context(), s, func(ctx context.Context, _ any) (any, error) {
		got, trailer := through(ctx, s, func(context.Context, any) (any, error) {
			reached = true
			return new(pb.GetProtectionPolicyResponse), nil
		})
		if got.Code() != codes.Unavailable || infoOf(t, got).GetReason() != "SERVER_OVERLOADED" {
			t.Errorf("got %v", got)
		}
		if len(trailer.Get(pushbackKey)) != 1 || trailer.Get(pushbackKey)[0] == "-1" {
			t.Errorf("pushback %v: nothing was done, so the runtime may come back", trailer.Get(pushbackKey))
		}
		return new(pb.GetProtectionPolicyResponse), nil
	})
	if outer.Code() != codes.OK || reached {
		t.Errorf("outer call: %v; the one too many got through: %v", outer, reached)
	}
	again, _ := through(t.Context(), s, func(context.Context, any) (any, error) { return new(pb.GetProtectionPolicyResponse), nil })
	if again.Code() != codes.OK {
		t.Errorf("afterwards: %v", again)
	}
}

// A tenant gets another place while it has fewer than are free.
func TestNoTenantTakesAllCalls(t *testing.T) {
	s := newSuite(t, 10)
	of := func(tenant string) context.Context {
		return metadata.NewIncomingContext(t.Context(), metadata.Pairs(tenantKey, tenant))
	}
	const greedy, other, third = "aaaaaaaa-0000-4000-8000-00000000000a", "bbbbbbbb-0000-4000-8000-00000000000b", "cccccccc-0000-4000-8000-00000000000c"
	release := make(chan struct{})
	var entered, held sync.WaitGroup
	hold := func(tenant string) {
		entered.Add(1)
		held.Go(func() {
			got, _ := through(of(tenant), s, func(context.Context, any) (any, error) {
				entered.Done()
				<-release
				return new(pb.GetProtectionPolicyResponse), nil
			})
			if got.Code() != codes.OK {
				t.Errorf("%s: %v", tenant, got)
				entered.Done()
			}
		})
		entered.Wait()
	}
	nothing := func(context.Context, any) (any, error) { return new(pb.GetProtectionPolicyResponse), nil }
	refused := func(what, tenant string) {
		t.Helper()
		if got, _ := through(of(tenant), s, nothing); got.Code() != codes.Unavailable || infoOf(t, got).GetReason() != "SERVER_OVERLOADED" {
			t.Errorf("%s: %v", what, got)
		}
	}
	for range 5 {
		hold(greedy)
	}
	refused("the sixth call of one tenant", greedy)
	// In other letters it is the same tenant.
	refused("the sixth call of one tenant, written in capitals", strings.ToUpper(greedy))
	for range 3 {
		hold(other)
	}
	refused("a call of the second tenant, when two are free", other)
	hold(third)
	refused("a second call of the third tenant, when one is free", third)
	hold("dddddddd-0000-4000-8000-00000000000d")
	refused("the eleventh call of all", "eeeeeeee-0000-4000-8000-00000000000e")
	close(release)
	held.Wait()
	if len(s.calls.byTenant) > 0 || s.calls.all != 0 {
		t.Errorf("left under way: %d, %v", s.calls.all, s.calls.byTenant)
	}
	if got, _ := through(of(greedy), s, nothing); got.Code() != codes.OK {
		t.Errorf("afterwards: %v", got)
	}
}

// Where only one tenant is possible, it may have all places.
func TestOneTenantTakesAllCalls(t *testing.T) {
	calls := newInFlight(3, true)
	for range 3 {
		if !calls.enter() || !calls.take("a") {
			t.Fatal("refused")
		}
	}
	if calls.enter() {
		t.Error("the fourth call got in")
	}
}

func TestDeadlineIsALittleBeforeTheCallers(t *testing.T) {
	s := newSuite(t, 1000)
	for _, c := range []struct {
		name       string
		left, want time.Duration
	}{
		{"none", 0, 60 * time.Second},
		{"a short one", 200 * time.Millisecond, 180 * time.Millisecond},
		{"one of five seconds", 5 * time.Second, 4900 * time.Millisecond},
		{"one of a minute", time.Minute, time.Minute - 200*time.Millisecond},
		{"an hour", time.Hour, 120 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			if c.left > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.left)
				defer cancel()
			}
			through(ctx, s, func(ctx context.Context, _ any) (any, error) {
				deadline, ok := ctx.Deadline()
				if left := time.Until(deadline); !ok || left > c.want || left < c.want/2 {
					t.Errorf("%v left, want a little under %v", left, c.want)
				}
				return nil, nil
			})
		})
	}
}

func TestCallWithTooLittleTimeIsNotBegun(t *testing.T) {
	s := newSuite(t, 1000)
	ctx, cancel := context.WithTimeout(t.Context(), 99*time.Millisecond)
	defer cancel()
	got, _ := through(ctx, s, func(context.Context, any) (any, error) {
		t.Error("the handler ran")
		return nil, nil
	})
	if got.Code() != codes.DeadlineExceeded || infoOf(t, got).GetReason() != "DEADLINE_EXCEEDED" {
		t.Errorf("got %v", got)
	}
}

// stream is a server stream of a method that no connection carries.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }

// A stream passes the same interceptors as a unary call: it has an id, a deadline, a typed Status and a line in the
// log.
func TestStreamPassesTheSameChain(t *testing.T) {
	s := newSuite(t, 1)
	carrier := new(transport)
	ctx := grpc.NewContextWithServerTransportStream(t.Context(), carrier)
	info := &grpc.StreamServerInfo{FullMethod: getPolicy, IsServerStream: true}
	id := ""
	err := s.Stream(nil, stream{ctx: ctx}, info, func(_ any, inner grpc.ServerStream) error {
		if _, ok := inner.Context().Deadline(); !ok {
			t.Error("the stream has no deadline")
		}
		id = RequestID(inner.Context())
		// The stream holds the only place of the server.
		second := s.Stream(nil, stream{ctx: grpc.NewContextWithServerTransportStream(t.Context(), new(transport))}, info, func(any, grpc.ServerStream) error {
			t.Error("a second stream got through")
			return nil
		})
		if got := status.Convert(second); infoOf(t, got).GetReason() != "SERVER_OVERLOADED" {
			t.Errorf("second stream: %v", got)
		}
		panic("secret")
	})
	if id == "" || id != strings.Join(carrier.trailer.Get(requestIDKey), ",") {
		t.Errorf("request id %q, trailer %v", id, carrier.trailer)
	}
	got := status.Convert(err)
	if infoOf(t, got).GetReason() != "INTERNAL" || strings.Contains(got.String()+s.log.String(), "secret") {
		t.Errorf("got %v", got)
	}
	if lines := strings.Count(s.log.String(), `"msg":"call"`); lines != 2 {
		t.Errorf("%d lines for two streams", lines)
	}
	if err := s.Stream(nil, stream{ctx: t.Context()}, &grpc.StreamServerInfo{FullMethod: "/grpc.health.v1.Health/Watch"}, func(any, grpc.ServerStream) error { return errors.New("as it is") }); err == nil || err.Error() != "as it is" {
		t.Errorf("a stream that is not of the contract: %v", err)
	}
}
