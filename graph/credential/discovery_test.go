package credential

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// Any caller can name any tenant: what the authority says of its endpoints must not fill the memory, nor make the other
// tenants ask again.
func TestTheEndpointsOfManyTenantsTakeLittleMemory(t *testing.T) {
	padding := ""
	requests := 0
	a := newAuthority(roundTrip(func(r *http.Request) (*http.Response, error) {
		requests++
		body := `{"issuer":"i","authorization_endpoint":"a","token_endpoint":"https://login.example/token","padding":"` + padding + `"}`
		header := http.Header{"Content-Type": {"application/json"}, "X-Large": {strings.Repeat("x", 60<<10)}}
		return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}), nil, "login.example")
	discover := func(tenant int) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprint("https://login.example/", tenant, discoveryPath), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := a.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("header %v", response.Header)
		}
	}
	for n := range maxDiscoveries + 100 {
		discover(n)
	}
	if len(a.discoveries) != maxDiscoveries {
		t.Errorf("%d tenants are cached, want %d", len(a.discoveries), maxDiscoveries)
	}
	held := 0
	for _, d := range a.discoveries {
		held += cap(d.body)
	}
	if held > 300*maxDiscoveries {
		t.Errorf("%d tenants take %d bytes", maxDiscoveries, held)
	}
	padding = strings.Repeat("x", 100<<10)
	requests = 0
	for range 3 {
		discover(-1)
	}
	if requests != 3 {
		t.Errorf("%d requests, want 3: a large response is used, and not cached", requests)
	}
}
