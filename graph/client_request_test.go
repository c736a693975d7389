package graph_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph"
)

func TestTheHeadersOfARequest(t *testing.T) {
	var got http.Header
	_, client := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	for _, request := range []*graph.Request{read(), write()} {
		if _, err := client.Do(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"Client-Request-Id": requestID,
			"Prefer":            "include-unknown-enum-members",
			"User-Agent":        "ISV|test|graph/1",
			"Authorization":     "Bearer secret",
			"Accept":            "application/json",
		} {
			if values := got.Values(name); len(values) != 1 || values[0] != want {
				t.Errorf("%s %s: got %q, want %q once", request.Method, name, values, want)
			}
		}
		for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key", "Accept-Encoding", "Cookie", "Referer"} {
			if values := got.Values(name); len(values) > 0 {
				t.Errorf("%s sent %s: %q", request.Method, name, values)
			}
		}
	}
}

func TestTheTargetArrivesUnderThePathOfTheEndpoint(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI }))
	defer server.Close()
	for _, test := range []struct{ name, endpoint, target, want string }{
		{"with a version", "/v1.0", policies, "/v1.0" + policies},
		{"with a slash at the end", "/v1.0/", policies, "/v1.0" + policies},
		{"without a path", "", policies, policies},
		{"with only a slash", "/", policies, policies},
		{"with an escaped path", "/a%2Fb/v1.0/", policies, "/a%2Fb/v1.0" + policies},
		{"id with a comma", "/v1.0", string(graph.AppendSegment([]byte(policies), "a,b+c=~")), "/v1.0" + policies + "/a%2Cb+c=~"},
		{"escaped slash in the target", "/v1.0", policies + "/a%2Fb", "/v1.0" + policies + "/a%2Fb"},
		{"query in its own spelling", "/v1.0", policies + "?$top=5&%24skiptoken=a%2fb+c;d'e''f", "/v1.0" + policies + "?$top=5&%24skiptoken=a%2fb+c;d'e''f"},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := read()
			request.Target = test.target
			if _, err := newClient(t, server.URL+test.endpoint).Do(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestBodiesAreSentWhereThereAreSome(t *testing.T) {
	type seen struct {
		method, body, contentType string
		length                    int64
	}
	var got seen
	_, client := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = seen{r.Method, string(body), r.Header.Get("Content-Type"), r.ContentLength}
	})
	for _, test := range []struct {
		name, method string
		body         []byte
		safe         bool
		want         seen
	}{
		{"GET has none", "GET", nil, true, seen{"GET", "", "", 0}},
		{"DELETE has none", "DELETE", nil, false, seen{"DELETE", "", "", 0}},
		{"POST without one says so", "POST", nil, false, seen{"POST", "", "", 0}},
		{"an empty one is none", "POST", []byte{}, false, seen{"POST", "", "", 0}},
		{"POST", "POST", []byte(`{"a":1}`), false, seen{"POST", `{"a":1}`, "application/json", 7}},
		{"PATCH", "PATCH", []byte(`{}`), false, seen{"PATCH", `{}`, "application/json", 2}},
		{"POST that is a read", "POST", []byte(`{}`), true, seen{"POST", `{}`, "application/json", 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := &graph.Request{Method: test.method, Target: policies, Body: test.body, RequestID: requestID, Safe: test.safe}
			if _, err := client.Do(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

type tokenFunc func(ctx context.Context, request graph.TokenRequest) (string, error)

func (f tokenFunc) Token(ctx context.Context, request graph.TokenRequest) (string, error) {
	return f(ctx, request)
}

func TestNothingIsSentWithoutAToken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
	defer server.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	refused := errors.New("refused")
	for _, test := range []struct {
		name  string
		ctx   context.Context
		token string
		err   error
		kind  graph.Kind
	}{
		{"the source fails", t.Context(), "", refused, graph.KindToken},
		{"the source's own timeout is not the caller's", t.Context(), "", context.DeadlineExceeded, graph.KindToken},
		{"the caller gave up", ended, "", context.Canceled, graph.KindCancelled},
		{"a line break in the token", t.Context(), "a\nb", nil, graph.KindToken},
		{"a token that is not ASCII", t.Context(), "tøken", nil, graph.KindToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, err := graph.New(graph.Options{Endpoint: server.URL, Tokens: tokenFunc(func(_ context.Context, got graph.TokenRequest) (string, error) {
				if got != (graph.TokenRequest{Tenant: tenant, RequestID: requestID}) {
					t.Errorf("asked for tenant %+v, want tenant %q", got, tenant)
				}
				return test.token, test.err
			})})
			if err != nil {
				t.Fatal(err)
			}
			e := fails(t, test.ctx, client, write(), test.kind)
			if e.Sent {
				t.Error("Sent is true")
			}
			if test.err != nil && !errors.Is(e, test.err) {
				t.Errorf("lost the cause %v", test.err)
			}
			if test.token != "" && (strings.Contains(e.Error(), test.token) || strings.Contains(e.Err.Error(), test.token)) {
				t.Error("the error has the token")
			}
		})
	}
}

func TestAnEmptyTokenSendsNoAuthorization(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, there := r.Header["Authorization"]; there {
			t.Error("Authorization was sent")
		}
	}))
	defer server.Close()
	client, err := graph.New(graph.Options{Endpoint: server.URL, Tokens: fixedToken("")})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Do(t.Context(), read()); err != nil {
		t.Fatal(err)
	}
}

func TestARequestThatCannotBeSentIsRefused(t *testing.T) {
	_, client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for _, test := range []struct{ name, target, requestID string }{
		{"another host", "https://evil.example" + policies, requestID},
		{"another host without scheme", "//evil.example" + policies, requestID},
		{"no slash", "solutions", requestID},
		{"no target", "", requestID},
		{"a broken escape", policies + "/%zz", requestID},
		{"a line break in the target", policies + "\r\nX: y", requestID},
		{"a line break in the id", policies, "a\r\nX: y"},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := write()
			request.Target, request.RequestID = test.target, test.requestID
			if e := fails(t, t.Context(), client, request, graph.KindInvalidRequest); e.Sent {
				t.Error("Sent is true")
			}
		})
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, test := range []struct{ name, endpoint, userAgent string }{
		{"no endpoint", "", ""},
		{"no scheme", "graph.microsoft.com/v1.0", ""},
		{"another scheme", "ftp://graph.microsoft.com", ""},
		{"no host", "https:///v1.0", ""},
		{"only a port", "https://:443/v1.0", ""},
		{"opaque", "https:graph.microsoft.com", ""},
		{"a user", "https://me@graph.microsoft.com", ""},
		{"a query", "https://graph.microsoft.com/v1.0?a=b", ""},
		{"an empty query", "https://graph.microsoft.com/v1.0?", ""},
		{"a fragment", "https://graph.microsoft.com/v1.0#a", ""},
		{"unreadable", "https://graph.microsoft.com/%zz", ""},
		{"a line break in the user agent", "https://graph.microsoft.com/v1.0", "a\nb"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := graph.New(graph.Options{Endpoint: test.endpoint, UserAgent: test.userAgent, Tokens: graph.Unsigned{}}); err == nil {
				t.Error("no error")
			}
		})
	}
	if _, err := graph.New(graph.Options{Endpoint: "https://graph.microsoft.com/v1.0"}); err == nil {
		t.Error("no error without a token source")
	}
}

func TestWithoutANewerTokenTheRefusalOfTheOldOneStands(t *testing.T) {
	for _, test := range []struct {
		token graph.TokenKind
		kind  graph.Kind
	}{
		{graph.TokenRefused, graph.KindResponse},
		{graph.TokenAssertionRefused, graph.KindResponse},
		{graph.TokenClaimsRefused, graph.KindToken},
		{graph.TokenUnavailable, graph.KindToken},
	} {
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			requests++
			w.WriteHeader(http.StatusUnauthorized)
		}))
		defer server.Close()
		client, err := graph.New(graph.Options{Endpoint: server.URL, Tokens: tokenFunc(func(_ context.Context, request graph.TokenRequest) (string, error) {
			if request.Refused != "" {
				return "", &graph.TokenError{Kind: test.token}
			}
			return "old", nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		e := fails(t, t.Context(), client, write(), test.kind)
		if requests != 1 || test.kind == graph.KindResponse && e.Status != http.StatusUnauthorized {
			t.Errorf("token kind %d: %d requests, %+v", test.token, requests, e)
		}
	}
}
