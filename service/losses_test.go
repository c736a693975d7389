package service_test

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

// loss is a way to lose the answer to a write, or the write itself.
type loss struct {
	name string
	// done tells whether the emulator works on the request first; status is what is answered, 0 cuts the connection.
	done   bool
	status int
	// refused says that the answer tells that nothing was done.
	refused bool
	// unread leaves the request's body on its way, half lets half of the answer through.
	unread, half bool
	// reset ends the stream of HTTP/2 alone, not the connection.
	reset bool
	// unsent cuts so many connections while they shake hands, so that nothing can be sent.
	unsent int
}

// comesThrough tells whether the write is worked on, be it when the server repeats it.
func (how loss) comesThrough() bool { return how.done || how.refused || how.unsent == 1 }

// everyAttempt is more attempts than there are.
const everyAttempt = 100

// waysOver are the ways over a link.
func waysOver(how link) []loss {
	ways := []loss{
		{name: "cut while sending", unread: true},
		{name: "cut before the work"},
		{name: "408", status: http.StatusRequestTimeout},
		{name: "502", status: http.StatusBadGateway},
		{name: "504", status: http.StatusGatewayTimeout},
		{name: "cut after the work", done: true},
		{name: "cut within the answer", done: true, half: true},
		{name: "502 after the work", done: true, status: http.StatusBadGateway},
		{name: "504 after the work", done: true, status: http.StatusGatewayTimeout},
		// A story of throttles would take minutes, by the pace that they teach.
		{name: "503 with a delay", status: http.StatusServiceUnavailable, refused: true},
	}
	if how == plain {
		// A connection in clear text is there before anybody can tell that it will be cut.
		return ways
	}
	return append(ways,
		loss{name: "reset while sending", reset: true, unread: true},
		loss{name: "reset after the work", reset: true, done: true},
		loss{name: "reset within the answer", reset: true, done: true, half: true},
		loss{name: "one connection cut before sending", unsent: 1},
		loss{name: "each connection cut before sending", unsent: everyAttempt},
	)
}

// losses stands between the server and the emulator and loses the answers to writes when it is told to.
type losses struct {
	// how is the way of the story, everyDelete says that a DELETE loses the answers to all attempts. met is how often each
	// rpc was called.
	how         loss
	everyDelete bool
	met         map[string]int

	t        *testing.T
	emulator *emulator.Emulator
	client   *graph.Client
	// version is that of HTTP in which writes have to come.
	version int

	mu sync.Mutex
	// left is how many answers are still to be lost, unsent how many connections are to be cut.
	left, unsent int
	// body is that of the last answer that nobody got, reads how many reads came since.
	body  []byte
	reads int
	// open is how many connections there are.
	open int
}

// newLossyWorld starts a server on an emulator behind losses.
func newLossyWorld(t *testing.T, how link, l *losses) *world {
	t.Helper()
	l.t, l.emulator, l.version = t, emulator.New(emulator.Options{Stopped: true}), 1
	if how == secure {
		l.version = 2
	}
	upstream := httptest.NewUnstartedServer(l)
	upstream.Listener = cuttingListener{upstream.Listener, l}
	upstream.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	upstream.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch state {
		case http.StateNew:
			l.open++
		case http.StateClosed:
			l.open--
		}
	}
	return newWorldOver(t, how, l.emulator, upstream, func(o *service.Options) { l.client = o.Graph })
}

type connKey struct{}

// cuttingListener cuts connections before a word was said.
type cuttingListener struct {
	net.Listener
	losses *losses
}

func (c cuttingListener) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil || !c.losses.cuts() {
			return conn, err
		}
		conn.Close()
	}
}

func (l *losses) cuts() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsent == 0 {
		return false
	}
	l.unsent--
	return true
}

func (l *losses) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	lose := r.Method != http.MethodGet && l.left > 0
	if lose {
		l.left--
	} else if r.Method == http.MethodGet {
		l.reads++
	}
	l.mu.Unlock()
	if !lose {
		l.emulator.ServeHTTP(w, r)
		return
	}
	if r.ProtoMajor != l.version {
		l.t.Errorf("%s %s came over %s", r.Method, r.URL.Path, r.Proto)
	}
	if !l.how.unread {
		// The body is the recorder's, too.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if l.how.done {
		recorder := httptest.NewRecorder()
		l.emulator.ServeHTTP(recorder, r)
		l.mu.Lock()
		l.body = recorder.Body.Bytes()
		l.mu.Unlock()
	}
	switch {
	case l.how.half:
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, `{"id":`)
		http.NewResponseController(w).Flush()
		l.cut(r)
	case l.how.refused:
		w.Header().Set("Retry-After", "0.01")
		w.WriteHeader(l.how.status)
	case l.how.status != 0:
		w.WriteHeader(l.how.status)
	default:
		l.cut(r)
	}
}

// cut ends a request without an answer, and its connection.
func (l *losses) cut(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(*tls.Conn); ok && !l.how.reset {
		// Over HTTP/2 the panic would end the stream alone.
		conn.NetConn().Close()
	}
	panic(http.ErrAbortHandler)
}

// lose has the answers to so many writes lost, or the connections cut.
func (l *losses) lose(attempts int) {
	l.mu.Lock()
	l.body, l.reads = nil, 0
	if l.how.unsent == 0 {
		l.left = attempts
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	// The write needs a new connection. One that was just used is not idle yet.
	for l.connections() > 0 {
		l.client.Close()
		runtime.Gosched()
	}
	l.mu.Lock()
	l.unsent = l.how.unsent
	l.mu.Unlock()
}

func (l *losses) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// since tells the body of the answer that nobody got, and how many reads came since. It loses no more.
func (l *losses) since() (body []byte, reads int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.unsent = 0, 0
	return l.body, l.reads
}
