package graph_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
)

// serveCounted is serve with the number of connections that the server got.
func serveCounted(t *testing.T, handler http.HandlerFunc) (*graph.Client, *atomic.Int64) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	opened := graph.CountConnections(server)
	server.Start()
	t.Cleanup(server.Close)
	return newClient(t, server.URL+"/v1.0"), opened
}

func TestRequestsInSequenceShareAConnection(t *testing.T) {
	client, opened := serveCounted(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("response") {
		case "empty":
			w.WriteHeader(http.StatusNoContent)
		case "length":
			io.WriteString(w, `{"value":[]}`)
		case "chunks":
			io.WriteString(w, `{"value":`)
			http.NewResponseController(w).Flush()
			io.WriteString(w, `[]}`)
		case "error":
			http.Error(w, `{"error":{"code":"a"}}`, http.StatusNotFound)
		}
	})
	for range 5 {
		for _, response := range []string{"empty", "length", "chunks", "error"} {
			request := read()
			request.Target += "?response=" + response
			if _, err := client.Do(t.Context(), request); (err != nil) != (response == "error") {
				t.Fatal(err)
			}
		}
	}
	if got := opened.Load(); got != 1 {
		t.Errorf("opened %d connections, want 1", got)
	}
}

// together sends n requests at once, and wants each to get its own response.
func together(t *testing.T, client *graph.Client, n int, method string) {
	t.Helper()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			own := fmt.Sprintf("%s-%d", method, i)
			request := &graph.Request{Method: method, Target: policies + "/" + own, RequestID: own, Safe: method == http.MethodGet}
			if !request.Safe {
				request.Body = []byte(own)
			}
			response, err := client.Do(t.Context(), request)
			if err != nil {
				t.Errorf("%s: %v", own, err)
				return
			}
			want := "/v1.0" + request.Target + " " + string(request.Body)
			if string(response.Body) != want || response.ClientRequestID != own {
				t.Errorf("%s: got %q of %q, want %q", own, response.Body, response.ClientRequestID, want)
			}
		})
	}
	group.Wait()
}

// whenAllAreThere responds to n requests when all of them are there, and then to the next n.
func whenAllAreThere(n int) http.HandlerFunc {
	var mutex sync.Mutex
	waiting, open := 0, make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mutex.Lock()
		release := open
		if waiting++; waiting == n {
			close(open)
			waiting, open = 0, make(chan struct{})
		}
		mutex.Unlock()
		<-release
		w.Header().Set("client-request-id", r.Header.Get("client-request-id"))
		io.WriteString(w, r.URL.Path+" "+string(body))
	}
}

func Test64RequestsAtOnceShareTheirConnectionsLater(t *testing.T) {
	const calls = 64
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			client, opened := serveCounted(t, whenAllAreThere(calls))
			for range 3 {
				together(t, client, calls, method)
			}
			if got := opened.Load(); got != calls {
				t.Errorf("opened %d connections, want %d", got, calls)
			}
		})
	}
}

// As many connections stay open as reads can be under way: each new one would cost a handshake.
func TestAsManyConnectionsStayAsReads(t *testing.T) {
	const reads = 400
	server := httptest.NewUnstartedServer(whenAllAreThere(reads))
	opened := graph.CountConnections(server)
	server.Start()
	defer server.Close()
	client, err := graph.New(graph.Options{Endpoint: server.URL + "/v1.0", Tokens: graph.Unsigned{}, MaxReads: reads, OneTenant: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 2 {
		together(t, client, reads, http.MethodGet)
	}
	if got := opened.Load(); got != reads {
		t.Errorf("opened %d connections, want %d", got, reads)
	}
}

func TestAClosedClientLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Query().Get("end") {
		case "cut":
			panic(http.ErrAbortHandler)
		case "large":
			w.Header().Set("Content-Length", "1000000000")
			w.Write(make([]byte, 1<<10))
			return
		}
		w.Header().Set("client-request-id", r.Header.Get("client-request-id"))
		io.WriteString(w, r.URL.Path+" "+string(body))
	}))
	client, err := graph.New(graph.Options{Endpoint: server.URL + "/v1.0", Tokens: graph.Unsigned{}})
	if err != nil {
		t.Fatal(err)
	}
	together(t, client, 16, http.MethodGet)
	together(t, client, 16, http.MethodPost)
	for _, request := range []*graph.Request{read(), write()} {
		for _, end := range []string{"cut", "large"} {
			bad := *request
			bad.Target += "?end=" + end
			if _, err := client.Do(t.Context(), &bad); err == nil {
				t.Errorf("%s: no error", end)
			}
		}
	}
	client.Close()
	server.Close()
	// Connections end concurrently with Close.
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, mebi)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
