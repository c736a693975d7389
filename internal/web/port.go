package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	// The types of details of errors, which are written as JSON.
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
)

// Options configures a Port. What has no comment is required.
type Options struct {
	// Services are the full names of the services.
	Services []string
	// Pipes is what the gRPC server listens on.
	Pipes *Pipes
	// Refuse ends a request that does not become a call as the gRPC server ends calls: with a line in its log, and a typed
	// Status. Who is no caller learns nothing else.
	Refuse func(ctx context.Context, header http.Header, method string, why Refusal) *spb.Status
	// MaxHeader is how many bytes the headers of a call may have, counted as HTTP/2 does, MaxMessage those of its message.
	MaxHeader  int
	MaxMessage int64
	// Hosts are the names by which the port may be asked, besides IP addresses and localhost. Origins are those of the
	// pages that may call, besides its own.
	Hosts, Origins []string
	Logger         *slog.Logger

	About About
	// Contract returns the descriptors of the contract with their comments; nil serves none.
	Contract func() ([]byte, error)
	// Files is the page; nil serves none.
	Files fs.FS
	// Emulator is the control API of the emulator, and nil on any other upstream.
	Emulator http.Handler
}

// Port is the web port.
type Port struct {
	options    Options
	guard      *guard
	rpcs       map[string]*rpc
	transcoder http.Handler
	errors     *connect.ErrorWriter
	handler    http.Handler
	server     *http.Server
	// requests and responses are what clients hold of the memory.
	requests, responses *share
	backends            sync.Map
}

const (
	// maxRequests and maxResponses are how many bytes of large request messages and of large responses there are at once.
	// A message exists up to three times on its way.
	maxRequests  = 64 << 20
	maxResponses = 128 << 20
	// headerTime is what a client has for the headers of a request, and idleTime how long a connection without requests
	// is kept.
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute
	// browserBytes is what there may be besides the headers of a call. Browsers and proxies add some; the rest lets those
	// who send too many read that: net/http closes the connection without it.
	browserBytes = 48 << 10
	// maxStreams is how many requests a connection of HTTP/2 has at once.
	maxStreams = 100
)

// New returns a web port that does not listen yet.
func New(o Options) (*Port, error) {
	p := &Port{
		options: o, guard: &guard{o.Hosts, o.Origins}, errors: connect.NewErrorWriter(),
		requests: newShare(maxRequests), responses: newShare(maxResponses),
	}
	var err error
	if p.rpcs, err = rpcs(o.Services); err != nil {
		return nil, err
	}
	if p.transcoder, err = newTranscoder(o.Services, o.Logger); err != nil {
		return nil, err
	}
	calls, pages := p.guard.crossOrigin(http.HandlerFunc(p.serveCall)), p.pages()
	p.handler = p.guard.hosted(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := newOutgoing(w, p.responses, hostOf(r.RemoteAddr))
		defer out.end()
		if isMethod.MatchString(r.URL.Path) {
			calls.ServeHTTP(out, r)
			return
		}
		pages.ServeHTTP(out, r)
	}))
	p.server = &http.Server{
		Handler: p.handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: o.MaxHeader + browserBytes,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:       slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		ConnContext:    p.connected, ConnState: p.changed,
	}
	return p, nil
}

// connected gives a connection its way to the gRPC server.
func (p *Port) connected(ctx context.Context, conn net.Conn) context.Context {
	b := &backend{pipes: p.options.Pipes, client: conn.RemoteAddr().String()}
	p.backends.Store(conn, b)
	return context.WithValue(ctx, backendKey{}, b)
}

// changed ends that way with the connection.
func (p *Port) changed(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	if b, ok := p.backends.LoadAndDelete(conn); ok {
		b.(*backend).close() //nolint:forcetypeassert // Nothing else is in the map.
	}
}

// Serve serves until Stop or Close. config is nil without TLS.
func (p *Port) Serve(listener net.Listener, config *tls.Config) error {
	if config == nil {
		return p.server.Serve(listener)
	}
	p.server.TLSConfig = config
	return p.server.ServeTLS(listener, "", "")
}

// Stop takes no further connections and waits for the calls under way. It is to be called before the gRPC server stops.
func (p *Port) Stop(ctx context.Context) error { return p.server.Shutdown(ctx) }

// Close ends all connections.
func (p *Port) Close() error {
	return errors.Join(p.server.Close(), p.options.Pipes.Close())
}

// hostOf is the address of a client without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
