package graph_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
)

// observer keeps what it was told.
type observer struct {
	mu       sync.Mutex
	attempts []graph.Attempt
	repeats  []graph.Repeat
	noToken  []*graph.TokenError
}

func (o *observer) Attempted(_ context.Context, a graph.Attempt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attempts = append(o.attempts, a)
}

func (o *observer) Repeated(why graph.Repeat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.repeats = append(o.repeats, why)
}

func (o *observer) NoToken(err *graph.TokenError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.noToken = append(o.noToken, err)
}

// tokens is a token source that is a function.
type tokens func() (string, error)

func (f tokens) Token(context.Context, graph.TokenRequest) (string, error) { return f() }

// observe starts a server that responds with these statuses, one after another, and a client of it.
func observe(t *testing.T, source graph.TokenSource, statuses ...int) (*graph.Client, *observer) {
	t.Helper()
	var mu sync.Mutex
	server, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		switch status {
		case 0:
			panic(http.ErrAbortHandler)
		case http.StatusTooManyRequests:
			w.Header().Set("Retry-After", "0.01")
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
		w.WriteHeader(status)
	})
	o := new(observer)
	client, err := graph.New(graph.Options{
		Endpoint: server.URL + "/v1.0", Tokens: source, UserAgent: "test", Backoff: time.Millisecond, Observers: []graph.Observer{o},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, o
}

func TestObserverIsToldOfEachAttempt(t *testing.T) {
	for _, test := range []struct {
		name     string
		statuses []int
		repeats  []graph.Repeat
	}{
		{"a read that is OK", []int{200}, nil},
		{"a server that is busy", []int{503, 200}, []graph.Repeat{graph.RepeatUnavailable}},
		{"a throttle", []int{429, 200}, []graph.Repeat{graph.RepeatThrottled}},
		{"a gateway, twice", []int{502, 504, 200}, []graph.Repeat{graph.RepeatResponseLost, graph.RepeatResponseLost}},
		{"a connection that is cut", []int{0, 200}, []graph.Repeat{graph.RepeatUnreachable}},
		{"a token that is refused", []int{401, 200}, []graph.Repeat{graph.RepeatNewToken}},
		{"a policy that does not exist", []int{404}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var n int
			client, o := observe(t, tokens(func() (string, error) { n++; return string(rune('a' + n)), nil }), slices.Clone(test.statuses)...)
			_, _ = client.Do(t.Context(), read())
			o.mu.Lock()
			defer o.mu.Unlock()
			if !slices.Equal(o.repeats, test.repeats) || len(o.noToken) > 0 {
				t.Errorf("repeats %v, want %v; %v", o.repeats, test.repeats, o.noToken)
			}
			if len(o.attempts) != len(test.statuses) {
				t.Fatalf("%d attempts, want %d", len(o.attempts), len(test.statuses))
			}
			for i, a := range o.attempts {
				if a.Resends != i || a.Status != test.statuses[i] || (a.Failed == nil) != (a.Status == 200) || a.Ended.Before(a.Began) || a.Began.IsZero() {
					t.Errorf("attempt %d: %d resends, status %d, %v", i, a.Resends, a.Status, a.Failed)
				}
				if a.Throttled() != (a.Status == 429) {
					t.Errorf("attempt %d with %d: throttled is %v", i, a.Status, a.Throttled())
				}
			}
		})
	}
}

func TestObserverIsToldThatThereIsNoToken(t *testing.T) {
	known := &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseConsentMissing}
	for _, test := range []struct {
		err  error
		want graph.TokenError
	}{{known, *known}, {errors.New("other"), graph.TokenError{Kind: graph.TokenUnavailable}}} {
		client, o := observe(t, tokens(func() (string, error) { return "", test.err }), 200)
		fails(t, t.Context(), client, read(), graph.KindToken)
		o.mu.Lock()
		if len(o.attempts) != 0 || len(o.noToken) != 1 || o.noToken[0].Kind != test.want.Kind || o.noToken[0].Cause != test.want.Cause {
			t.Errorf("%v: %d attempts, %v", test.err, len(o.attempts), o.noToken)
		}
		o.mu.Unlock()
	}
}

func TestObserverIsToldOfATokenThatCannotBeSent(t *testing.T) {
	client, o := observe(t, fixedToken("a\nb"), 200)
	fails(t, t.Context(), client, read(), graph.KindToken)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.attempts) != 0 || len(o.noToken) != 1 {
		t.Errorf("%d attempts, %v", len(o.attempts), o.noToken)
	}
}

// Reads over connections that died without notice are sent again: the first by its scout, the others after it.
func TestObserverIsToldOfDeadConnections(t *testing.T) {
	const reads = 5
	var waiting sync.WaitGroup
	waiting.Add(reads)
	var first atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if first.Add(1) <= reads {
			waiting.Done()
			waiting.Wait()
		}
		io.WriteString(w, "{}")
	}))
	t.Cleanup(upstream.Close)
	proxy := startNATProxy(t, upstream.Listener.Addr().String())
	o := new(observer)
	client, err := graph.New(graph.Options{
		Endpoint: "http://" + proxy.listener.Addr().String() + "/v1.0", Tokens: fixedToken("secret"), UserAgent: "test", Repeats: -1,
		Observers: []graph.Observer{o},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if failed := atOnce(t, client, reads, time.Minute, read()); failed != 0 {
		t.Fatalf("%d reads failed", failed)
	}
	proxy.epoch.Add(1)
	failed := atOnce(t, client, reads, 4*time.Second, read())
	o.mu.Lock()
	defer o.mu.Unlock()
	resent := 0
	for _, a := range o.attempts {
		if a.Resends > 0 {
			resent++
		}
	}
	if failed != 0 || len(o.repeats) != reads || slices.ContainsFunc(o.repeats, func(why graph.Repeat) bool { return why != graph.RepeatDeadConnection }) {
		t.Errorf("%d reads failed, repeats: %v", failed, o.repeats)
	}
	// The scout's response counts as that of the read itself.
	if resent != reads-1 || len(o.attempts) != 3*reads-1 {
		t.Errorf("%d attempts, %d of them repeats", len(o.attempts), resent)
	}
}

func TestThrottlesInForceAreCounted(t *testing.T) {
	client, _ := observe(t, fixedToken("secret"), 200)
	if got := client.Throttled(); got != (graph.Throttled{}) || client.BlockedFor(tenant) != 0 {
		t.Errorf("before a throttle: %+v, %v", got, client.BlockedFor(tenant))
	}
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "60")
		if r.Method == http.MethodPost {
			w.Header().Set("X-Ms-Throttle-Scope", "Application/ReadWrite/a/t")
		}
		w.WriteHeader(http.StatusTooManyRequests)
	})
	client = newClient(t, server.URL+"/v1.0")
	fails(t, t.Context(), client, read(), graph.KindResponse)
	if got := client.Throttled(); got != (graph.Throttled{TenantReads: 1}) {
		t.Errorf("after a read: %+v", got)
	}
	fails(t, t.Context(), client, write(), graph.KindResponse)
	if got := client.Throttled(); got != (graph.Throttled{TenantReads: 1, ApplicationReads: 1, ApplicationWrites: 1}) {
		t.Errorf("after a write: %+v", got)
	}
	if left := client.BlockedFor(tenant); left <= 50*time.Second || left > time.Minute {
		t.Errorf("blocked for %v", left)
	}
}
