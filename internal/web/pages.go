package web

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"regexp"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

// About is what a page has to know of the server: /about.json.
type About struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	// Upstream is emulator, graph, or other for anything else.
	Upstream string `json:"upstream"`
	// GrpcAddress is where gRPC clients connect, a host and a port or unix:///path. GrpcTLS says that they need TLS.
	GrpcAddress string `json:"grpcAddress"`
	GrpcTLS     bool   `json:"grpcTls"`
	// TokenNeeded says that calls of the web port need a bearer token.
	TokenNeeded bool `json:"tokenNeeded"`
	// DefaultTenant is the tenant of calls without x-tenant-id, empty when there is none.
	DefaultTenant string `json:"defaultTenant,omitempty"`
	// Control says that the control API of the emulator is there, below /_emulator/.
	Control bool `json:"control"`
}

// hashed finds files whose name changes with their content.
var hashed = regexp.MustCompile(`[-.][0-9A-Za-z_]{8,}\.[a-z0-9]+$`)

// pages serves what is no call.
func (p *Port) pages() http.Handler {
	mux := http.NewServeMux()
	if p.options.Contract != nil {
		mux.HandleFunc("GET /contract.binpb", func(w http.ResponseWriter, _ *http.Request) {
			contract, err := p.options.Contract()
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/x-protobuf")
			w.Header().Set("Cache-Control", "no-cache")
			_, _ = w.Write(contract)
		})
	}
	mux.HandleFunc("GET /about.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.options.About)
	})
	if p.options.Emulator != nil {
		mux.Handle("/_emulator/", p.options.Emulator)
	}
	if p.options.Files != nil {
		// With a method it would conflict with the control API, which takes all of them.
		mux.Handle("/", files(p.options.Files))
	} else {
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("Backup Storage over gRPC: call rpcs by POST, see docs/web.md\n"))
		})
	}
	// The contract alone has more than half a megabyte, and a third of that in gzip.
	return p.guard.sameOrigin(gzhttp.GzipHandler(mux))
}

// files serves the files of the page. It shows no folders.
func files(all fs.FS) http.Handler {
	server := http.FileServerFS(all)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		if info, err := fs.Stat(all, name); err != nil || info.IsDir() {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "a file takes GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		if hashed.MatchString(name) {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		server.ServeHTTP(w, r)
	})
}
