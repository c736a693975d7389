package errorbody

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// inners nests errors with the codes 1, 2 and so on inside one with the code 0.
func inners(levels int, key string) string {
	var text strings.Builder
	for level := range levels {
		fmt.Fprintf(&text, `{"code":"%d","%s":`, level, key)
	}
	fmt.Fprintf(&text, `{"code":"%d"}%s`, levels, strings.Repeat("}", levels))
	return text.String()
}

func parse(body []byte) Body { return Parse(body, Head{}) }

// said is what can be kept of an error body.
type said struct {
	codes, message, target, requestID string
	details                           []Detail
}

func saidBy(e Body) said {
	return said{strings.Join(e.Codes, " "), e.Message, e.Target, e.RequestID, e.Details}
}

func TestWhateverIsReadableIsKept(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, test := range []struct {
		name, body string
		want       said
	}{
		{"empty", "", said{}},
		{"spaces", " \r\n\t", said{}},
		{"HTML", "<!DOCTYPE html><html><body>503</body></html>", said{}},
		{"plain text", "Service unavailable", said{}},
		{"only a BOM", "\xef\xbb\xbf", said{}},
		{"half a BOM", "\xef\xbb", said{}},
		{"null", "null", said{}},
		{"a number", "42", said{}},
		{"true", "true", said{}},
		{"a text", `"Service unavailable"`, said{message: "Service unavailable"}},
		{"an empty object", "{}", said{}},
		{"an empty array", "[]", said{}},
		{"only an opening brace", "{", said{}},
		{"only a closing brace", "}", said{}},
		{"zero bytes", "\x00\x00\x00", said{}},
		{"UTF-16", "\xff\xfe{\x00}\x00", said{}},
		{"as documented", `{"error":{"code":"a","message":"m","target":"t","innerError":{"code":"b","request-id":"r","client-request-id":"c","date":"2026-11-20T12:00:00"}}}`, said{codes: "a b", message: "m", target: "t", requestID: "r"}},
		{"targets as they came", `{"error":{"target":" \ta@b.example","message":" m\t","details":[{"code":" d ","target":" \u200bc@b.example\t"}]}}`, said{message: "m", target: " \ta@b.example", details: []Detail{{Code: "d", Target: " \u200bc@b.example\t"}}}},
		{"behind a BOM", "\xef\xbb\xbf" + `{"error":{"code":"a"}}`, said{codes: "a"}},
		{"keys in other letters", `{"Error":{"Code":"a","MESSAGE":"m","INNERERROR":{"code":"b"}}}`, said{codes: "a b", message: "m"}},
		{"error is a text", `{"error":"text"}`, said{message: "text"}},
		{"error is a number", `{"error":403}`, said{}},
		{"error is null", `{"error":null}`, said{}},
		{"error is an empty array", `{"error":[]}`, said{}},
		{"error is an array", `{"error":[{"code":"a"},{"code":"b"}]}`, said{codes: "a"}},
		{"error is an array in an array", `{"error":[[{"code":"a"}]],"code":"b"}`, said{codes: "b"}},
		{"all is an array", `[{"error":{"code":"a"}},{"error":{"code":"b"}}]`, said{codes: "a"}},
		{"an array of arrays", `[[[[{"code":"a"}]]]]`, said{}},
		{"an array of texts", `["text",{"code":"a"}]`, said{message: "text"}},
		{"no wrapper", `{"code":"a","message":"m","innerError":{"code":"b"}}`, said{codes: "a b", message: "m"}},
		{"the wrapper of a delta's item", `{"info":{"code":"a","message":"m"}}`, said{codes: "a", message: "m"}},
		{"a wrapper in a wrapper", `{"error":{"error":{"code":"a"},"code":"b"}}`, said{codes: "b"}},
		{"an error of OAuth", `{"error":"invalid_client","error_description":"AADSTS700016"}`, said{message: "invalid_client"}},
		{"code is a number", `{"error":{"code":403}}`, said{codes: "403"}},
		{"code is a large number", `{"error":{"code":-1e999999}}`, said{codes: "-1e999999"}},
		{"code is a boolean", `{"error":{"code":true,"message":"m"}}`, said{message: "m"}},
		{"code is null", `{"error":{"code":null,"message":"m"}}`, said{message: "m"}},
		{"code is empty", `{"error":{"code":"","message":"m","innererror":{"code":"b"}}}`, said{codes: "b", message: "m"}},
		{"code is an object", `{"error":{"code":{"code":"x"},"message":"m"}}`, said{message: "m"}},
		{"code is an array", `{"error":{"code":["x",["y"]],"message":"m"}}`, said{message: "m"}},
		{"message is an object", `{"error":{"message":{"lang":"en","value":"m"},"code":"a"}}`, said{codes: "a"}},
		{"target is an array", `{"error":{"target":[{}],"code":"a"}}`, said{codes: "a"}},
		{"inner error first", `{"error":{"innerError":{"innerError":{"code":"c"},"code":"b","message":"inner","target":"inner"},"code":"a","message":"outer","target":"outer"}}`, said{codes: "a b c", message: "outer", target: "outer"}},
		{"inner error between", `{"error":{"code":"a","innerError":{"code":"b","message":"inner"},"message":"outer"}}`, said{codes: "a b", message: "outer"}},
		{"only the inner error has a message", `{"error":{"code":"a","innerError":{"message":"inner","target":"t"}}}`, said{codes: "a", message: "inner", target: "t"}},
		{"inner error is a text", `{"error":{"code":"a","innerError":"text"}}`, said{codes: "a", message: "text"}},
		{"inner error is null", `{"error":{"code":"a","innerError":null,"message":"m"}}`, said{codes: "a", message: "m"}},
		{"inner error is an array", `{"error":{"innerError":[{"code":"b"},{"code":"c"}],"code":"a"}}`, said{codes: "a b"}},
		{"8 inner errors", inners(8, "innerError"), said{codes: "0 1 2 3 4 5 6 7 8"}},
		{"8 inner errors in a wrapper", `{"error":` + inners(8, "innererror") + `}`, said{codes: "0 1 2 3 4 5 6 7 8"}},
		{"9 inner errors", inners(9, "innerError"), said{codes: "0 1 2 3 4 5 6 7 8"}},
		{"9 inner errors in a wrapper", `{"error":` + inners(9, "InnerError") + `}`, said{codes: "0 1 2 3 4 5 6 7 8"}},
		{"20,000 inner errors", `{"error":` + inners(20_000, "innerError") + `}`, said{codes: "0 1 2 3 4 5 6 7 8"}},
		{"duplicate codes", `{"error":{"code":"a","code":"b"}}`, said{codes: "a"}},
		{"100,000 codes", `{"error":{"code":"a"` + strings.Repeat(`,"code":"b"`, 100_000) + `}}`, said{codes: "a"}},
		{"duplicate messages", `{"error":{"message":"a","message":"b"}}`, said{message: "a"}},
		{"duplicate inner errors", `{"error":{"code":"a","innererror":{"date":"2026"},"innerError":{"code":"b"},"innerError":{"code":"c"}}}`, said{codes: "a b"}},
		{"duplicate wrappers", `{"error":{"code":"a"},"error":{"code":"b","message":"m"}}`, said{codes: "a", message: "m"}},
		{"details", `{"error":{"details":[{"code":"a","message":"m","target":"t"},{"code":7}],"code":"c"}}`, said{codes: "c", details: []Detail{{Code: "a", Message: "m", Target: "t"}, {Code: "7"}}}},
		{"details is an object", `{"error":{"details":{"code":"a","innererror":{"code":"x"}},"code":"c"}}`, said{codes: "c", details: []Detail{{Code: "a"}}}},
		{"details is an empty object", `{"error":{"details":{},"code":"c"}}`, said{codes: "c"}},
		{"details is a text", `{"error":{"details":"x","code":"c"}}`, said{codes: "c"}},
		{"details is null", `{"error":{"details":null,"code":"c"}}`, said{codes: "c"}},
		{"details are garbage", `{"error":{"details":[1,null,"x",true,[{"code":"x"}],{},{"code":[]},{"code":"a","z":{"code":"x"}}],"code":"c"}}`, said{codes: "c", details: []Detail{{Code: "a"}}}},
		{"1 MB of message", `{"error":{"message":"` + x(1_000_000) + `","code":"a"}}`, said{codes: "a", message: x(4096)}},
		{"1 MB of code", `{"error":{"code":"` + x(1_000_000) + `"}}`, said{codes: x(256)}},
		{"1 MB of code that is a number", `{"error":{"code":` + strings.Repeat("1", 1_000_000) + `}}`, said{codes: strings.Repeat("1", 256)}},
		{"1 MB of target", `{"error":{"target":"` + x(1_000_000) + `"}}`, said{target: x(2048)}},
		{"1 MB of key", `{"error":{"` + x(1_000_000) + `":1,"code":"a"}}`, said{codes: "a"}},
		{"1 MB of arrays", strings.Repeat("[", 1_000_000), said{}},
		{"1 MB of arrays as inner error", `{"error":{"code":"a","innererror":` + strings.Repeat("[", 1_000_000), said{codes: "a"}},
		{"1 MB of arrays elsewhere", `{"error":{"code":"a","x":` + strings.Repeat("[", 1_000_000), said{codes: "a"}},
		{"1 MB of wrappers", strings.Repeat(`{"error":`, 100_000), said{}},
		{"cut at a character", `{"error":{"message":"` + x(4095) + `äö"}}`, said{message: x(4095)}},
		{"cut at an emoji", `{"error":{"message":"` + x(4093) + `😀"}}`, said{message: x(4093)}},
		{"invalid UTF-8", "{\"error\":{\"code\":\"a\xffb\",\"message\":\"\xc3\x28\xed\xa0\x80\"}}", said{codes: "a\uFFFDb", message: "\uFFFD(\uFFFD\uFFFD\uFFFD"}},
		{"half a surrogate pair", `{"error":{"code":"a\ud800b"}}`, said{codes: "a\uFFFDb"}},
		{"control characters", `{"error":{"code":"\u0000a\nb\u007f\u0085c\u2028","message":"\u001b[31mred\r\n"}}`, said{codes: "a b  c", message: "[31mred"}},
		{"raw control characters", "{\"error\":{\"code\":\"a\",\"message\":\"b\nc\"}}", said{codes: "a"}},
		{"nothing but control characters", `{"error":{"code":"\u0000\n","message":"m"}}`, said{message: "m"}},
		{"characters that are not seen", `{"error":{"code":"Policy\u200bNot\ufeffFound","message":"\u202egnp.exe\u2066\u2069 a\u200db"}}`, said{codes: "PolicyNotFound", message: "gnp.exe ab"}},
		{"nothing but characters that are not seen", `{"error":{"code":"\u200f\u202a","message":"m"}}`, said{message: "m"}},
		{"request id that fits no header", `{"error":{"code":"a","innererror":{"request-id":"a b"}}}`, said{codes: "a"}},
		{"request id as a property of its own", `{"error":{"code":"a","requestId":"r"}}`, said{codes: "a", requestID: "r"}},
		{"cut in a code", `{"error":{"code":"a","innerError":{"code":"b`, said{codes: "a"}},
		{"cut in a key", `{"error":{"code":"a","mess`, said{codes: "a"}},
		{"cut behind a comma", `{"error":{"code":"a",`, said{codes: "a"}},
		{"cut in the inner error that came first", `{"error":{"innerError":{"code":"b","date":`, said{codes: "b"}},
		{"cut in details", `{"error":{"code":"c","details":[{"code":"a","mess`, said{codes: "c", details: []Detail{{Code: "a"}}}},
		{"wrong bracket", `{"error":{"code":"a"],"message":"m"}`, said{codes: "a"}},
		{"missing comma", `{"error":{"code":"a" "message":"m"}}`, said{codes: "a"}},
		{"a key that is no text", `{"error":{"code":"a",1:2}}`, said{codes: "a"}},
		{"text behind the end", `{"error":{"code":"a"}}{"error":{"code":"b"}}`, said{codes: "a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := saidBy(parse([]byte(test.body))); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %.300q\nwant %.300q", fmt.Sprint(got), fmt.Sprint(test.want))
			}
		})
	}
}

const fullBody = `{"error":{"code":"a","message":"m","target":"t","details":[{"code":"d","message":"n","target":"u"}],"innerError":{"code":"b","request-id":"r","innerError":{"code":"c"}}}}`

func TestABodyThatIsCutAnywhereKeepsWhatCameBefore(t *testing.T) {
	whole := saidBy(parse([]byte(fullBody)))
	for end := range len(fullBody) {
		got := saidBy(parse([]byte(fullBody[:end])))
		for _, part := range []struct {
			name, text, got, want string
		}{
			{"code", `"code":"a"`, firstWord(got.codes), "a"},
			{"message", `"message":"m"`, got.message, "m"},
			{"target", `"target":"t"`, got.target, "t"},
			{"inner code", `"innerError":{"code":"b"`, strings.TrimSuffix(got.codes, " c"), "a b"},
			{"request id", `"request-id":"r"`, got.requestID, "r"},
			{"deepest code", `"code":"c"`, got.codes, "a b c"},
		} {
			if strings.Contains(fullBody[:end], part.text) && part.got != part.want {
				t.Errorf("cut at %d: got %s %q, want %q", end, part.name, part.got, part.want)
			}
		}
		if !strings.HasPrefix(whole.codes, got.codes) || len(got.details) > 1 {
			t.Errorf("cut at %d: made up %v", end, got)
		}
	}
}

func firstWord(s string) string {
	first, _, _ := strings.Cut(s, " ")
	return first
}

func TestABulkErrorKeepsAtMost50000Details(t *testing.T) {
	body := `{"error":{"details":[{"code":"a"}` + strings.Repeat(`,{"code":"a"}`, 60_000) + `],"code":"c"}}`
	e := parse([]byte(body))
	if len(e.Details) != 50_000 || len(e.Codes) != 1 {
		t.Errorf("got %d details and codes %q, want 50000 and the code behind them", len(e.Details), e.Codes)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(fullBody))
	for _, body := range []string{
		"", "<html>", "\xef\xbb\xbf{}", `{"error":"text"}`, `{"error":[{"code":1}]}`, inners(10, "innerError"),
		`{"innererror":{"innererror":[[1]]},"code":"a"}`, `{"error":{"details":{"code":"a"}}}`, "{\"code\":\"\xff\\u0000\"}", "[[[[",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e := parse(body)
		if len(e.Codes) > 9 {
			t.Errorf("%d codes", len(e.Codes))
		}
		check := func(name, text string, limit int) {
			if !utf8.ValidString(text) || len(text) > limit || strings.ContainsFunc(text, func(r rune) bool {
				return r < ' ' || r == 0x7f || r >= 0x200B && r <= 0x200F || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0xFEFF
			}) {
				t.Errorf("%s: %q", name, text)
			}
		}
		for _, code := range e.Codes {
			check("code", code, 256)
			if code == "" {
				t.Error("an empty code")
			}
		}
		check("message", e.Message, 4096)
		check("target", e.Target, 2048)
		check("request id", e.RequestID, 128)
		check("client request id", e.ClientRequestID, 128)
		for _, d := range e.Details {
			check("code of a detail", d.Code, 256)
			check("message of a detail", d.Message, 4096)
			check("target of a detail", d.Target, 2048)
			if d == (Detail{}) {
				t.Error("an empty detail")
			}
		}
		// What stands in a wrapper says the same as without it.
		lower := strings.ToLower(string(body))
		if strings.HasPrefix(lower, "{") && !strings.Contains(lower, "error") && !strings.Contains(lower, "info") && !strings.Contains(lower, `\`) {
			wrapped := parse(append([]byte(`{"error":`), body...))
			if !reflect.DeepEqual(saidBy(e), saidBy(wrapped)) {
				t.Errorf("in a wrapper: got %v, want %v", saidBy(wrapped), saidBy(e))
			}
		}
	})
}

// broken is a response that is cut after its text.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestABodyIsReadUpToItsLimitOrItsError(t *testing.T) {
	const text = `{"error":{"code":"a","innerError":{"request-id":"r","client-request-id":"c","date":"2026-11-20T12:00:00"},"message":"m"}}`
	date := time.Date(2026, 11, 20, 11, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		body  io.Reader
		limit int64
		known Head
		want  Body
	}{
		{"whole", strings.NewReader(text), 1000, Head{}, Body{Head{"r", "c", date.Add(time.Hour)}, []string{"a"}, "m", "", nil}},
		{"cut", broken{strings.NewReader(text[:len(text)-5])}, 1000, Head{}, Body{Head{"r", "c", date.Add(time.Hour)}, []string{"a"}, "", "", nil}},
		{"too large", strings.NewReader(text), 30, Head{}, Body{Codes: []string{"a"}}},
		{"the head is known", strings.NewReader(text), 1000, Head{"R", "C", date}, Body{Head{"R", "C", date}, []string{"a"}, "m", "", nil}},
		{"larger than what stays", strings.NewReader(text + strings.Repeat(" ", 2*maxPooledBody)), 1 << 20, Head{}, Body{Head{"r", "c", date.Add(time.Hour)}, []string{"a"}, "m", "", nil}},
		{"nothing of the one before", strings.NewReader("{"), 1000, Head{}, Body{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Read(test.body, test.limit, test.known); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
