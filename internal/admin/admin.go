// Package admin serves what operators and probes ask of a running server, over HTTP: metrics, liveness, readiness,
// version, and on loopback its configuration, its troubled tenants and profiles.
package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/internal/troubled"
)

// Options configures a Handler. What is nil is not served.
type Options struct {
	Metrics http.Handler
	// Ready returns why the server takes no calls, nil when it does. Health never depends on Graph.
	Ready   func() error
	Version Version
	// Config writes the configuration in force, without secrets.
	Config  func(io.Writer) error
	Tenants *troubled.Table
	// Pprof serves the profiles of Go's runtime.
	Pprof bool
	// Hosts are the names by which the port may be asked, besides IP addresses and localhost.
	Hosts []string
}

// Version is the response of /version.
type Version struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	GoVersion string `json:"goVersion"`
}

// Handler serves the pages of the admin port.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// A client that has gone cannot be told.
		_ = json.NewEncoder(w).Encode(o.Version)
	})
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	if o.Config != nil {
		mux.HandleFunc("GET /config", onLoopback(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_ = o.Config(w)
		}))
	}
	if o.Tenants != nil {
		mux.HandleFunc("GET /tenants", onLoopback(tenants(o.Tenants)))
	}
	if o.Pprof {
		mux.HandleFunc("GET /debug/pprof/", onLoopback(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/profile", onLoopback(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/trace", onLoopback(pprof.Trace))
		mux.HandleFunc("GET /debug/pprof/symbol", onLoopback(pprof.Symbol))
	}
	return named(o.Hosts, mux)
}

// named refuses requests for a host by a name that is not allowed. A page in a browser can make its own name resolve to
// this port, and could read it: that takes a name, so addresses pass. Kubelet and Prometheus use addresses.
func named(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("Cache-Control", "no-store")
		host := hostOf(r.Host)
		if host != "" && host != "localhost" && net.ParseIP(host) == nil && !slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
			http.Error(w, "this host name is not one of --admin-hosts", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf returns a host without its port and in lower case.
func hostOf(text string) string {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		host = text
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// onLoopback serves a page to this machine only. Both ends of the connection have to be on loopback: a proxy beside the
// server, such as the sidecar of a service mesh, connects from loopback to the address of the pod for any machine.
// Another proxy on this machine says for whom it asks, and a browser that another site sent.
func onLoopback(page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		own, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		site := r.Header.Get("Sec-Fetch-Site")
		forwarded := slices.ContainsFunc([]string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"}, func(key string) bool { return r.Header.Get(key) != "" })
		if !ok || !isLoopback(own.String()) || !isLoopback(r.RemoteAddr) || forwarded || site != "" && site != "none" && site != "same-origin" {
			http.Error(w, "this page is served to this machine only, on loopback", http.StatusForbidden)
			return
		}
		page(w, r)
	}
}

func isLoopback(address string) bool {
	ip := net.ParseIP(hostOf(address))
	return ip != nil && ip.IsLoopback()
}

// Server is an HTTP server whose clients cannot hold it up.
func Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second,
		// A profile takes 30 s unless the request says otherwise.
		WriteTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
}
