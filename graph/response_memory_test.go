package graph

import (
	"net/http"
	"testing"
)

// TestAResponseNeedsMemory has bodies that need more memory than there is.
func TestAResponseNeedsMemory(t *testing.T) {
	for _, test := range []struct {
		name         string
		method       string
		status, size int
		// memory is how many bytes there are, asked how many are asked for in all.
		memory, asked int
		kind          Kind
		ok            bool
	}{
		{"a small page", "GET", 200, initialBody - 1, 0, 0, 0, true},
		{"a page that fits", "GET", 200, 200 << 10, 1 << 20, 192 << 10, 0, true},
		{"a page that does not fit", "GET", 200, 1 << 20, 256 << 10, 448 << 10, KindOverloaded, false},
		{"an error that fits", "GET", 404, 200 << 10, 1 << 20, 192 << 10, KindResponse, false},
		{"an error that does not fit", "GET", 404, 1 << 20, 100 << 10, 192 << 10, KindResponse, false},
		{"a write", "POST", 200, 1 << 20, 0, 0, 0, true},
		{"an error of a write", "POST", 404, 1 << 20, 0, 0, KindResponse, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, _ := counted(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Request-Id", "graph-1")
				w.WriteHeader(test.status)
				w.Write(make([]byte, test.size))
			})
			asked, left := 0, test.memory
			request := newRequest(test.method)
			request.Grow = func(n int) bool {
				asked += n
				left -= n
				return left >= 0
			}
			response, err := client.Do(t.Context(), request)
			e := failure(t, err)
			switch {
			case asked != test.asked:
				t.Errorf("asked for %d bytes, want %d", asked, test.asked)
			case test.ok:
				if e != nil || len(response.Body) != test.size {
					t.Errorf("got %+v", e)
				}
			case e == nil || e.Kind != test.kind || e.Status != test.status || e.RequestID != "graph-1" || e.Sent != (test.method == "POST"):
				t.Errorf("got %+v", e)
			}
		})
	}
}
