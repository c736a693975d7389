package web

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"
)

// allowedHeaders are the headers that a page of an allowed origin may send, besides those that every page may.
var allowedHeaders = []string{
	"Authorization", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms", "Connect-Content-Encoding",
	"Connect-Accept-Encoding", "Content-Encoding", "Grpc-Timeout", "X-Grpc-Web", "X-User-Agent", "X-Tenant-Id",
	"X-Request-Id", "X-User-Assertion", "Traceparent", "Tracestate",
}

// exposedHeaders are the headers that such a page may read.
var exposedHeaders = []string{
	"Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "Grpc-Encoding", "Content-Encoding",
	"Connect-Content-Encoding", "X-Request-Id", "Trailer-X-Request-Id", "Trailer-X-Upstream",
	"Trailer-Grpc-Retry-Pushback-Ms",
}

// preflightAge is how many seconds a browser may remember the response to a preflight.
const preflightAge = 600

// contentPolicy lets pages load from their own origin alone, and nothing that stands in the page itself.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard decides who may ask, by what a browser says of a page and cannot be made to say otherwise.
type guard struct {
	hosts   []string
	origins []string
}

// CheckOrigin reports whether a text is an origin as browsers send it, such as https://portal.example.
func CheckOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && text == u.Scheme+"://"+u.Host &&
		text == strings.ToLower(text)
}

// CheckHost reports whether a text is a host name without a port, such as backup.example.
func CheckHost(text string) bool {
	u, err := url.Parse("http://" + text)
	return err == nil && text != "" && u.Hostname() == text && u.Port() == "" && !strings.ContainsAny(text, "*/@?#")
}

// hosted refuses requests for a host by a name that is not allowed. A page in a browser can make its own name resolve
// to this port, and could call it as its own: that takes a name, so addresses pass.
func (g *guard) hosted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", contentPolicy)
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("X-Frame-Options", "DENY")
		// What is not said to be cached below is not.
		header.Set("Cache-Control", "no-store")
		if !g.allowsHost(r.Host) {
			http.Error(w, "this host name is not one of --web-hosts", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *guard) allowsHost(text string) bool {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		host = text
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	return host == "localhost" || net.ParseIP(host) != nil ||
		host != "" && slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// own reports whether an origin is that of this port, as the client asked for it. A proxy that ends TLS makes http of
// https, so that only the hosts are compared.
func own(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// sameOrigin refuses pages of all other origins, and also what they only link to or embed.
func (g *guard) sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		site := r.Header.Get("Sec-Fetch-Site")
		origin := r.Header.Get("Origin")
		if site != "" && site != "same-origin" && site != "none" || origin != "" && !own(r, origin) {
			http.Error(w, "pages of other origins may not ask for this", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// crossOrigin lets pages of the allowed origins call, and refuses those of all others. A program that is no browser
// sends no origin.
func (g *guard) crossOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, origin := range g.origins {
		// CheckOrigin has seen it.
		_ = protection.AddTrustedOrigin(origin)
	}
	protection.SetDenyHandler(http.HandlerFunc(foreign))
	allowed := protection.Handler(next)
	if len(g.origins) > 0 {
		allowed = cors.New(cors.Options{
			AllowedOrigins: g.origins, AllowedMethods: []string{http.MethodPost}, AllowedHeaders: allowedHeaders,
			ExposedHeaders: exposedHeaders, MaxAge: preflightAge, OptionsSuccessStatus: http.StatusNoContent,
		}).Handler(allowed)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A browser sends one with each POST, and with each preflight.
		origins := r.Header["Origin"]
		if len(origins) > 1 || len(origins) == 1 && !own(r, origins[0]) && !slices.Contains(g.origins, origins[0]) {
			foreign(w, r)
			return
		}
		allowed.ServeHTTP(w, r)
	})
}

func foreign(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "this origin is not one of --web-origins", http.StatusForbidden)
}
