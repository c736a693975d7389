package service_test

import (
	"context"
	"sync"
	"testing"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
)

// watcher is an observer and a tracer that keeps what it was told.
type watcher struct {
	mu    sync.Mutex
	began []string
	ended []service.CallInfo
	// known says of each call with a span whether its caller was known when it began.
	known []bool
}

func (w *watcher) CallBegan(method string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = append(w.began, method)
}

func (w *watcher) CallEnded(c service.CallInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, c)
}

func (w *watcher) Begin(ctx context.Context, _ string) (context.Context, func(error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = append(w.known, service.CallerKnown(ctx))
	return ctx, nil
}

func (*watcher) Within(ctx, _ context.Context) context.Context { return ctx }

func (*watcher) TraceID(context.Context) string { return "" }

// Observers hear why a call was refused for who makes it, and a tracer whether it knows who does.
func TestObserversHearOfDenials(t *testing.T) {
	w := new(watcher)
	s := newIdentified(t, func(o *service.Options) { o.Observers, o.Tracer = []service.Observer{w}, w })
	method := methodNamed(t, "GetBackupRestore")
	expired := s.token("reader", func(claims map[string]any) { claims["exp"] = 1 })
	for _, test := range []struct {
		name, token, tenant string
		known               bool
		reason, denied      string
	}{
		{"no credential", "", grantedTenant, false, "CALLER_UNAUTHENTICATED", "no-credential"},
		{"an old token", expired, grantedTenant, false, "CALLER_UNAUTHENTICATED", "expired"},
		{"a caller of another tenant", s.token("elsewhere", nil), grantedTenant, true, "CALLER_NOT_ALLOWED", "tenant"},
		{"a caller that nobody entered", s.token("nobody", nil), grantedTenant, true, "CALLER_NOT_ALLOWED", "caller-unknown"},
		{"a caller with rights", s.token("reader", nil), grantedTenant, true, "", ""},
	} {
		w.began, w.ended, w.known = nil, nil, nil
		s.call(method, new(pb.GetBackupRestoreRequest), test.token, test.tenant)
		w.mu.Lock()
		if len(w.began) != 1 || len(w.ended) != 1 || len(w.known) != 1 {
			t.Fatalf("%s: began %v, ended %v, spans %v", test.name, w.began, w.ended, w.known)
		}
		if got := w.ended[0]; got.Method != w.began[0] || got.Reason != test.reason || got.Denied != test.denied || w.known[0] != test.known {
			t.Errorf("%s: %+v, known %v", test.name, got, w.known[0])
		}
		w.mu.Unlock()
	}
}
