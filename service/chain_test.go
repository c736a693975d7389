package service

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
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

const getPolicy = "/m365.backupstorage.v1.ProtectionPolicyService/GetProtectionPolicy"

// chainServer is a server whose upstream is never called.
func chainServer(t *testing.T, maxCalls int) (*Server, *bytes.Buffer) {
	t.Helper()
	client, err := graph.New(graph.Options{Endpoint: "http://127.0.0.1:1/v1.0", Tokens: graph.Unsigned{}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := graph.NewPageTokens()
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	s, err := New(Options{Graph: client, PageTokens: pages, Logger: slog.New(slog.NewJSONHandler(log, nil)), MaxCalls: maxCalls})
	if err != nil {
		t.Fatal(err)
	}
	return s, log
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

func through(ctx context.Context, s *Server, handler grpc.UnaryHandler) (*status.Status, metadata.MD) {
	carrier := new(transport)
	ctx = grpc.NewContextWithServerTransportStream(ctx, carrier)
	_, err := s.intercept(ctx, new(pb.GetProtectionPolicyRequest), &grpc.UnaryServerInfo{FullMethod: getPolicy}, handler)
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

func TestInterceptorsStandInTheAgreedOrder(t *testing.T) {
	s, _ := chainServer(t, 0)
	var names []string
	for _, n := range s.interceptors() {
		names = append(names, n.name)
	}
	want := []string{"recovery", "ids", "log", "translation", "inner recovery", "overload", "deadline"}
	if !slices.Equal(names, want) {
		t.Errorf("order is %v, want %v", names, want)
	}
}

func TestAnyErrorOfAHandlerBecomesATypedStatus(t *testing.T) {
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
			s, log := chainServer(t, 0)
			got, _ := through(t.Context(), s, func(context.Context, any) (any, error) { return nil, c.err })
			if got.Code() != c.code || infoOf(t, got).GetReason() != c.reason {
				t.Errorf("got %v", got)
			}
			if strings.Contains(got.String()+log.String(), "secret") {
				t.Error("the text of an unknown error got out")
			}
		})
	}
}

func TestAPanicBecomesATypedStatusWithAnIncidentThatTheLogHasToo(t *testing.T) {
	s, log := chainServer(t, 0)
	got, trailer := through(t.Context(), s, func(context.Context, any) (any, error) { panic("secret token") })
	incident := infoOf(t, got).GetMetadata()["incident"]
	if got.Code() != codes.Internal || incident == "" {
		t.Fatalf("got %v", got)
	}
	if !strings.Contains(log.String(), incident) || !strings.Contains(log.String(), "chain_test.go") {
		t.Error("the log has neither incident nor stack")
	}
	if strings.Contains(got.String()+log.String(), "secret") {
		t.Error("the panic's value got out")
	}
	if got := trailer.Get(pushbackKey); !slices.Equal(got, []string{"-1"}) {
		t.Errorf("pushback %v", got)
	}
}

func TestAPanicOutsideOfTranslationBecomesATypedStatusToo(t *testing.T) {
	s, log := chainServer(t, 0)
	s.logger = slog.New(panicking{})
	_, err := s.intercept(grpc.NewContextWithServerTransportStream(t.Context(), new(transport)), new(pb.GetProtectionPolicyRequest),
		&grpc.UnaryServerInfo{FullMethod: getPolicy}, func(context.Context, any) (any, error) { return nil, nil })
	if got := status.Convert(err); got.Code() != codes.Internal || infoOf(t, got).GetReason() != "INTERNAL" {
		t.Errorf("got %v, log %s", got, log)
	}
}

func TestAPanicOutsideOfTranslationTellsTheRuntimeOnceNotToRetry(t *testing.T) {
	for name, failure := range map[string]error{"of a call that was OK": nil, "of a call that failed": refuse(pb.ErrorReason_SERVER_OVERLOADED, "", "")} {
		s, _ := chainServer(t, 0)
		s.logger = slog.New(panicking{})
		got, trailer := through(t.Context(), s, func(context.Context, any) (any, error) { return nil, failure })
		if got.Code() != codes.Internal || len(trailer.Get(pushbackKey)) != 1 || failure == nil && trailer.Get(pushbackKey)[0] != "-1" {
			t.Errorf("%s: got %v, trailer %v", name, got.Code(), trailer)
		}
		if len(trailer.Get(requestIDKey)) != 1 {
			t.Errorf("%s: trailer %v", name, trailer)
		}
	}
}

func TestARuntimeIsToldADelayOnlyWhenTimeForARetryIsLeft(t *testing.T) {
	translator, _ := steady(t)
	f := translator.own(pb.ErrorReason_TOO_MANY_REQUESTS)
	f.retryDelay = 1157 * time.Millisecond
	for left, want := range map[time.Duration]string{0: "1157", 1160 * time.Millisecond: "-1", 1340 * time.Millisecond: "-1", 5 * time.Second: "1157"} {
		ctx := t.Context()
		if left > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, left)
			defer cancel()
		}
		if got, ok := pushback(ctx, f); !ok || got != want {
			t.Errorf("%v left: pushback %q, want %q", left, got, want)
		}
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

func TestOverloadIsAnsweredAtOnceAndTellsToComeBack(t *testing.T) {
	s, _ := chainServer(t, 1)
	reached := false
	outer, _ := through(t.Context(), s, func(ctx context.Context, _ any) (any, error) {
		got, trailer := through(ctx, s, func(context.Context, any) (any, error) { reached = true; return nil, nil })
		if got.Code() != codes.Unavailable || infoOf(t, got).GetReason() != "SERVER_OVERLOADED" {
			t.Errorf("got %v", got)
		}
		if len(trailer.Get(pushbackKey)) != 1 || trailer.Get(pushbackKey)[0] == "-1" {
			t.Errorf("pushback %v: nothing was done, so the runtime may come back", trailer.Get(pushbackKey))
		}
		return nil, nil
	})
	if outer.Code() != codes.OK || reached {
		t.Errorf("outer call: %v; the one too many got through: %v", outer, reached)
	}
	again, _ := through(t.Context(), s, func(context.Context, any) (any, error) { return nil, nil })
	if again.Code() != codes.OK {
		t.Errorf("afterwards: %v", again)
	}
}

func TestNoTenantTakesAllTheCallsThatTheServerTakes(t *testing.T) {
	s, _ := chainServer(t, 10)
	of := func(tenant string) context.Context {
		return metadata.NewIncomingContext(t.Context(), metadata.Pairs(tenantKey, tenant))
	}
	const greedy, other = "aaaaaaaa-0000-4000-8000-00000000000a", "bbbbbbbb-0000-4000-8000-00000000000b"
	release := make(chan struct{})
	var entered, held sync.WaitGroup
	hold := func(tenant string) {
		entered.Add(1)
		held.Go(func() {
			if got, _ := through(of(tenant), s, func(context.Context, any) (any, error) { entered.Done(); <-release; return nil, nil }); got.Code() != codes.OK {
				t.Errorf("%s: %v", tenant, got)
				entered.Done()
			}
		})
		entered.Wait()
	}
	nothing := func(context.Context, any) (any, error) { return nil, nil }
	for range 9 {
		hold(greedy)
	}
	if got, _ := through(of(greedy), s, nothing); got.Code() != codes.Unavailable || infoOf(t, got).GetReason() != "SERVER_OVERLOADED" {
		t.Errorf("the tenth call of one tenant: %v", got)
	}
	// In other letters it is the same tenant.
	if got, _ := through(of(strings.ToUpper(greedy)), s, nothing); got.Code() != codes.Unavailable {
		t.Errorf("the tenth call of one tenant, written in capitals: %v", got)
	}
	hold(other)
	if got, _ := through(of(other), s, nothing); got.Code() != codes.Unavailable {
		t.Errorf("the eleventh call of all: %v", got)
	}
	close(release)
	held.Wait()
	if len(s.underWay.byTenant) > 0 || s.underWay.all != 0 {
		t.Errorf("left under way: %d, %v", s.underWay.all, s.underWay.byTenant)
	}
	if got, _ := through(of(greedy), s, nothing); got.Code() != codes.OK {
		t.Errorf("afterwards: %v", got)
	}
}

func TestEveryCallHasADeadlineALittleBeforeTheCallers(t *testing.T) {
	s, _ := chainServer(t, 0)
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

func TestACallWithTooLittleTimeLeftIsNotBegun(t *testing.T) {
	s, _ := chainServer(t, 0)
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

func TestAStatusStaysSmallWhateverIsInIt(t *testing.T) {
	s, _ := chainServer(t, 0)
	op := s.core.operations.byMethod[getPolicy]
	long := strings.Repeat("ж\x01", 1<<19)
	for value, r := range s.core.translator.reasons.byValue {
		f := s.core.translator.own(value)
		f.op, f.graphText, f.requestID = op, long, "0f0f0f0f-1111-4222-8333-444444444444"
		f.retryDelay = time.Second
		for _, key := range []string{"graphCode", "graphInnerCode", "httpStatus", "problem", "outcome", "verifyWith", "permission"} {
			f.set(key, long)
		}
		for range 50 {
			f.violations = append(f.violations, &errdetails.BadRequest_FieldViolation{Field: long[:300], Description: long[:300] + "\xff"})
		}
		got := f.status()
		if size := proto.Size(got); size > maxStatus {
			t.Errorf("%s: %d bytes", r.name, size)
		}
		if len(got.GetMessage()) > maxText {
			t.Errorf("%s: message of %d bytes", r.name, len(got.GetMessage()))
		}
		converted := status.FromProto(got)
		if infoOf(t, converted).GetReason() != r.name {
			t.Errorf("%s: reason lost", r.name)
		}
		var kept int
		for _, d := range converted.Details() {
			switch d.(type) {
			case *errdetails.RetryInfo, *errdetails.RequestInfo:
				kept++
			}
		}
		if kept != 2 {
			t.Errorf("%s: RetryInfo or RequestInfo lost: %v", r.name, converted)
		}
	}
}
