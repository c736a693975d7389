package service_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/m365backup/backupstorage/service/internal/servicetest"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// hostile is a response that is not as documented.
type hostile struct {
	name, body string
	// graphCode is the code that the client has to get nevertheless, empty when the body has none that can be read. The
	// contract knows none of these codes, so the status of HTTP decides.
	graphCode string
	header    map[string]string
	// cut ends the connection after the body, in the middle of the response.
	cut bool
}

// hostileBodies are what proxies, gateways, captive portals, other APIs and attackers send instead of an error body.
func hostileBodies() []hostile {
	const plain = `{"error":{"code":"SomethingNew","message":"m","innerError":{"date":"2026-11-20T12:00:00"}}}`
	mebi := func(text string) string { return strings.Repeat(text, 1<<20/len(text)) }
	withCode := func(rest string) string { return `{"error":{"code":"SomethingNew",` + rest + `}}` }
	message := func(text string) string { return withCode(`"message":"` + text + `"`) }
	utf16 := func(text string) string { return "\xff\xfe" + strings.Join(strings.Split(text, ""), "\x00") + "\x00" }
	const known = "SomethingNew"
	return []hostile{
		// No JSON.
		{name: "nothing"},
		{name: "spaces", body: " \r\n\t "},
		{name: "HTML", body: "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"},
		{name: "a mebibyte of HTML", body: "<html>" + mebi("<br>")},
		{name: "plain text", body: "upstream connect error or disconnect/reset before headers"},
		{name: "XML", body: `<?xml version="1.0"?><m:error xmlns:m="http://docs.oasis-open.org/odata/ns/metadata"><m:code>SomethingNew</m:code></m:error>`},
		{name: "a form", body: "error=invalid_client&error_description=x"},
		{name: "only a BOM", body: "\xef\xbb\xbf"},
		{name: "half a BOM", body: "\xef\xbb"},
		{name: "zero bytes", body: strings.Repeat("\x00", 4096)},
		{name: "UTF-16", body: utf16(plain)},
		{name: "packed bytes that nothing announces", body: "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xab\x56\x2a"},
		{name: "packed bytes", body: "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xab\x56\x2a", header: map[string]string{"Content-Encoding": "gzip"}},
		{name: "a guard against script tags", body: ")]}',\n" + plain},
		{name: "a call of JavaScript", body: "callback(" + plain + ");"},
		{name: "a comment in front", body: "/* error */" + plain},
		{name: "single quotes", body: "{'error':{'code':'SomethingNew'}}"},
		{name: "keys without quotes", body: `{error:{code:"SomethingNew"}}`},
		{name: "two BOMs", body: "\xef\xbb\xbf\xef\xbb\xbf" + plain},
		// JSON of another form.
		{name: "null", body: "null"},
		{name: "true", body: "true"},
		{name: "a number", body: "-1e400"},
		{name: "a text", body: `"Service unavailable"`},
		{name: "an empty object", body: "{}"},
		{name: "an empty array", body: "[]"},
		{name: "an array of errors", body: "[" + plain + "," + plain + "]", graphCode: known},
		{name: "arrays in arrays", body: `[[[[` + plain + `]]]]`},
		{name: "error is a text", body: `{"error":"SomethingNew"}`},
		{name: "error is a number", body: `{"error":503}`},
		{name: "error is null", body: `{"error":null}`},
		{name: "error is an array", body: `{"error":[{"code":"SomethingNew"},{"code":"b"}]}`, graphCode: known},
		{name: "no wrapper", body: `{"code":"SomethingNew","message":"m"}`, graphCode: known},
		{name: "a wrapper in a wrapper", body: `{"error":{"error":{"code":"SomethingNew"}}}`},
		{name: "a wrapper of another version", body: `{"odata.error":{"code":"SomethingNew","message":{"lang":"en","value":"m"}}}`},
		{name: "an error of OAuth", body: `{"error":"invalid_client","error_description":"AADSTS700016","error_codes":[700016]}`},
		{name: "an error of ASP.NET", body: `{"Message":"An error has occurred.","ExceptionType":"System.Exception","StackTrace":"at x"}`},
		{name: "problem details", body: `{"type":"about:blank","title":"Bad","status":400,"detail":"d"}`, header: map[string]string{"Content-Type": "application/problem+json"}},
		{name: "a successful response", body: `{"id":"x","displayName":"p","status":"active","createdDateTime":"2026-11-20T12:00:00Z"}`},
		{name: "a page", body: `{"@odata.nextLink":"https://evil.example/","value":[{"error":{"code":"x"}}]}`},
		// The code.
		{name: "a number as code", body: `{"error":{"code":403}}`, graphCode: "403"},
		{name: "a huge number as code", body: `{"error":{"code":-1e999999}}`, graphCode: "-1e999999"},
		{name: "a boolean as code", body: `{"error":{"code":true}}`},
		{name: "null as code", body: `{"error":{"code":null}}`},
		{name: "an empty code", body: `{"error":{"code":"","innerError":{"code":"SomethingNew"}}}`, graphCode: known},
		{name: "an object as code", body: `{"error":{"code":{"code":"x"}}}`},
		{name: "an array as code", body: `{"error":{"code":["x"]}}`},
		{name: "a mebibyte of code", body: `{"error":{"code":"` + mebi("A")},
		{name: "a long code", body: `{"error":{"code":"` + strings.Repeat("A", 5000) + `"}}`, graphCode: strings.Repeat("A", 256)},
		{name: "control characters as code", body: `{"error":{"code":"\u0000\u001b\r\n"}}`},
		{name: "a code that forges a header", body: `{"error":{"code":"x\r\ngrpc-status: 0"}}`, graphCode: "x  grpc-status: 0"},
		{name: "a code with characters that are not seen", body: `{"error":{"code":"Some\u200bthing\ufeffNew\u200f"}}`, graphCode: known},
		{name: "a code that turns the direction of writing", body: "{\"error\":{\"code\":\"\u202eweN\u202c\u2066SomethingNew\u2069\"}}", graphCode: "weN" + known},
		{name: "a code in Cyrillic", body: `{"error":{"code":"РolicyNotFound"}}`, graphCode: "РolicyNotFound"},
		{name: "an emoji as code", body: `{"error":{"code":"\ud83d\udca5"}}`, graphCode: "💥"},
		{name: "a reason of the server's own as code", body: `{"error":{"code":"OUTCOME_UNKNOWN"}}`, graphCode: "OUTCOME_UNKNOWN"},
		{name: "a code of gRPC as code", body: `{"error":{"code":"OK"}}`, graphCode: "OK"},
		{name: "a generic code", body: `{"error":{"code":"generalException","message":"m"}}`, graphCode: "generalException"},
		{name: "an unknown code", body: plain, graphCode: known},
		{name: "a code behind a BOM", body: "\xef\xbb\xbf" + plain, graphCode: known},
		// The message.
		{name: "an object as message", body: withCode(`"message":{"lang":"en","value":"m"}`), graphCode: known},
		{name: "a mebibyte of message", body: message(mebi("m")), graphCode: known},
		{name: "more message than is read", body: `{"error":{"message":"` + mebi("m") + `","code":"SomethingNew"}}`},
		{name: "600 kB of message in front", body: `{"error":{"message":"` + strings.Repeat("ж", 300_000) + `","code":"SomethingNew"}}`, graphCode: known},
		{name: "a message that is not UTF-8", body: message(strings.Repeat("\xff\xc3(\xed\xa0\x80", 200)), graphCode: known},
		{name: "half surrogate pairs", body: message(strings.Repeat(`\ud800\udfff\udc00`, 200)), graphCode: known},
		{name: "a message for a terminal", body: message(`\u001b[2J\u001b]0;owned\u0007\u009b31m`), graphCode: known},
		{name: "a message written from right to left", body: message("\u202egnp.exe\u202c \u2067x\u2069 \u200e\u200f"), graphCode: known},
		{name: "a message of nothing that is seen", body: message(strings.Repeat(`\u200b\u200c\u200d\ufeff`, 500)), graphCode: known},
		{name: "a message to be escaped", body: message("%00%zz%E2%28%A1 % " + strings.Repeat("%", 400)), graphCode: known},
		{name: "letters of two bytes", body: message("x" + strings.Repeat("ж", 4000)), graphCode: known},
		{name: "a tower of accents", body: message("a" + strings.Repeat(`\u0301`, 3000)), graphCode: known},
		{name: "line separators", body: message(`a\u2028b\u2029c\u0085d`), graphCode: known},
		// The structure.
		{name: "a million brackets", body: strings.Repeat("[", 1_000_000)},
		{name: "a million brackets behind the code", body: withCode(`"x":` + strings.Repeat("[", 1_000_000)), graphCode: known},
		{name: "a million brackets as inner error", body: withCode(`"innererror":` + strings.Repeat("[", 1_000_000)), graphCode: known},
		{name: "100,000 wrappers", body: strings.Repeat(`{"error":`, 100_000)},
		{name: "100,000 objects to skip", body: withCode(`"x":` + strings.Repeat(`{"x":`, 100_000)), graphCode: known},
		{name: "20,000 inner errors", body: `{"error":{"code":"SomethingNew"` + strings.Repeat(`,"innerError":{"message":"m"`, 20_000), graphCode: known},
		{name: "100,000 properties", body: `{"error":{` + strings.Repeat(`"a":1,`, 100_000) + `"code":"SomethingNew"}}`, graphCode: known},
		{name: "duplicate codes", body: `{"error":{"code":"SomethingNew","code":"b"}}`, graphCode: known},
		{name: "duplicate wrappers", body: plain[:len(plain)-1] + `,"error":{"code":"b","message":"n"}}`, graphCode: known},
		{name: "keys in escapes", body: `{"\u0065rror":{"\u0063ode":"SomethingNew"}}`, graphCode: known},
		{name: "keys in capital letters", body: `{"ERROR":{"CODE":"SomethingNew"}}`, graphCode: known},
		{name: "a key of 500 kB", body: `{"error":{"` + strings.Repeat("k", 500_000) + `":1,"code":"SomethingNew"}}`, graphCode: known},
		// The details.
		{name: "60,000 details", body: withCode(`"details":[{"code":"d"}` + strings.Repeat(`,{"code":"d"}`, 60_000) + "]"), graphCode: known},
		{name: "details of 5 kB each", body: withCode(`"details":[{}` + strings.Repeat(`,{"code":"d","message":"`+strings.Repeat("ж", 2500)+`","target":"t"}`, 100) + "]"), graphCode: known},
		{name: "details is an object", body: withCode(`"details":{"code":"d","message":"m"}`), graphCode: known},
		{name: "details is a text", body: withCode(`"details":"d"`), graphCode: known},
		{name: "details are garbage", body: withCode(`"details":[1,null,"x",true,[[]],{},{"code":[]},{"message":{"x":1}}]`), graphCode: known},
		{name: "details that are not seen", body: withCode(`"details":[{"code":"\u200b","message":"\u202e"},{"target":"\ufeff"}]`), graphCode: known},
		// Cut off or invalid.
		{name: "cut in the code", body: `{"error":{"code":"SomethingN`},
		{name: "cut in a key", body: `{"error":{"code":"SomethingNew","mess`, graphCode: known},
		{name: "cut behind a comma", body: `{"error":{"code":"SomethingNew",`, graphCode: known},
		{name: "cut in an escape", body: `{"error":{"code":"SomethingNew","message":"\u00`, graphCode: known},
		{name: "cut in a character", body: "{\"error\":{\"code\":\"SomethingNew\",\"message\":\"\xf0\x9f", graphCode: known},
		{name: "a trailing comma", body: `{"error":{"code":"SomethingNew",},}`, graphCode: known},
		{name: "a missing comma", body: `{"error":{"code":"SomethingNew" "message":"m"}}`, graphCode: known},
		{name: "a wrong bracket", body: `{"error":{"code":"SomethingNew"]]`, graphCode: known},
		{name: "NaN", body: `{"error":{"code":"SomethingNew","x":NaN}}`, graphCode: known},
		{name: "a raw line break", body: "{\"error\":{\"code\":\"SomethingNew\",\"message\":\"a\nb\"}}", graphCode: known},
		{name: "an escape that is none", body: `{"error":{"code":"SomethingNew","message":"\x41"}}`, graphCode: known},
		{name: "two documents", body: plain + "\n" + `{"error":{"code":"b"}}`, graphCode: known},
		{name: "garbage behind the end", body: plain + "\x00\xff<html>", graphCode: known},
		{name: "a connection that ends", body: `{"error":{"code":"SomethingNew","message":"m`, cut: true, graphCode: known},
		{name: "a length that is not kept", body: plain, header: map[string]string{"Content-Length": "4000"}, graphCode: known},
		{name: "an absurd length", body: plain, header: map[string]string{"Content-Length": "4611686018427387904"}, graphCode: known},
		// The headers.
		{name: "JSON that is called HTML", body: plain, header: map[string]string{"Content-Type": "text/html"}, graphCode: known},
		{name: "JSON that is called packed", body: plain, header: map[string]string{"Content-Encoding": "gzip"}, graphCode: known},
		{name: "a location to go to", body: plain, header: map[string]string{"Location": "https://evil.example/", "Refresh": "0"}, graphCode: known},
		{name: "headers of gRPC", body: plain, header: map[string]string{"Grpc-Status": "0", "Grpc-Retry-Pushback-Ms": "0"}, graphCode: known},
		{name: "a date that is none", body: plain, header: map[string]string{"Date": "yesterday"}, graphCode: known},
		{name: "another id and date in the body", body: withCode(`"innerError":{"request-id":"other","requestId":"another","date":"9999-99-99T99:99:99"}`), graphCode: known},
		{name: "ids that fit no header", body: withCode(`"innerError":{"request-id":"a\r\nb","client-request-id":"` + strings.Repeat("c", 1000) + `","date":{}}`), graphCode: known},
	}
}

const hostileID = "5d1e3f5a-0000-4000-8000-000000000001"

// nextResponse is the next response of the upstream.
type nextResponse struct {
	hostile
	status int
	// retryAfter is in seconds; empty sends no Retry-After.
	retryAfter string
}

func (a *nextResponse) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("request-id", hostileID)
	if a.retryAfter != "" {
		rw.Header().Set("Retry-After", a.retryAfter)
	}
	for name, value := range a.header {
		rw.Header().Set(name, value)
	}
	rw.WriteHeader(a.status)
	rw.Write([]byte(a.body))
	if a.cut {
		http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	}
}

// statusRow is the expected error for a status of HTTP that comes without a known code.
type statusRow struct {
	status int
	reason string
	code   codes.Code
	// retry is `yes`, `no`, `if told` or `read`.
	retry string
}

func statusRows(t *testing.T) []statusRow {
	t.Helper()
	var rows []statusRow
	for _, row := range table(t, "http_status_errors.tsv") {
		number, err := strconv.Atoi(strings.NewReplacer("3xx", "307", "4xx", "418", "5xx", "599").Replace(row[0]))
		if err != nil {
			t.Fatal(err)
		}
		code, ok := code.Code_value[row[2]]
		if !ok {
			t.Fatalf("%q is no code", row[2])
		}
		rows = append(rows, statusRow{status: number, reason: row[1], code: codes.Code(code), retry: row[3]})
	}
	return rows
}

// lost reports whether the response to a write leaves open whether the write was done.
func (r statusRow) lost() bool {
	return r.status == 307 || r.status == 408 || r.status == 502 || r.status == 504
}

// ofWrite is the expected error when the response is to a write.
func (r statusRow) ofWrite() statusRow {
	if r.lost() {
		r.reason, r.code, r.retry = "OUTCOME_UNKNOWN", codes.Unknown, "no"
	}
	return r
}

func TestNoBodyHidesStatusAndHeaders(t *testing.T) {
	var next atomic.Pointer[nextResponse]
	s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, r *http.Request) { next.Load().ServeHTTP(rw, r) })
	rows := statusRows(t)
	names := make(map[string]bool)
	for i, body := range hostileBodies() {
		if names[body.name] {
			t.Errorf("there are two %q", body.name)
		}
		names[body.name] = true
		delays := []string{"7"}
		if i%10 == 0 {
			delays = append(delays, "")
		}
		t.Run(body.name, func(t *testing.T) {
			for _, row := range rows {
				if len(body.body) > 64<<10 && row.status%100 != 0 && row.status != 503 {
					// Large bodies take long, so they come with 400, 500 and 503 alone.
					continue
				}
				for _, retryAfter := range delays {
					next.Store(&nextResponse{hostile: body, status: row.status, retryAfter: retryAfter})
					s.NextTenant()
					hasDelay, name := retryAfter != "", fmt.Sprintf("%d with Retry-After %q", row.status, retryAfter)
					checkHostile(t, "read with status "+name, read(s), row, body, hasDelay)
					o := write(s)
					checkHostile(t, "write with status "+name, o, row.ofWrite(), body, hasDelay)
					unknown := o.Info().GetMetadata()["outcome"] == "unknown"
					if want := row.lost() || row.status == 500 || row.status == 599 || row.status == 503 && !hasDelay; unknown != want {
						t.Errorf("write with status %s: outcome unknown: %v, want %v", name, unknown, want)
					}
				}
			}
		})
	}
	if len(names) < 60 {
		t.Errorf("%d bodies", len(names))
	}
}

func checkHostile(t *testing.T, name string, o *servicetest.Outcome, row statusRow, body hostile, hasDelay bool) {
	t.Helper()
	if row.status == 307 {
		// A redirect is not an error of Graph's, so its body is not read.
		body.graphCode, hasDelay = "", false
	}
	if o.Code() != row.code || o.Reason() != row.reason {
		t.Errorf("%s: got %v %s, want %v %s", name, o.Code(), o.Reason(), row.code, row.reason)
	}
	metadata := o.Info().GetMetadata()
	if metadata["httpStatus"] != strconv.Itoa(row.status) || metadata["graphRequestId"] != hostileID || metadata["graphCode"] != body.graphCode {
		t.Errorf("%s: metadata %.500v, want code %q", name, metadata, body.graphCode)
	}
	if id := servicetest.Detail[*errdetails.RequestInfo](o.Status).GetRequestId(); id != hostileID {
		t.Errorf("%s: RequestInfo has %q", name, id)
	}
	retry := servicetest.Detail[*errdetails.RetryInfo](o.Status)
	if want := row.retry == "yes" || row.retry == "read" || row.retry == "if told" && hasDelay; (retry != nil) != want {
		t.Errorf("%s: RetryInfo is %v, but %s", name, retry, row.retry)
	}
	if delay := retry.GetRetryDelay().AsDuration(); hasDelay && retry != nil && (delay < 7*time.Second || delay > 7*time.Second*6/5) {
		t.Errorf("%s: delay %v, want 7s and up to a fifth more", name, delay)
	}
	if size := proto.Size(o.Status); size > 4096 {
		t.Errorf("%s: Status of %d bytes", name, size)
	}
	texts := []string{o.Status.GetMessage()}
	for _, value := range metadata {
		texts = append(texts, value)
	}
	for _, v := range o.FieldViolations() {
		texts = append(texts, v.GetDescription())
	}
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, misleading) || len(text) > 512 {
			t.Errorf("%s: text %.600q", name, text)
		}
	}
}

// misleading reports whether a character must not reach a terminal or a page: a control character, or one that can make
// a text look like another one.
func misleading(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200B && r <= 0x200F || r >= 0x2028 && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0xFEFF
}
