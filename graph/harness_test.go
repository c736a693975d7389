package graph_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/m365backup/backupstorage/graph"
)

const (
	tenant    = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"
	requestID = "5d2f8a9e-3c0b-4f7e-8a55-1b9e1c7d6f20"
	policies  = graph.Root + "/protectionPolicies"
)

// fixedToken is a token source that always gives the same token.
type fixedToken string

func (f fixedToken) Token(context.Context, graph.TokenRequest) (string, error) {
	return string(f), nil
}

// newClient returns a client that sends every request once, since most tests are about a single attempt.
func newClient(t *testing.T, endpoint string) *graph.Client {
	t.Helper()
	client, err := graph.New(graph.Options{Endpoint: endpoint, Tokens: fixedToken("secret"), UserAgent: "ISV|test|graph/1", Repeats: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// serve starts a server and returns it with a client of it.
func serve(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *graph.Client) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server, newClient(t, server.URL+"/v1.0")
}

func read() *graph.Request {
	return &graph.Request{Method: http.MethodGet, Target: policies, Tenant: tenant, RequestID: requestID, Safe: true}
}

func write() *graph.Request {
	return &graph.Request{Method: http.MethodPost, Target: policies, Tenant: tenant, RequestID: requestID, Body: []byte(`{"a":1}`)}
}

// fails sends a request that must fail, and returns the error.
func fails(t *testing.T, ctx context.Context, client *graph.Client, request *graph.Request, kind graph.Kind) *graph.Error {
	t.Helper()
	response, err := client.Do(ctx, request)
	var failed *graph.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v and error %v, want a *graph.Error", response, err)
	}
	if failed.Kind != kind {
		t.Fatalf("got kind %d (%v, caused by %v), want %d", failed.Kind, failed, failed.Err, kind)
	}
	return failed
}

// tcpServer hands every connection to a function, with a reader of the requests on it.
func tcpServer(t *testing.T, handle func(number int, conn net.Conn, requests *bufio.Reader)) (endpoint string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for number := 1; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				handle(number, conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		group.Wait()
	})
	return "http://" + listener.Addr().String() + "/v1.0"
}

// stoppedClock is a context that ends as if by its deadline when the test says so.
type stoppedClock struct {
	context.Context
	done chan struct{}
}

func newStoppedClock(t *testing.T) stoppedClock {
	return stoppedClock{t.Context(), make(chan struct{})}
}

func (c stoppedClock) Done() <-chan struct{} { return c.done }

func (c stoppedClock) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func nothingLogged() *log.Logger { return log.New(io.Discard, "", 0) }
