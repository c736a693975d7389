package servicetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
)

// EveryAttempt is more attempts than the server makes of one request.
const EveryAttempt = 100

// Loss is a way to lose the response to a write, or the write itself.
type Loss struct {
	// Name is that of a subtest.
	Name string
	// AfterWork has the emulator work on the request first.
	AfterWork bool
	// Status is the status of the response; 0 cuts the connection instead.
	Status int
	// Refused has the response say that nothing was done.
	Refused bool
	// Unread leaves the body of the request unread. Half lets half of the response through.
	Unread, Half bool
	// Reset ends the stream of HTTP/2 alone, not the connection.
	Reset bool
	// Unsent is how many connections are cut in their handshake, so that nothing can be sent.
	Unsent int
}

// BeforeWork reports whether the emulator never works on the write, although the server may repeat it.
func (l Loss) BeforeWork() bool { return !l.AfterWork && !l.Refused && l.Unsent != 1 }

// Losses are the ways to lose a write over a transport.
func Losses(transport Transport) []Loss {
	all := []Loss{
		{Name: "cut while sending", Unread: true},
		{Name: "cut before the work"},
		{Name: "408", Status: http.StatusRequestTimeout},
		{Name: "502", Status: http.StatusBadGateway},
		{Name: "504", Status: http.StatusGatewayTimeout},
		{Name: "cut after the work", AfterWork: true},
		{Name: "cut within the response", AfterWork: true, Half: true},
		{Name: "502 after the work", AfterWork: true, Status: http.StatusBadGateway},
		{Name: "504 after the work", AfterWork: true, Status: http.StatusGatewayTimeout},
		// No 429: the pace that it sets would make a run of many writes take minutes.
		{Name: "503 with a delay", Status: http.StatusServiceUnavailable, Refused: true},
	}
	if transport == ClearText {
		// There is no handshake in which the connection could be cut.
		return all
	}
	return append(all,
		Loss{Name: "reset while sending", Reset: true, Unread: true},
		Loss{Name: "reset after the work", Reset: true, AfterWork: true},
		Loss{Name: "reset within the response", Reset: true, AfterWork: true, Half: true},
		Loss{Name: "one connection cut before sending", Unsent: 1},
		Loss{Name: "each connection cut before sending", Unsent: EveryAttempt},
	)
}

// LossyProxy stands between the server and the emulator. It loses the responses to writes when it is told to.
type LossyProxy struct {
	// Loss is how it loses them.
	Loss Loss

	tb       testing.TB
	emulator *emulator.Emulator
	client   *graph.Client
	// version is the major version of HTTP that writes have to use.
	version int

	mu sync.Mutex
	// left is how many responses are still to be lost, unsent how many connections are still to be cut.
	left, unsent int
	// body is that of the last lost response, reads how many reads came since Lose.
	body  []byte
	reads int
	// open is how many connections there are.
	open int
}

// NewLossy starts a server on an emulator behind a lossy proxy.
func NewLossy(tb testing.TB, transport Transport, loss Loss, options ...Option) (*Server, *LossyProxy) {
	tb.Helper()
	p := &LossyProxy{Loss: loss, tb: tb, emulator: emulator.New(emulator.Options{Stopped: true}), version: 1}
	if transport == TLS {
		p.version = 2
	}
	upstream := httptest.NewUnstartedServer(p)
	upstream.Listener = cuttingListener{upstream.Listener, p}
	upstream.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	upstream.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch state {
		case http.StateNew:
			p.open++
		case http.StateClosed:
			p.open--
		}
	}
	options = append(options, func(o *service.Options) { p.client = o.Graph })
	return NewOnEmulator(tb, transport, p.emulator, upstream, options...), p
}

// Lose has the responses to so many writes lost. A Loss with Unsent cuts that many connections instead.
func (p *LossyProxy) Lose(attempts int) {
	p.mu.Lock()
	p.body, p.reads = nil, 0
	if p.Loss.Unsent == 0 {
		p.left = attempts
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	// The write needs a new connection. One that was just used is not idle yet.
	for p.connections() > 0 {
		p.client.CloseIdleConnections()
		runtime.Gosched()
	}
	p.mu.Lock()
	p.unsent = p.Loss.Unsent
	p.mu.Unlock()
}

// Stop ends the losses. It returns the body of the last response that was lost, nil when the emulator made none, and
// how many reads came since Lose.
func (p *LossyProxy) Stop() (body []byte, reads int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.unsent = 0, 0
	return p.body, p.reads
}

// ServeHTTP serves a request by the emulator, or loses it.
func (p *LossyProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	lose := r.Method != http.MethodGet && p.left > 0
	if lose {
		p.left--
	} else if r.Method == http.MethodGet {
		p.reads++
	}
	p.mu.Unlock()
	if !lose {
		p.emulator.ServeHTTP(w, r)
		return
	}
	if r.ProtoMajor != p.version {
		p.tb.Errorf("%s %s came over %s", r.Method, r.URL.Path, r.Proto)
	}
	if !p.Loss.Unread {
		// The emulator reads the body again.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if p.Loss.AfterWork {
		recorder := httptest.NewRecorder()
		p.emulator.ServeHTTP(recorder, r)
		p.mu.Lock()
		p.body = recorder.Body.Bytes()
		p.mu.Unlock()
	}
	switch {
	case p.Loss.Half:
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, `{"id":`)
		_ = http.NewResponseController(w).Flush()
		p.cut(r)
	case p.Loss.Refused:
		w.Header().Set("Retry-After", "0.01")
		w.WriteHeader(p.Loss.Status)
	case p.Loss.Status != 0:
		w.WriteHeader(p.Loss.Status)
	default:
		p.cut(r)
	}
}

// cut ends a request without a response, and its connection unless the loss is a reset.
func (p *LossyProxy) cut(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(*tls.Conn); ok && !p.Loss.Reset {
		// Over HTTP/2 the panic would end the stream alone.
		_ = conn.NetConn().Close()
	}
	panic(http.ErrAbortHandler)
}

func (p *LossyProxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// cuts reports whether the next connection is to be cut.
func (p *LossyProxy) cuts() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unsent == 0 {
		return false
	}
	p.unsent--
	return true
}

// connKey is the key of the connection in the context of a request.
type connKey struct{}

// cuttingListener cuts connections before a byte is sent.
type cuttingListener struct {
	net.Listener
	proxy *LossyProxy
}

// Accept waits for a connection that is not to be cut.
func (c cuttingListener) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil || !c.proxy.cuts() {
			return conn, err
		}
		_ = conn.Close()
	}
}
