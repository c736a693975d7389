package graph_test

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
)

const mebi = 1 << 20

func TestASuccessGivesItsBodyAndItsHead(t *testing.T) {
	date := time.Date(2026, 11, 20, 12, 1, 3, 0, time.UTC)
	large := strings.Repeat("x", 8*mebi)
	for _, test := range []struct {
		name, body string
		status     int
		chunked    bool
	}{
		{"200", `{"id":"1"}`, 200, false},
		{"201", `{"id":"1"}`, 201, false},
		{"202 without body", "", 202, false},
		{"204", "", 204, false},
		{"in chunks", `{"id":"1"}`, 200, true},
		{"larger than the first piece of memory", large[:mebi+1], 200, false},
		{"larger in chunks", large[:mebi+1], 200, true},
		{"8 MiB", large, 200, false},
		{"8 MiB in chunks", large, 200, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("request-id", "graph-1")
				w.Header().Set("client-request-id", r.Header.Get("client-request-id"))
				w.Header().Set("Date", date.Format(http.TimeFormat))
				if !test.chunked && test.body != "" {
					w.Header().Set("Content-Length", strconv.Itoa(len(test.body)))
				}
				w.WriteHeader(test.status)
				if test.chunked {
					http.NewResponseController(w).Flush()
				}
				io.WriteString(w, test.body)
			})
			for _, request := range []*graph.Request{read(), write()} {
				response, err := client.Do(t.Context(), request)
				if err != nil {
					t.Fatal(err)
				}
				if string(response.Body) != test.body {
					t.Errorf("got a body of %d bytes, want %d", len(response.Body), len(test.body))
				}
				want := graph.Meta{Status: test.status, RequestID: "graph-1", ClientRequestID: requestID, Date: date}
				if response.Meta != want {
					t.Errorf("got %+v, want %+v", response.Meta, want)
				}
			}
		})
	}
}

func TestIdsThatDoNotFitALogLineAreDropped(t *testing.T) {
	for name, id := range map[string]string{
		"with a space":     "a b",
		"not ASCII":        "ä",
		"too long":         strings.Repeat("a", 129),
		"with a tab":       "a\tb",
		"an address":       "ada@contoso.example",
		"a URL":            "https://contoso.example",
		"an empty one too": "",
	} {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("request-id", id)
				w.Header().Set("client-request-id", id)
				w.Header()["Date"] = []string{"today"}
			})
			response, err := client.Do(t.Context(), read())
			if err != nil {
				t.Fatal(err)
			}
			if response.Meta != (graph.Meta{Status: 200}) {
				t.Errorf("got %+v", response.Meta)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the other host was asked, with Authorization %q", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			_, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", other.URL+r.URL.Path)
				w.Header().Set("request-id", "graph-1")
				w.WriteHeader(status)
			})
			for _, request := range []*graph.Request{read(), write()} {
				e := fails(t, t.Context(), client, request, graph.KindInvalidResponse)
				if e.Cause != graph.CauseRedirect || e.Status != status || e.RequestID != "graph-1" || e.Sent == request.Safe {
					t.Errorf("got %+v", e)
				}
			}
		})
	}
}

func TestErrorStatusesKeepWhatTheHeadSays(t *testing.T) {
	date := time.Date(2026, 11, 20, 12, 1, 3, 0, time.UTC)
	for _, status := range []int{400, 401, 403, 404, 408, 409, 410, 412, 422, 429, 499, 500, 501, 502, 503, 504, 509, 599, 999} {
		for name, body := range map[string]string{
			"JSON": `{"error":{"code":"tooMany","message":"Wait.","innerError":{"code":"deep","request-id":"other"}}}`,
			"HTML": "<html><body>Service Unavailable</body></html>",
			"none": "",
		} {
			t.Run(fmt.Sprintf("%d with %s", status, name), func(t *testing.T) {
				_, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("request-id", "graph-1")
					w.Header().Set("client-request-id", "own-1")
					w.Header().Set("Retry-After", "2.128")
					w.Header().Set("Date", date.Format(http.TimeFormat))
					w.WriteHeader(status)
					io.WriteString(w, body)
				})
				for _, request := range []*graph.Request{read(), write()} {
					e := fails(t, t.Context(), client, request, graph.KindResponse)
					want := graph.Meta{Status: status, RequestID: "graph-1", ClientRequestID: "own-1", Date: date}
					if e.Meta != want || !e.HasRetryAfter || e.RetryAfter != 2128*time.Millisecond || e.Sent == request.Safe {
						t.Errorf("got %+v", e)
					}
					codes := ""
					if name == "JSON" {
						codes = "tooMany deep"
					}
					if got := strings.Join(e.Codes, " "); got != codes {
						t.Errorf("got codes %q, want %q", got, codes)
					}
				}
			})
		}
	}
}

func TestInvalidResponsesSayWhy(t *testing.T) {
	var zipped bytes.Buffer
	packer := gzip.NewWriter(&zipped)
	packer.Write([]byte(`{}`))
	packer.Close()
	endless := func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 64<<10)
		for {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}
	promise := func(length, sent int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(length))
			w.Write(make([]byte, sent))
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	for _, test := range []struct {
		name    string
		cause   graph.Cause
		handler http.HandlerFunc
		memory  uint64
	}{
		{"promises more than 8 MiB", graph.CauseTooLarge, promise(8*mebi+1, 10), mebi},
		{"promises an absurd length", graph.CauseTooLarge, promise(1<<62, 10), mebi},
		{"never ends", graph.CauseTooLarge, endless, 40 * mebi},
		{"promises 8 MiB and sends little", graph.CauseTruncated, promise(8*mebi, 10), mebi},
		{"is cut before its promised end", graph.CauseTruncated, promise(100, 99), mebi},
		{"is cut between chunks", graph.CauseTruncated, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"value":[`)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, mebi},
		{"is packed", graph.CauseEncoding, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(zipped.Bytes())
		}, mebi},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("request-id", "graph-1")
				test.handler(w, r)
			})
			for _, request := range []*graph.Request{read(), write()} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				e := fails(t, t.Context(), client, request, graph.KindInvalidResponse)
				runtime.ReadMemStats(&after)
				if e.Cause != test.cause || e.Status != 200 || e.RequestID != "graph-1" || e.Sent == request.Safe {
					t.Errorf("got %+v", e)
				}
				if took := after.TotalAlloc - before.TotalAlloc; took > test.memory {
					t.Errorf("allocated %d bytes, want at most %d", took, test.memory)
				}
			}
		})
	}
}

func TestAHeaderBlockOver64KiBIsAnInvalidResponse(t *testing.T) {
	for _, test := range []struct {
		name      string
		kibibytes int
		http2     bool
		// cause is that of a write. Reads use HTTP/1.1 with every server.
		cause graph.Cause
	}{
		{"a little over, HTTP/1.1", 66, false, graph.CauseHeadersTooLarge},
		{"far over, HTTP/1.1", 1000, false, graph.CauseHeadersTooLarge},
		{"a little over, HTTP/2", 66, true, graph.CauseHeadersTooLarge},
		{"far over, HTTP/2", 1000, true, graph.CauseProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if http2 := r.ProtoMajor == 2; http2 != (test.http2 && r.Method == http.MethodPost) {
					t.Errorf("%s came over %s", r.Method, r.Proto)
				}
				for i := range test.kibibytes {
					w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1<<10))
				}
			}))
			server.EnableHTTP2 = test.http2
			server.Config.ErrorLog = nothingLogged()
			server.StartTLS()
			t.Cleanup(server.Close)
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			client, err := graph.New(graph.Options{Endpoint: server.URL, Tokens: fixedToken("secret"), RootCAs: roots})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			if e := fails(t, t.Context(), client, read(), graph.KindInvalidResponse); e.Cause != graph.CauseHeadersTooLarge || e.Sent {
				t.Errorf("read: got %+v", e)
			}
			if e := fails(t, t.Context(), client, write(), graph.KindInvalidResponse); e.Cause != test.cause || !e.Sent {
				t.Errorf("write: got %+v", e)
			}
		})
	}
}

func TestAnErrorBodyOver1MiBKeepsItsBeginning(t *testing.T) {
	body := `{"error":{"code":"tooMany","innerError":{"code":"deep"},"message":"` + strings.Repeat("x", 3*mebi) + `"}}`
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked %t", chunked), func(t *testing.T) {
			_, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("request-id", "graph-1")
				w.Header().Set("Retry-After", "7")
				if !chunked {
					w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				io.WriteString(w, body)
			})
			e := fails(t, t.Context(), client, write(), graph.KindResponse)
			if e.Status != 503 || e.RequestID != "graph-1" || e.RetryAfter != 7*time.Second || !e.HasRetryAfter {
				t.Errorf("got %+v", e)
			}
			if got := strings.Join(e.Codes, " "); got != "tooMany deep" {
				t.Errorf("got codes %q", got)
			}
		})
	}
}

func TestAnErrorBodyThatIsCutKeepsItsBeginning(t *testing.T) {
	_, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"error":{"code":"PolicyActionNotAllowed","mess`)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	e := fails(t, t.Context(), client, write(), graph.KindResponse)
	if e.Status != 403 || len(e.Codes) != 1 || e.Codes[0] != "PolicyActionNotAllowed" {
		t.Errorf("got %+v", e)
	}
}

func TestTheErrorTextSaysNothingOfTheTenant(t *testing.T) {
	cause := errors.New("https://contoso.sharepoint.com")
	for _, test := range []struct {
		want string
		e    graph.Error
	}{
		{"graph responded 404", graph.Error{Meta: graph.Meta{Status: 404}}},
		{"graph responded 403 deep", graph.Error{Meta: graph.Meta{Status: 403}, Codes: []string{"a", "deep"}}},
		{"graph response cannot be used: redirect", graph.Error{Kind: graph.KindInvalidResponse, Cause: graph.CauseRedirect}},
		{"request cannot be sent to graph", graph.Error{Kind: graph.KindInvalidRequest}},
		{"no token for graph", graph.Error{Kind: graph.KindToken}},
		{"graph is unreachable", graph.Error{Kind: graph.KindUnreachable}},
		{"deadline passed while graph was called", graph.Error{Kind: graph.KindDeadline}},
		{"caller cancelled while graph was called", graph.Error{Kind: graph.KindCancelled}},
	} {
		test.e.Message, test.e.Target, test.e.Err = "Contoso", "contoso", cause
		if got := test.e.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
		if !errors.Is(&test.e, cause) {
			t.Errorf("%s: the cause is lost", test.want)
		}
	}
}

func TestAChallengeForFurtherClaimsIsSeen(t *testing.T) {
	for challenge, want := range map[string]bool{
		`Bearer realm="", error="insufficient_claims", claims="eyJ9"`: true,
		`Bearer error="INSUFFICIENT_CLAIMS"`:                          true,
		`Bearer error="invalid_token"`:                                false,
		"":                                                            false,
	} {
		_, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("WWW-Authenticate", "Basic")
			w.Header().Add("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusForbidden)
		})
		if e := fails(t, t.Context(), client, read(), graph.KindResponse); e.InsufficientClaims != want {
			t.Errorf("%s: InsufficientClaims is %v", challenge, e.InsufficientClaims)
		}
	}
}
