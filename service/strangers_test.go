package service_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
)

// headersOnly is an HTTP/2 client that begins streams and sends nothing else.
type headersOnly struct {
	tb      testing.TB
	conn    net.Conn
	framer  *http2.Framer
	next    uint32
	encoder *hpack.Encoder
	block   *strings.Builder
}

func newHeadersOnly(tb testing.TB, address string) *headersOnly {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	c := &headersOnly{tb: tb, conn: conn, framer: http2.NewFramer(conn, conn), next: 1, block: new(strings.Builder)}
	c.encoder = hpack.NewEncoder(c.block)
	io.WriteString(conn, http2.ClientPreface)
	c.framer.WriteSettings()
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	return c
}

// begin begins a stream with headers beside the usual ones. It is over at once when end is set.
func (c *headersOnly) begin(path string, end bool, more ...string) {
	c.tb.Helper()
	c.block.Reset()
	headers := append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "test", "content-type", "application/grpc", "te", "trailers"}, more...)
	for i := 0; i < len(headers); i += 2 {
		c.encoder.WriteField(hpack.HeaderField{Name: headers[i], Value: headers[i+1]})
	}
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: []byte(c.block.String()), EndHeaders: true, EndStream: end}); err != nil {
		c.tb.Fatal(err)
	}
	c.next += 2
}

// forged is a token with a key id that the issuer does not have.
func forged(key string) string {
	encode := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return encode(map[string]any{"alg": "ES256", "kid": key}) + "." +
		encode(map[string]any{"iss": "https://issuer.example", "aud": "backupstorage", "sub": "x", "exp": time.Now().Add(time.Hour).Unix()}) + "." +
		base64.RawURLEncoding.EncodeToString(make([]byte, 64))
}

// TestForgedKeysLockNobodyOut fills the places of calls whose keys are not known: real callers get in nevertheless.
func TestForgedKeysLockNobodyOut(t *testing.T) {
	s := newIdentified(t)
	keys, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	var fetches atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		w.Write(keys)
	}))
	t.Cleanup(issuer.Close)
	s.use(t, strings.Replace(strings.ReplaceAll(rightsText, "PERMISSIONS", "BackupRestore-Configuration.Read.All"), "jwksFile: keys.json", `jwksUrl: "`+issuer.URL+`"`, 1))
	stranger := newHeadersOnly(t, s.Conn.Target())
	for range 64 {
		stranger.begin(listPolicies, false, "authorization", "Bearer "+forged("nope"))
	}
	method, token := methodNamed(t, "ListProtectionPolicies"), s.token("admin", nil)
	began := time.Now()
	for {
		o := s.call(method, new(pb.ListProtectionPoliciesRequest), token, grantedTenant)
		if o.Status == nil {
			break
		}
		// Less than what a forged call waits: the keys come with the first of them.
		if time.Since(began) > 3*time.Second {
			t.Fatalf("after %v and %d fetches: %v", time.Since(began), fetches.Load(), o.Status)
		}
	}
	if n := fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestCallsThatWaitForKeysAreShed has an issuer that does not respond: callers by its tokens are not known for a while.
func TestCallsThatWaitForKeysAreShed(t *testing.T) {
	sheds := new(shedCounter)
	s := newIdentified(t, func(o *service.Options) { o.Observers = []service.Observer{sheds} })
	hangs := make(chan struct{})
	issuer := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	t.Cleanup(issuer.Close)
	defer close(hangs)
	s.use(t, strings.Replace(strings.ReplaceAll(rightsText, "PERMISSIONS", "BackupRestore-Configuration.Read.All"), "jwksFile: keys.json", `jwksUrl: "`+issuer.URL+`"`, 1))
	stranger := newHeadersOnly(t, s.Conn.Target())
	for range 64 {
		stranger.begin(listPolicies, false, "authorization", "Bearer "+forged("nope"))
	}
	for began := time.Now(); sheds.unidentified.Load() == 0; runtime.Gosched() {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("no call was refused because too many wait for keys; %d for another lack of room", sheds.others.Load())
		}
	}
}

// shedCounter counts the calls for which there was no room.
type shedCounter struct{ unidentified, others atomic.Int64 }

func (*shedCounter) CallBegan(string) {}

func (s *shedCounter) CallEnded(c service.CallInfo) {
	switch c.Shed {
	case "":
	case "unidentified":
		s.unidentified.Add(1)
	default:
		s.others.Add(1)
	}
}

// TestRefusedCallsHoldNoMemory has strangers ask for deadlines in 11,000 years.
func TestRefusedCallsHoldNoMemory(t *testing.T) {
	s := newIdentified(t, func(o *service.Options) { o.Logger = slog.New(slog.DiscardHandler) })
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const streams = 20_000
	before := heap()
	stranger := newHeadersOnly(t, s.Conn.Target())
	for range streams {
		stranger.begin(listPolicies, true, "grpc-timeout", "99999999H")
	}
	// The connection has been read to its end when a call over another one is through and this one is closed.
	stranger.conn.(*net.TCPConn).CloseWrite()
	for deadline := time.Now().Add(20 * time.Second); heap()-before > streams*100; {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes more for each refused call", (heap()-before)/streams)
		}
	}
}

// TestStrangersDoNotFillTheLog calls methods with long names.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	s := newIdentified(t)
	stranger := newHeadersOnly(t, s.Conn.Target())
	for range 2000 {
		stranger.begin("/"+strings.Repeat("\xff", 10_000), true)
	}
	if o := s.call(methodNamed(t, "ListProtectionPolicies"), new(pb.ListProtectionPoliciesRequest), s.token("admin", nil), grantedTenant); o.Status != nil {
		t.Fatal(o.Status)
	}
	log := s.Log.String()
	if lines := strings.Count(log, "CALLER_UNAUTHENTICATED"); lines == 0 || lines > 300 || len(log) > 300_000 {
		t.Errorf("%d lines of strangers, %d bytes", lines, len(log))
	}
	if !strings.Contains(log, `"code":"OK"`) {
		t.Error("the line of the caller is missing")
	}
}
