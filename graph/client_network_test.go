package graph_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/m365backup/backupstorage/graph"
)

func TestNothingWasSentToAHostThatIsNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	client := newClient(t, "http://"+listener.Addr().String()+"/v1.0")
	for _, request := range []*graph.Request{read(), write()} {
		if e := fails(t, t.Context(), client, request, graph.KindUnreachable); e.Sent || e.Err == nil {
			t.Errorf("got %+v", e)
		}
	}
}

func TestNothingIsSentToAHostWithAnotherCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
	server.Config.ErrorLog = nothingLogged()
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := newClient(t, server.URL+"/v1.0")
	for _, request := range []*graph.Request{read(), write()} {
		if e := fails(t, t.Context(), client, request, graph.KindUnreachable); e.Sent {
			t.Error("Sent is true")
		}
	}
}

// bodyless is a write without a body. net/http may repeat it when it has written nothing of it.
func bodyless(method string) *graph.Request {
	request := write()
	request.Method, request.Body = method, nil
	return request
}

func writes() map[string]*graph.Request {
	patch := write()
	patch.Method = http.MethodPatch
	return map[string]*graph.Request{
		"POST": write(), "POST without a body": bodyless("POST"), "PATCH": patch, "DELETE": bodyless("DELETE"),
	}
}

// takeRequest reads a whole request and reports whether there was one.
func takeRequest(requests *bufio.Reader) bool {
	request, err := http.ReadRequest(requests)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, request.Body)
	return err == nil
}

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

func TestAWriteWhoseResponseIsLostWasSentOnce(t *testing.T) {
	const informational = "endless informational responses"
	for _, test := range []struct {
		name, response string
		// earlier is how many requests on the same connection get a response before.
		earlier int
	}{
		{"cut on a new connection", "", 0},
		{"cut on a used connection", "", 1},
		{"cut on a connection used often", "", 3},
		{"cut within the status line", "HTTP/1.1 20", 1},
		{"cut within the headers", "HTTP/1.1 200 OK\r\nContent-Le", 1},
		{"another protocol", "SSH-2.0-OpenSSH_9.9\r\n", 1},
		{"bad header", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 1},
		{informational, string(repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 4000)), 0},
	} {
		kind := graph.KindUnreachable
		if test.name == informational {
			// Together they are a header that is too large.
			kind = graph.KindInvalidResponse
		}
		for method, request := range writes() {
			t.Run(test.name+" "+method, func(t *testing.T) {
				var received atomic.Int64
				client := newClient(t, tcpServer(t, func(_ int, conn net.Conn, requests *bufio.Reader) {
					for n := 0; takeRequest(requests); n++ {
						received.Add(1)
						if n == test.earlier {
							io.WriteString(conn, test.response)
							return
						}
						io.WriteString(conn, okResponse)
					}
				}))
				for range test.earlier {
					if _, err := client.Do(t.Context(), request); err != nil {
						t.Fatal(err)
					}
				}
				e := fails(t, t.Context(), client, request, kind)
				if !e.Sent {
					t.Error("Sent is false")
				}
				if got := received.Load(); got != int64(test.earlier)+1 {
					t.Errorf("the server received %d requests, want %d", got, test.earlier+1)
				}
			})
		}
	}
}

func repeat(text string, count int) (all []byte) {
	for range count {
		all = append(all, text...)
	}
	return all
}

func TestAReadIsRepeatedWhenItsConnectionIsCut(t *testing.T) {
	client := newClient(t, tcpServer(t, func(number int, conn net.Conn, requests *bufio.Reader) {
		for n := 0; takeRequest(requests) && (number > 1 || n == 0); n++ {
			io.WriteString(conn, okResponse)
		}
	}))
	for range 3 {
		if _, err := client.Do(t.Context(), read()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWriteOverAClosedIdleConnectionIsSentOnce(t *testing.T) {
	for method, request := range writes() {
		t.Run(method, func(t *testing.T) {
			var received atomic.Int64
			client := newClient(t, tcpServer(t, func(_ int, conn net.Conn, requests *bufio.Reader) {
				// The server closes right after the response, without notice: the client may not know yet.
				if takeRequest(requests) {
					received.Add(1)
					io.WriteString(conn, okResponse)
				}
			}))
			for n := range 100 {
				before := received.Load()
				_, err := client.Do(t.Context(), request)
				got := received.Load() - before
				if err == nil && got != 1 || got > 1 {
					t.Fatalf("request %d was received %d times, with error %v", n, got, err)
				}
				var e *graph.Error
				if errors.As(err, &e) && (e.Kind != graph.KindUnreachable || !e.Sent) {
					t.Fatalf("request %d: got %+v", n, e)
				}
			}
		})
	}
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	_, client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, request := range []*graph.Request{read(), write()} {
		for kind, ctx := range map[graph.Kind]context.Context{graph.KindCancelled: cancelled, graph.KindDeadline: late} {
			if e := fails(t, ctx, client, request, kind); e.Sent {
				t.Error("Sent is true")
			}
		}
	}
}

func TestARequestThatEndsUnderWaySaysIfItWasSent(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"before the head": func(http.ResponseWriter) {},
		"within the body": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"value":[`)
			http.NewResponseController(w).Flush()
		},
		"within a body in chunks": func(w http.ResponseWriter) {
			io.WriteString(w, `{"value":[`)
			http.NewResponseController(w).Flush()
		},
	} {
		for method, request := range map[string]*graph.Request{"read": read(), "write": write(), "write without a body": bodyless("POST")} {
			t.Run(name+" of a "+method, func(t *testing.T) {
				arrived := make(chan struct{})
				_, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					begin(w)
					arrived <- struct{}{}
					<-r.Context().Done()
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					<-arrived
					cancel()
				}()
				if e := fails(t, ctx, client, request, graph.KindCancelled); e.Sent == request.Safe {
					t.Errorf("cancelled: Sent is %t", e.Sent)
				}
				clock := newStoppedClock(t)
				go func() {
					<-arrived
					close(clock.done)
				}()
				if e := fails(t, clock, client, request, graph.KindDeadline); e.Sent == request.Safe {
					t.Errorf("deadline: Sent is %t", e.Sent)
				}
			})
		}
	}
}

func TestWritesGoOverHTTP2AndReadsOverHTTP1(t *testing.T) {
	client, got := secure(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	for request, want := range map[*graph.Request]string{read(): "HTTP/1.1", write(): "HTTP/2.0", bodyless("POST"): "HTTP/2.0"} {
		response, err := client.Do(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if string(response.Body) != want {
			t.Errorf("%s went over %s, want %s", request.Method, response.Body, want)
		}
	}
	if got.Load() != 3 {
		t.Errorf("the server received %d requests, want 3", got.Load())
	}
}

func TestAWriteWhoseStreamIsCutWasSentOnce(t *testing.T) {
	for method, request := range writes() {
		t.Run(method, func(t *testing.T) {
			client, got := secure(t, func(_ http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				panic(http.ErrAbortHandler)
			})
			for n := range int64(3) {
				if e := fails(t, t.Context(), client, request, graph.KindUnreachable); !e.Sent {
					t.Error("Sent is false")
				}
				if got.Load() != n+1 {
					t.Fatalf("the server received %d requests, want %d", got.Load(), n+1)
				}
			}
		})
	}
}

// secure starts a server of HTTP/1 and HTTP/2 that counts requests, with a client that trusts it.
func secure(t *testing.T, handler http.HandlerFunc) (*graph.Client, *atomic.Int64) {
	t.Helper()
	var received atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received.Add(1)
		handler(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := graph.New(graph.Options{Endpoint: server.URL, Tokens: fixedToken("secret"), RootCAs: roots, Repeats: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, &received
}

func TestASwitchOfProtocolsIsAnInvalidResponse(t *testing.T) {
	closed := make(chan struct{}, 2)
	client := newClient(t, tcpServer(t, func(_ int, conn net.Conn, requests *bufio.Reader) {
		if takeRequest(requests) {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			// Nothing follows, and the connection stays open until the client closes it.
			io.Copy(io.Discard, requests)
			closed <- struct{}{}
		}
	}))
	for _, request := range []*graph.Request{read(), write()} {
		if e := fails(t, t.Context(), client, request, graph.KindInvalidResponse); e.Cause != graph.CauseStatus || e.Status != 101 || e.Sent == request.Safe {
			t.Errorf("%s: got %+v", request.Method, e)
		}
		<-closed
	}
}
