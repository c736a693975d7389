package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/internal/troubled"
	"github.com/m365backup/backupstorage/service"
)

const (
	tenantA = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"
	tenantB = "1e9e65f0-5e44-4b4f-9c9c-5a3a1d0b7c01"
)

func options() Options {
	table := troubled.New(func(tenant string) time.Duration {
		if tenant == tenantB {
			return time.Hour
		}
		return 0
	})
	for range 2 {
		table.CallEnded(service.CallInfo{Tenant: tenantA, Reason: "GRAPH_UNREACHABLE", Fault: "graph", Cause: "refused"})
	}
	table.CallEnded(service.CallInfo{Tenant: tenantB, Reason: "GRAPH_CREDENTIALS_UNAVAILABLE", Fault: "tenant", Cause: "consent-missing"})
	table.CallEnded(service.CallInfo{Tenant: tenantB, Reason: "NOT_FOUND", Fault: "caller"})
	table.CallEnded(service.CallInfo{Tenant: tenantB, Reason: "NOT_FOUND", Fault: "caller"})
	return Options{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") }),
		Ready:   func() error { return nil },
		Version: Version{"v1.2.3", "abc", "go1"},
		Config:  func(w io.Writer) error { _, err := io.WriteString(w, "listen"); return err },
		Tenants: table, Pprof: true, Hosts: []string{"Server.Example"},
	}
}

// ask asks for a page as a peer and by a host, over loopback.
func ask(handler http.Handler, method, path, peer, host string, header ...string) *httptest.ResponseRecorder {
	return askAt(handler, method, path, "127.0.0.1:50052", peer, host, header...)
}

// askAt asks at an address of the server.
func askAt(handler http.Handler, method, path, own, peer, host string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(own))))
	r.RemoteAddr, r.Host = peer, host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

const (
	here  = "127.0.0.1:1234"
	there = "10.1.2.3:1234"
)

func TestPagesAndWhoMaySeeThem(t *testing.T) {
	handler := Handler(options())
	for _, page := range []struct {
		path, has string
		loopback  bool
	}{
		{"/livez", "ok", false},
		{"/readyz", "ok", false},
		{"/version", `{"version":"v1.2.3","revision":"abc","goVersion":"go1"}`, false},
		{"/metrics", "metrics", false},
		{"/config", "listen", true},
		{"/tenants", tenantA, true},
		{"/debug/pprof/", "goroutine", true},
		{"/debug/pprof/heap?debug=1", "heap profile", true},
	} {
		for _, test := range []struct {
			name, peer, host string
			header           []string
			status           int
		}{
			{"loopback", here, "127.0.0.1:50052", nil, 200},
			{"loopback over IPv6", "[::1]:1234", "[::1]:50052", nil, 200},
			{"localhost", here, "localhost:50052", nil, 200},
			{"a name that is allowed", here, "server.example.:50052", nil, 200},
			{"another name", here, "rebound.example:50052", nil, 421},
			{"another machine by address", there, "10.0.0.1:50052", nil, 403},
			{"another machine by a name", there, "rebound.example", nil, 421},
			{"a proxy on this machine", here, "127.0.0.1", []string{"X-Forwarded-For", "10.1.2.3"}, 403},
			{"another proxy on this machine", here, "127.0.0.1", []string{"Via", "1.1 proxy"}, 403},
			{"a browser that another site sent", here, "127.0.0.1", []string{"Sec-Fetch-Site", "cross-site"}, 403},
			{"a browser", here, "127.0.0.1", []string{"Sec-Fetch-Site", "none"}, 200},
		} {
			want := test.status
			if want == 403 && !page.loopback {
				want = 200
			}
			w := ask(handler, http.MethodGet, page.path, test.peer, test.host, test.header...)
			if w.Code != want || (w.Code == 200) != strings.Contains(w.Body.String(), page.has) {
				t.Errorf("%s from %s: %d %.100s", page.path, test.name, w.Code, w.Body)
			}
		}
		if w := askAt(handler, http.MethodGet, page.path, "10.1.2.4:50052", here, "localhost"); (w.Code == 403) != page.loopback {
			t.Errorf("%s from a proxy beside the server: %d", page.path, w.Code)
		}
		if w := ask(handler, http.MethodPost, page.path, here, "127.0.0.1"); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", page.path, w.Code)
		}
	}
}

func TestWhatIsOffIsNotServed(t *testing.T) {
	handler := Handler(Options{Ready: func() error { return errors.New("stopping") }})
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/version": 200, "/metrics": 404, "/config": 404, "/tenants": 404, "/debug/pprof/": 404, "/": 404} {
		if w := ask(handler, http.MethodGet, path, here, "127.0.0.1"); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestTenantsAreSorted(t *testing.T) {
	handler := Handler(options())
	for sort, first := range map[string]string{"": tenantA, "errors": tenantA, "calls": tenantB, "blocked": tenantB, "recent": tenantB} {
		w := ask(handler, http.MethodGet, "/tenants?format=json&sort="+sort, here, "127.0.0.1")
		var rows []tenantRow
		if err := json.Unmarshal(w.Body.Bytes(), &rows); err != nil || len(rows) != 2 || rows[0].Tenant != first {
			t.Errorf("sort=%s: %v, %s", sort, err, w.Body)
		}
	}
	if w := ask(handler, http.MethodGet, "/tenants?sort=canary", here, "127.0.0.1"); w.Code != 400 {
		t.Errorf("an unknown order: %d", w.Code)
	}
	text := ask(handler, http.MethodGet, "/tenants", here, "127.0.0.1").Body.String()
	for _, want := range []string{"GRAPH_UNREACHABLE", "refused", "consent-missing", "missing\n", fmt.Sprint(time.Now().UTC().Year())} {
		if !strings.Contains(text, want) {
			t.Errorf("the table has no %q:\n%s", want, text)
		}
	}
}
