package interceptor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/identity"
)

// watcher is an observer and a tracer that keeps what it was told.
type watcher struct {
	mu    sync.Mutex
	began []string
	ended []CallInfo
	spans []error
	// refuse says that no call gets a span.
	refuse bool
}

func (w *watcher) CallBegan(method string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = append(w.began, method)
}

func (w *watcher) CallEnded(c CallInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, c)
}

type spanKey struct{}

func (w *watcher) Begin(ctx context.Context, _ string) (context.Context, func(error)) {
	if w.refuse {
		return ctx, nil
	}
	return context.WithValue(ctx, spanKey{}, "trace-1"), func(err error) { w.spans = append(w.spans, err) }
}

func (*watcher) Within(ctx, _ context.Context) context.Context { return ctx }

func (*watcher) TraceID(ctx context.Context) string {
	id, _ := ctx.Value(spanKey{}).(string)
	return id
}

// observe puts a watcher into a suite.
func observe(s *suite, w *watcher) {
	s.options.Observers, s.options.Tracer = []Observer{w}, w
	s.Chain = newChain(s.options, s.calls)
}

func TestTracerStandsAroundTheLog(t *testing.T) {
	s, w := newSuite(t, 1000), new(watcher)
	observe(s, w)
	var names []string
	for _, n := range s.around {
		names = append(names, n.name)
	}
	if want := []string{"recovery", "request id", "trace", "log", "audit", "translation", "inner recovery", "deadline", "capacity", "identity", "rights", "share"}; !slices.Equal(names, want) {
		t.Errorf("order is %v, want %v", names, want)
	}
	handle := func(ctx context.Context, _ any) (any, error) {
		if w.TraceID(ctx) != "trace-1" {
			t.Error("the handler is outside of the span")
		}
		return nil, errors.New("secret")
	}
	_, err := s.Unary(t.Context(), new(pb.GetProtectionPolicyRequest), &grpc.UnaryServerInfo{FullMethod: getPolicy}, handle)
	if len(w.spans) != 1 || !errors.Is(w.spans[0], err) || !strings.Contains(s.log.String(), `"traceId":"trace-1"`) {
		t.Errorf("spans %v, log %s", w.spans, s.log)
	}
	w.refuse = true
	s.log.Reset()
	_, _ = s.Unary(t.Context(), new(pb.GetProtectionPolicyRequest), &grpc.UnaryServerInfo{FullMethod: getPolicy}, func(context.Context, any) (any, error) { return nil, nil })
	if len(w.spans) != 1 || strings.Contains(s.log.String(), "traceId") {
		t.Errorf("a call without a span: spans %v, log %s", w.spans, s.log)
	}
}

func TestObserverIsToldWhatACallCameTo(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want CallInfo
	}{
		{"OK", nil, CallInfo{}},
		{"a refusal", apierror.Refuse(pb.ErrorReason_INVALID_PAGE_TOKEN), CallInfo{Code: codes.InvalidArgument, Reason: "INVALID_PAGE_TOKEN", Fault: "caller"}},
		{"a connection that failed", &apierror.GraphError{Err: &graph.Error{Kind: graph.KindUnreachable, Cause: graph.CauseDNS}}, CallInfo{Code: codes.Unavailable, Reason: "GRAPH_UNREACHABLE", Fault: "graph", Cause: "dns"}},
		{"too many requests wait", &apierror.GraphError{Err: &graph.Error{Kind: graph.KindOverloaded}}, CallInfo{Code: codes.Unavailable, Reason: "SERVER_OVERLOADED", Fault: "server", Shed: ShedGraphQueue}},
		{"no memory for a response", &apierror.GraphError{Err: &graph.Error{Kind: graph.KindOverloaded, Meta: graph.Meta{Status: 200}}}, CallInfo{Code: codes.Unavailable, Reason: "SERVER_OVERLOADED", Fault: "server", Shed: ShedResponseBytes}},
		{"any other lack of room", apierror.Refuse(pb.ErrorReason_SERVER_OVERLOADED), CallInfo{Code: codes.Unavailable, Reason: "SERVER_OVERLOADED", Fault: "server", Shed: ShedOther}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, w := newSuite(t, 1000), new(watcher)
			observe(s, w)
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(tenantKey, "a"))
			_, _ = s.Unary(ctx, new(pb.GetProtectionPolicyRequest), &grpc.UnaryServerInfo{FullMethod: getPolicy}, func(context.Context, any) (any, error) {
				return new(pb.GetProtectionPolicyResponse), test.err
			})
			if len(w.began) != 1 || w.began[0] != getPolicy || len(w.ended) != 1 {
				t.Fatalf("began %v, ended %v", w.began, w.ended)
			}
			got := w.ended[0]
			if got.Duration <= 0 || got.Duration > time.Minute {
				t.Errorf("it took %v", got.Duration)
			}
			got.Duration = 0
			test.want.Method, test.want.Tenant = getPolicy, "a"
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// A call that is refused at its headers says why like any other.
func TestObserverIsToldWhyHeadersWereShed(t *testing.T) {
	s, w := newSuite(t, 1), new(watcher)
	s.options.Observers = []Observer{w}
	s.Chain = newChain(s.options, s.calls)
	var err error
	for i := 0; err == nil && i <= incomingPerCall; i++ {
		_, err = s.Tap(t.Context(), &tap.Info{FullMethodName: getPolicy})
	}
	if err == nil || len(w.ended) != 1 || w.ended[0].Shed != ShedIncoming || w.ended[0].Method != getPolicy {
		t.Errorf("%v, %+v", err, w.ended)
	}
}

// A tenant that has its share, and a server that is full, are two things.
func TestObserverIsToldWhyACallWasShed(t *testing.T) {
	s, w := newSuite(t, 3), new(watcher)
	observe(s, w)
	call := func(tenant string) {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(tenantKey, tenant))
		_, _ = s.Unary(ctx, new(pb.GetProtectionPolicyRequest), &grpc.UnaryServerInfo{FullMethod: getPolicy}, func(context.Context, any) (any, error) { return nil, nil })
	}
	for _, tenant := range []string{"a", "a"} {
		if !s.calls.enter() || !s.calls.take(tenant) {
			t.Fatal("no room in the beginning")
		}
	}
	call("a")
	if !s.calls.enter() || !s.calls.take("b") {
		t.Fatal("no room for another tenant")
	}
	call("c")
	if len(w.ended) != 2 || w.ended[0].Shed != ShedTenantShare || w.ended[1].Shed != ShedAllCalls {
		t.Errorf("got %+v", w.ended)
	}
}

// Reflection passes a part of the chain, so that strangers are refused. Observers are told of those alone.
func TestObserverIsToldOfRefusedReflection(t *testing.T) {
	const method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
	s, w := newSuite(t, 1000), new(watcher)
	s.options.Observers, s.options.Callers = []Observer{w}, &Callers{Authenticator: identity.New(identity.Options{}), Now: time.Now}
	chain := newChain(s.options, s.calls)
	ask := func(ctx context.Context) error {
		_, err := chain.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) { return nil, nil })
		return err
	}
	if err := ask(&call{Context: t.Context(), method: method, shown: true, caller: identity.Caller{Expires: time.Now().Add(time.Hour)}}); err != nil || len(w.began)+len(w.ended) != 0 {
		t.Errorf("a caller that is known: %v, began %q, ended %v", err, w.began, w.ended)
	}
	if err := ask(t.Context()); err == nil || len(w.began) != 1 || len(w.ended) != 1 {
		t.Fatalf("a stranger: %v, began %q, ended %v", err, w.began, w.ended)
	}
	if got := w.ended[0]; got.Method != "" || got.Reason != "CALLER_UNAUTHENTICATED" || got.Denied != "no-credential" {
		t.Errorf("got %+v", got)
	}
}
