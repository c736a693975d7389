package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

var webAddress = regexp.MustCompile(`curl on (\S+)/\n`)

// web is where the web port of a server is.
func (r *running) web(t *testing.T) string {
	t.Helper()
	found := webAddress.FindStringSubmatch(r.banner)
	if found == nil {
		t.Fatalf("no web port in %q", r.banner)
	}
	return found[1]
}

// startWeb starts a server with a web port, and returns it and where that is.
func startWeb(t *testing.T, arguments ...string) (*running, string) {
	t.Helper()
	if !slices.Contains(arguments, "--web-listen") {
		arguments = append(arguments, "--web-listen", "127.0.0.1:0")
	}
	r := start(t, arguments...)
	return r, r.web(t)
}

// answered is the response to a request.
type answered struct {
	status int
	header http.Header
	body   string
	// Those of an error of Connect. The reason stands in debug of its ErrorInfo, and the field in that of its BadRequest.
	Code, Message string
	Details       []struct {
		Type  string
		Debug struct {
			Reason          string
			FieldViolations []struct{ Field string }
		}
	}
}

func (a *answered) reason() string {
	for _, d := range a.Details {
		if d.Type == "google.rpc.ErrorInfo" {
			return d.Debug.Reason
		}
	}
	return ""
}

func (a *answered) field() string {
	for _, d := range a.Details {
		if len(d.Debug.FieldViolations) > 0 {
			return d.Debug.FieldViolations[0].Field
		}
	}
	return ""
}

// ask sends a request over a connection of its own. headers are names and values in turn; Host is one of them.
func ask(t *testing.T, method, url, body string, headers ...string) *answered {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
		request.Header.Add(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	a := &answered{status: response.StatusCode, header: response.Header, body: string(content)}
	if response.StatusCode >= 300 && response.Header.Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(content, a); err != nil {
			t.Fatalf("%s: %v", content, err)
		}
	}
	return a
}

const (
	overJSON      = "application/json"
	getBackup     = "/m365.backupstorage.v1.BackupRestoreService/GetBackupRestore"
	getPolicy     = "/m365.backupstorage.v1.ProtectionPolicyService/GetProtectionPolicy"
	listPolicies  = "/m365.backupstorage.v1.ProtectionPolicyService/ListProtectionPolicies"
	watchPolicy   = "/m365.backupstorage.v1.WatchService/WatchProtectionPolicy"
	streamDrives  = "/m365.backupstorage.v1.ProtectionUnitStreamService/StreamDriveProtectionUnits"
	ofContentType = "Content-Type"
)

func envelope(flags byte, message string) string {
	return string(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message)))) + message
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWebPortTakesCalls(t *testing.T) {
	r, at := startWeb(t)
	id := "0c1b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"
	policy, err := proto.Marshal(&pb.GetProtectionPolicyRequest{ProtectionPolicyId: "0"})
	if err != nil {
		t.Fatal(err)
	}
	large := `{"displayName":"` + strings.Repeat("a", 9<<20) + `"}`
	for _, c := range []struct {
		name, path, body string
		headers          []string
		status           int
		reason, field    string
	}{
		{"JSON, as curl sends it", getBackup, `{}`, []string{ofContentType, overJSON}, 200, "", ""},
		{"JSON with its charset", getBackup, `{}`, []string{ofContentType, "Application/JSON; charset=UTF-8"}, 200, "", ""},
		{"JSON with the version of Connect", getBackup, `{}`, []string{ofContentType, overJSON, "Connect-Protocol-Version", "1"}, 200, "", ""},
		{"an empty body", getBackup, ``, []string{ofContentType, overJSON}, 200, "", ""},
		{"an empty message in binary", getBackup, ``, []string{ofContentType, "application/proto"}, 200, "", ""},
		{"compressed JSON", getBackup, zipped(t, `{}`), []string{ofContentType, overJSON, "Content-Encoding", "gzip"}, 200, "", ""},
		{"a deadline", getBackup, `{}`, []string{ofContentType, overJSON, "Connect-Timeout-Ms", "5000"}, 200, "", ""},
		{"another tenant", getBackup, `{}`, []string{ofContentType, overJSON, "X-Tenant-Id", emulator.TenantB}, 200, "", ""},
		{"a typed error", getPolicy, `{"protectionPolicyId":"0"}`, []string{ofContentType, overJSON}, 400, "INVALID_POLICY_ID", "protection_policy_id"},
		{"the same in binary", getPolicy, string(policy), []string{ofContentType, "application/proto"}, 400, "INVALID_POLICY_ID", "protection_policy_id"},
		{"a tenant that is none", getBackup, `{}`, []string{ofContentType, overJSON, "X-Tenant-Id", "x"}, 400, "INVALID_TENANT_ID", "x-tenant-id"},
		{"a deadline that has passed", getBackup, `{}`, []string{ofContentType, overJSON, "Connect-Timeout-Ms", "0"}, 504, "", ""},
		{"a method that there is not", getBackup + "s", `{}`, []string{ofContentType, overJSON}, 501, "UNKNOWN_METHOD", ""},
		{"a service that there is not", "/m365.backupstorage.v2.BackupRestoreService/GetBackupRestore", `{}`, []string{ofContentType, overJSON}, 501, "UNKNOWN_METHOD", ""},
		{"a field that there is not", getPolicy, `{"policy":"0"}`, []string{ofContentType, overJSON}, 400, "INVALID_REQUEST", "body"},
		{"no JSON", getPolicy, `policy=0`, []string{ofContentType, overJSON}, 400, "INVALID_REQUEST", "body"},
		{"what curl says without a header", getPolicy, `{}`, []string{ofContentType, "application/x-www-form-urlencoded"}, 400, "INVALID_REQUEST", "content-type"},
		{"no content type", getPolicy, `{}`, nil, 400, "INVALID_REQUEST", "content-type"},
		{"a stream as one response", streamDrives, `{}`, []string{ofContentType, overJSON}, 400, "INVALID_REQUEST", "content-type"},
		{"another version of Connect", getBackup, `{}`, []string{ofContentType, overJSON, "Connect-Protocol-Version", "2"}, 400, "INVALID_REQUEST", "connect-protocol-version"},
		{"a deadline that is none", getBackup, `{}`, []string{ofContentType, overJSON, "Connect-Timeout-Ms", "soon"}, 400, "INVALID_REQUEST", "connect-timeout-ms"},
		{"compressed in another way", getBackup, `{}`, []string{ofContentType, overJSON, "Content-Encoding", "br"}, 400, "INVALID_REQUEST", "content-encoding"},
		{"not compressed", getBackup, `{}`, []string{ofContentType, overJSON, "Content-Encoding", "gzip"}, 400, "INVALID_REQUEST", "body"},
		{"9 MB", getPolicy, large, []string{ofContentType, overJSON}, 400, "INVALID_REQUEST", "body"},
		{"9 MB in binary", getPolicy, large, []string{ofContentType, "application/proto"}, 400, "INVALID_REQUEST", "body"},
		{"9 MB, compressed", getPolicy, zipped(t, large), []string{ofContentType, overJSON, "Content-Encoding", "gzip"}, 400, "INVALID_REQUEST", "body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ask(t, http.MethodPost, at+c.path, c.body, append(c.headers, "X-Request-Id", id)...)
			if a.status != c.status || a.reason() != c.reason || a.field() != c.field {
				t.Errorf("status %d, reason %q of field %q; want %d, %q, %q: %s", a.status, a.reason(), a.field(), c.status, c.reason, c.field, a.body)
			}
			if got := a.header.Get("X-Request-Id"); got != id {
				t.Errorf("x-request-id is %q", got)
			}
			if c.status == 200 && c.headers[1] != "application/proto" && !strings.Contains(a.body, `"backupRestore":{"serviceStatus":{`) {
				t.Errorf("the response is %s", a.body)
			}
			if strings.Contains(a.body, `:""`) {
				t.Errorf("a field that is not set is there: %s", a.body)
			}
			if c.reason != "" && !strings.Contains(r.log.String(), `"reason":"`+c.reason+`"`) {
				t.Errorf("the log has no line with %s", c.reason)
			}
		})
	}
	t.Run("a line and an id for each call", func(t *testing.T) {
		a := ask(t, http.MethodPost, at+getBackup, `{}`, ofContentType, overJSON)
		if own := a.header.Get("X-Request-Id"); !strings.Contains(r.log.String(), `"requestId":"`+own+`"`) {
			t.Errorf("the log has no line with %q: %s", own, r.log)
		}
		if a.header.Get("Trailer-X-Upstream") != "emulator" {
			t.Errorf("headers %v", a.header)
		}
	})
	t.Run("no reads by GET", func(t *testing.T) {
		a := ask(t, http.MethodGet, at+getBackup+`?connect=v1&encoding=json&message=%7B%7D`, ``)
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
			t.Errorf("status %d, %v", a.status, a.header)
		}
	})
}

// frames are what stands in the body of a stream: flags and messages.
func frames(t *testing.T, body string) (flags []byte, messages []string) {
	t.Helper()
	for len(body) >= 5 {
		size := int(binary.BigEndian.Uint32([]byte(body[1:5])))
		flags, messages, body = append(flags, body[0]), append(messages, body[5:5+size]), body[5+size:]
	}
	if body != "" {
		t.Errorf("%q is left", body)
	}
	return flags, messages
}

func TestWebPortStreams(t *testing.T) {
	_, at := startWeb(t, "--emulator-scenario", "demo")
	t.Run("Connect in JSON", func(t *testing.T) {
		a := ask(t, http.MethodPost, at+streamDrives, envelope(0, `{"pageSize":2}`), ofContentType, "application/connect+json")
		flags, messages := frames(t, a.body)
		last := len(messages) - 1
		if a.status != 200 || last < 2 || flags[last] != 2 || !strings.Contains(messages[0], `"protectionUnits":[`) || strings.Contains(messages[last], "error") {
			t.Errorf("status %d, flags %v: %s", a.status, flags, messages)
		}
	})
	t.Run("its error", func(t *testing.T) {
		a := ask(t, http.MethodPost, at+streamDrives, envelope(0, `{"pageSize":-1}`), ofContentType, "application/connect+json")
		if _, messages := frames(t, a.body); len(messages) != 1 || !strings.Contains(messages[0], `"reason":"INVALID_PAGE_SIZE"`) {
			t.Errorf("status %d: %s", a.status, messages)
		}
	})
	t.Run("its refusal", func(t *testing.T) {
		a := ask(t, http.MethodPost, at+streamDrives, envelope(0, `{"pageSizes":1}`), ofContentType, "application/connect+json")
		if _, messages := frames(t, a.body); len(messages) != 1 || !strings.Contains(messages[0], `"reason":"INVALID_REQUEST"`) {
			t.Errorf("status %d: %s", a.status, messages)
		}
	})
	t.Run("gRPC-Web", func(t *testing.T) {
		message, err := proto.Marshal(&pb.ListDriveProtectionUnitsRequest{PageSize: 2})
		if err != nil {
			t.Fatal(err)
		}
		a := ask(t, http.MethodPost, at+streamDrives, envelope(0, string(message)), ofContentType, "application/grpc-web+proto")
		flags, messages := frames(t, a.body)
		last := len(messages) - 1
		if a.status != 200 || last < 2 || flags[last] != 0x80 || !strings.Contains(messages[last], "Grpc-Status: 0") {
			t.Fatalf("status %d, flags %v: %q", a.status, flags, messages)
		}
		page := new(pb.ListDriveProtectionUnitsResponse)
		if err := proto.Unmarshal([]byte(messages[0]), page); err != nil || len(page.GetProtectionUnits()) == 0 {
			t.Errorf("the first page: %v %v", page, err)
		}
	})
	t.Run("an error over gRPC-Web", func(t *testing.T) {
		a := ask(t, http.MethodPost, at+getPolicy, envelope(0, `{"protectionPolicyId":"0"}`), ofContentType, "application/grpc-web+json")
		if a.header.Get("Grpc-Status") != "3" || len(a.header["X-Request-Id"]) != 1 || a.header.Get("Grpc-Status-Details-Bin") == "" {
			t.Errorf("status %d, headers %v: %q", a.status, a.header, a.body)
		}
	})
	t.Run("one response as a stream", func(t *testing.T) {
		a := ask(t, http.MethodPost, at+getBackup, envelope(0, `{}`), ofContentType, "application/connect+json")
		if _, messages := frames(t, a.body); len(messages) != 1 || !strings.Contains(messages[0], `"field":"content-type"`) {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	})
	t.Run("gRPC itself", func(t *testing.T) {
		a := ask(t, http.MethodPost, at+getBackup, envelope(0, ``), ofContentType, "application/grpc")
		if a.header.Get("Grpc-Status") != "" || !strings.Contains(a.body, `"field":"content-type"`) {
			t.Errorf("status %d, %v: %s", a.status, a.header, a.body)
		}
	})
	for name, body := range map[string]string{
		"a length of 4 GiB": "\x00\xff\xff\xff\xff", "a message that is cut": envelope(0, `{}`)[:6], "no envelope": `{}`, "nothing": ``,
		"two messages": envelope(0, `{}`) + envelope(0, `{}`), "trailers": envelope(0x80, ``),
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, http.MethodPost, at+streamDrives, body, ofContentType, "application/connect+json")
			if _, messages := frames(t, a.body); len(messages) != 1 || !strings.Contains(messages[0], `"reason":"INVALID_REQUEST"`) {
				t.Errorf("status %d: %q", a.status, a.body)
			}
		})
	}
}

// startUpdating starts a web port on an upstream whose policies never cease to change, so that watches last.
func startUpdating(t *testing.T, arguments ...string) (*running, string) {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"@odata.type":"#microsoft.graph.exchangeProtectionPolicy","id":"`+someGUID+`","status":"updating"}`)
	}))
	t.Cleanup(upstream.Close)
	return startWeb(t, append(arguments, "--graph-endpoint", upstream.URL+"/v1.0", "--default-tenant", emulator.TenantA)...)
}

const watched = `{"protectionPolicyId":"` + someGUID + `"}`

// Each client has its own connection to the gRPC server, with its own limit of calls that last, and of what it takes.
func TestWebClientsHaveConnectionsOfTheirOwn(t *testing.T) {
	r, at := startUpdating(t, "--web-max-connections-per-peer", "100")
	var all []net.Conn
	for range 60 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		all = append(all, conn)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		request, _ := http.NewRequest(http.MethodPost, at+watchPolicy, strings.NewReader(envelope(0, watched)))
		request.Header.Set(ofContentType, "application/connect+json")
		if err := request.Write(conn); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range all {
		got := make([]byte, 4096)
		for text := ""; !strings.Contains(text, `"protectionPolicy":`); {
			n, err := conn.Read(got)
			if text += string(got[:n]); err != nil || strings.Contains(text, "SERVER_OVERLOADED") {
				t.Fatalf("%q: %v", text, err)
			}
		}
	}
	// They end with the server.
	r.end(t)
	for _, conn := range all {
		if rest, err := io.ReadAll(conn); err != nil || !strings.Contains(string(rest), "STREAM_RESUME") {
			t.Fatalf("%q: %v", rest, err)
		}
	}
	if strings.Contains(r.log.String(), "drain timeout") {
		t.Error("the web port held up the stop")
	}
}
