package credential

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
)

// sourceOn returns a source on an authority whose second requests go out early.
func sourceOn(t *testing.T, authority *authoritytest.Authority, hedge time.Duration, log io.Writer) *Source {
	t.Helper()
	s, err := New(Options{
		Mode: ClientSecret, Authority: authority.URL, RootCAs: authority.Roots, ClientID: "client", Secret: "secret",
		Logger: slog.New(slog.NewJSONHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.cache.hedgeTime = hedge
	return s
}

// The authority swallows the first request of a tenant, over HTTP/1.1 and over HTTP/2. The second request goes over a
// connection of its own, since the first one's may be dead.
func TestASecondRequestHasItsOwnConnection(t *testing.T) {
	for name, newAuthority := range map[string]func(testing.TB) *authoritytest.Authority{
		"HTTP/1.1": authoritytest.New, "HTTP/2": authoritytest.NewHTTP2,
	} {
		t.Run(name, func(t *testing.T) {
			authority := newAuthority(t)
			sound := authority.Handler()
			var mu sync.Mutex
			var connections []string
			authority.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					mu.Lock()
					connections = append(connections, r.RemoteAddr)
					first := len(connections) == 1
					mu.Unlock()
					if first {
						// A server notices that its client is gone once it has read the request.
						_ = r.ParseForm()
						<-r.Context().Done()
						return
					}
				}
				sound.ServeHTTP(w, r)
			}))
			var log strings.Builder
			s := sourceOn(t, authority, 50*time.Millisecond, &log)
			token, err := s.Token(t.Context(), graph.TokenRequest{Tenant: "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"})
			if err != nil || token == "" {
				t.Fatalf("got %q and %v", token, err)
			}
			// The first request shows that the authority hangs, and is no failure.
			s.Close()
			if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"level":"INFO","msg":"token request given up, another one was faster"`) {
				t.Errorf("log: %s", got)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(connections) != 2 || connections[0] == connections[1] {
				t.Errorf("connections %q, want two different ones", connections)
			}
		})
	}
}

// A connection that breaks before the response is no word of the authority: the request is sent again at once, on a new
// connection. When that breaks as well, the authority counts as unavailable for some seconds.
func TestABrokenConnectionIsTriedAgainAtOnce(t *testing.T) {
	for name, breaks := range map[string]int32{"once": 1, "always": 1000} {
		t.Run(name, func(t *testing.T) {
			authority := authoritytest.New(t)
			sound := authority.Handler()
			var requests atomic.Int32
			authority.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && requests.Add(1) <= breaks {
					panic(http.ErrAbortHandler)
				}
				sound.ServeHTTP(w, r)
			}))
			s := sourceOn(t, authority, time.Hour, io.Discard)
			for range 3 {
				_, err := s.Token(t.Context(), graph.TokenRequest{Tenant: "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"})
				if (err == nil) != (breaks == 1) {
					t.Errorf("got %v", err)
				}
			}
			if n := requests.Load(); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
		})
	}
}
