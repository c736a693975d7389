package graph_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/m365backup/backupstorage/graph"
)

// ending is how a server of HTTP/2 ends a request that it has received completely.
type ending func(framer *http2.Framer, stream uint32)

func respondOK(framer *http2.Framer, stream uint32) {
	// 0x88 is `:status: 200` in the static table.
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
}

func reset(code http2.ErrCode) ending {
	return func(framer *http2.Framer, stream uint32) { framer.WriteRSTStream(stream, code) }
}

// goAway names the last stream that was processed.
func goAway(last uint32) ending {
	return func(framer *http2.Framer, _ uint32) { framer.WriteGoAway(last, http2.ErrCodeNo, nil) }
}

// http2Server ends each request with the next ending, and then repeats the last one. It counts the requests.
func http2Server(t *testing.T, endings ...ending) (endpoint string, roots *x509.CertPool, received *atomic.Int64) {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	certificates := certified.TLS.Certificates
	roots = x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	received = new(atomic.Int64)
	ended := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				<-ended
				conn.Close()
			})
			group.Go(func() {
				defer conn.Close()
				serveHTTP2(conn, func(framer *http2.Framer, stream uint32) {
					n := int(received.Add(1))
					endings[min(n, len(endings))-1](framer, stream)
				})
			})
		}
	})
	t.Cleanup(func() {
		close(ended)
		listener.Close()
		group.Wait()
	})
	return "https://" + listener.Addr().String() + "/v1.0", roots, received
}

func serveHTTP2(conn net.Conn, end ending) {
	reader := bufio.NewReader(conn)
	if _, err := io.CopyN(io.Discard, reader, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, reader)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.WriteSettings()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				framer.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if f.StreamEnded() {
				end(framer, f.StreamID)
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				end(framer, f.StreamID)
			}
		}
	}
}

func TestHTTP2SaysWhatWasNotProcessed(t *testing.T) {
	for _, test := range []struct {
		name string
		ends ending
		sent bool
	}{
		{"refused", reset(http2.ErrCodeRefusedStream), false},
		{"goes away before it", goAway(0), false},
		{"reset", reset(http2.ErrCodeInternal), true},
		{"reset as a protocol error", reset(http2.ErrCodeProtocol), true},
		{"cancelled", reset(http2.ErrCodeCancel), true},
	} {
		for method, request := range map[string]*graph.Request{"POST": write(), "POST without a body": bodyless("POST"), "PATCH": patching()} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				endpoint, roots, received := http2Server(t, test.ends)
				client, err := graph.New(graph.Options{Endpoint: endpoint, Tokens: fixedToken("secret"), RootCAs: roots, Repeats: -1})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				if e := fails(t, t.Context(), client, request, graph.KindUnreachable); e.Sent != test.sent || received.Load() != 1 || e.Cause != graph.CauseReset {
					t.Errorf("Sent is %t, cause %q after %d requests: %v", e.Sent, e.Cause, received.Load(), e.Err)
				}
			})
			t.Run(test.name+" once, "+method, func(t *testing.T) {
				endpoint, roots, received := http2Server(t, test.ends, respondOK)
				client, err := graph.New(graph.Options{Endpoint: endpoint, Tokens: fixedToken("secret"), RootCAs: roots, Backoff: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				_, err = client.Do(t.Context(), request)
				var failed *graph.Error
				if test.sent != errors.As(err, &failed) || test.sent != (received.Load() == 1) {
					t.Errorf("got %v after %d requests", err, received.Load())
				}
			})
		}
	}
}

func patching() *graph.Request {
	request := write()
	request.Method = http.MethodPatch
	return request
}

// TestCloseLeavesNoConnection closes a client while the stream of a write is open. The same happens when its response
// is there and net/http has not forgotten the stream yet.
func TestCloseLeavesNoConnection(t *testing.T) {
	arrived := make(chan struct{})
	endpoint, roots, _ := http2Server(t, func(*http2.Framer, uint32) { close(arrived) })
	client, err := graph.New(graph.Options{Endpoint: endpoint, Tokens: fixedToken("secret"), RootCAs: roots, Repeats: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error)
	go func() {
		_, err := client.Do(ctx, write())
		ended <- err
	}()
	<-arrived
	client.Close()
	if err := <-ended; err == nil || ctx.Err() != nil {
		t.Errorf("the connection was open after Close: %v", err)
	}
	if _, err := client.Do(ctx, read()); err == nil {
		t.Error("a request after Close was sent")
	}
}
