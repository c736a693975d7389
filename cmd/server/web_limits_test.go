package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/freeport"
)

// Whatever their size, headers are taken or refused, and never get lost on the way to gRPC.
func TestWebPortLimitsHeaders(t *testing.T) {
	_, at := startWeb(t)
	taken, refused := 0, 0
	for size := 14 << 10; size <= 31<<10; size += 97 {
		a := ask(t, http.MethodPost, at+getBackup, `{}`, ofContentType, overJSON, "X-Large", strings.Repeat("a", size))
		switch a.status {
		case 200:
			taken++
		case http.StatusRequestHeaderFieldsTooLarge:
			refused++
		default:
			t.Fatalf("%d bytes: status %d: %s", size, a.status, a.body)
		}
	}
	many := []string{ofContentType, overJSON}
	for i := range 400 {
		many = append(many, fmt.Sprintf("X-Many-%d", i), "a")
	}
	if a := ask(t, http.MethodPost, at+getBackup, `{}`, many...); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("400 headers: status %d: %s", a.status, a.body)
	}
	if taken < 10 || refused < 100 {
		t.Errorf("%d taken, %d refused", taken, refused)
	}
	if a := ask(t, http.MethodPost, at+getBackup, `{}`, ofContentType, overJSON, "Cookie", strings.Repeat("a", 6<<10), "X-Large", strings.Repeat("a", 14<<10)); a.status != 200 {
		t.Errorf("what a browser adds counts: status %d: %s", a.status, a.body)
	}
}

// 5,000 connections to the web port are mostly closed at once, and cost neither its callers nor gRPC's anything.
func TestWebPortLimitsConnections(t *testing.T) {
	r, at := startWeb(t, "--web-max-connections", "200", "--web-max-connections-per-peer", "20", "--admin-listen", "127.0.0.1:0")
	for i := range 5000 {
		from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%200))}
		conn, err := (&net.Dialer{LocalAddr: from, Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", strings.TrimPrefix(at, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if _, err := pb.NewBackupRestoreServiceClient(r.conn).GetBackupRestore(t.Context(), new(pb.GetBackupRestoreRequest)); err != nil {
		t.Errorf("gRPC: %v", err)
	}
	// Connections that say nothing end after 5 s.
	deadline := time.Now().Add(30 * time.Second)
	for {
		response, err := http.Post(at+getBackup, overJSON, strings.NewReader(`{}`))
		if err == nil {
			response.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the connections that say nothing keep callers out")
		}
	}
	_, text := page(t, r.admin(t)+"/metrics")
	refused := regexp.MustCompile(`(?m)^backupstorage_connections_refused_total (\S+)$`).FindStringSubmatch(text)
	if refused == nil {
		t.Fatal("no metric of refused connections")
	}
	if n, err := strconv.ParseFloat(refused[1], 64); err != nil || n < 4800 {
		t.Errorf("%s connections were refused", refused[1])
	}
}

// A certificate is no identity here, and a token is one, whatever gRPC asks for.
func TestWebPortKnowsCallersByToken(t *testing.T) {
	d := deskFiles(t)
	web := freeport.ForTest(t)
	d.begin(t, "BACKUPSTORAGE_TLS_CLIENT_AUTH=required", "BACKUPSTORAGE_WEB_LISTEN="+web,
		"BACKUPSTORAGE_WEB_TLS_CERTIFICATE_FILE="+d.at("server.crt"), "BACKUPSTORAGE_WEB_TLS_KEY_FILE="+d.at("server.key"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(d.read(t, "ca.crt"))
	pair, err := tls.LoadX509KeyPair(d.at("operator.crt"), d.at("operator.key"))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(d.read(t, "operator.token")))
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
		client := &http.Client{Transport: transport}
		for _, c := range []struct {
			name, path, body, authorization string
			want                            int
			reason                          string
		}{
			{"nobody", getBackup, `{}`, "", 401, "CALLER_UNAUTHENTICATED"},
			{"a bad token", getBackup, `{}`, "Bearer " + token + "x", 401, "CALLER_UNAUTHENTICATED"},
			{"nobody, with a large message", getBackup, `{"a":"` + strings.Repeat("a", 9<<20) + `"}`, "", 401, "CALLER_UNAUTHENTICATED"},
			{"nobody, with a method that there is not", getBackup + "s", `{}`, "", 401, "CALLER_UNAUTHENTICATED"},
			{"nobody, with bad JSON", getBackup, `{`, "", 401, "CALLER_UNAUTHENTICATED"},
			{"a caller", getBackup, `{}`, "Bearer " + token, 200, ""},
			{"a caller with a method that there is not", getBackup + "s", `{}`, "Bearer " + token, 501, "UNKNOWN_METHOD"},
		} {
			request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+web+c.path, strings.NewReader(c.body))
			request.Header.Set(ofContentType, overJSON)
			if c.authorization != "" {
				request.Header.Set("Authorization", c.authorization)
			}
			request.Header.Set("Cookie", "authorization=Bearer "+token)
			response, err := client.Do(request)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != c.want || !strings.Contains(string(body), c.reason) || response.ProtoMajor != map[bool]int{true: 2, false: 1}[http2] {
				t.Errorf("%s over %s: status %d, want %d with %q: %s", c.name, response.Proto, response.StatusCode, c.want, c.reason, body)
			}
		}
		transport.CloseIdleConnections()
	}
	if err := d.stop(); err != nil {
		t.Errorf("the process ended with %v: %s", err, d.log)
	}
	audited, err := os.ReadFile(d.audit)
	if err != nil || strings.Contains(string(audited), token) || strings.Contains(d.log.String(), token) {
		t.Errorf("a token is in a log, or there is none: %v", err)
	}
}

// The web port ends as gRPC does: streams end with a typed error, calls under way end, and idle connections hold up
// nothing.
func TestWebPortDrains(t *testing.T) {
	r, at := startUpdating(t)
	response, err := http.Post(at+watchPolicy, "application/connect+json", strings.NewReader(envelope(0, watched)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(response.Body, first); err != nil {
		t.Fatal(err)
	}
	idle, err := http.Post(at+listPolicies, overJSON, strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	idle.Body.Close()
	r.end(t)
	if rest, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(rest), `"reason":"STREAM_RESUME"`) {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
	if strings.Contains(r.log.String(), "drain timeout") {
		t.Error("the web port held up the stop")
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(at, "http://")); err == nil {
		conn.Close()
		t.Error("the web port still listens")
	}
	http.DefaultClient.CloseIdleConnections()
}
