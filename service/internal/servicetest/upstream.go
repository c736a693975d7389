package servicetest

import (
	"context"
	"net/http"

	"github.com/m365backup/backupstorage/graph"
)

// Respond is a handler that gives every request the same response. Names and values of headers come in pairs.
func Respond(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// TokenFunc is a source of tokens that gives every request what the function returns.
type TokenFunc func() (string, error)

// Token calls the function.
func (f TokenFunc) Token(context.Context, graph.TokenRequest) (string, error) { return f() }
