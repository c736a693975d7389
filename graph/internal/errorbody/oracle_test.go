package errorbody

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// parseByTokens is Parse with the tokens of encoding/json: slow, and without a line of the reader that it is compared
// with. The two agree on every body, also on one that is no JSON.
func parseByTokens(text []byte) (body Body) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	r := oracle{body: &body, decoder: json.NewDecoder(bytes.NewReader(text))}
	r.decoder.UseNumber()
	r.value(position{})
	for _, level := range r.levels {
		if level.code != "" {
			body.Codes = append(body.Codes, level.code)
		}
		body.Message = cmp.Or(body.Message, level.message)
		body.Target = cmp.Or(body.Target, level.target)
	}
	return body
}

// oracle reads tokens, so that a body that is cut off still says what came before.
type oracle struct {
	body    *Body
	decoder *json.Decoder
	// levels are the error, its inner error and so on. They are combined at the end, since the properties of an error can
	// come after its inner error. Of equal keys the first counts.
	levels [1 + maxInner]struct{ code, message, target string }
}

// value reads an error object, something that holds one, or a text in its place. It reports whether the text goes on.
func (r *oracle) value(at position) bool {
	token, err := r.decoder.Token()
	if err != nil {
		return false
	}
	switch t := token.(type) {
	case json.Delim:
		switch {
		case t == '{':
			return r.object(at)
		case at.listed:
			return r.rest()
		}
		at.listed = true
		return r.first(at)
	case string:
		keep(&r.levels[at.level].message, cleanText(t, maxMessage))
	}
	return true
}

// first reads the first element of an array as the error and skips the others.
func (r *oracle) first(at position) bool {
	if r.decoder.More() && !r.value(at) {
		return false
	}
	return r.rest()
}

func (r *oracle) object(at position) bool {
	for r.decoder.More() {
		key, ok := r.name()
		if !ok {
			return false
		}
		if !r.property(strings.ToLower(key), at) {
			return false
		}
	}
	return r.end()
}

// published are the types of the properties of Graph's error types by their names in small letters, from Graph's
// schema: were the names the reader's own, the oracle would repeat a mistake in them.
var published = sync.OnceValue(func() map[string]string {
	schema, err := os.ReadFile("../../../proto/testdata/schema.tsv")
	if err != nil {
		panic(err)
	}
	types := map[string]string{
		// What the schema does not have: https://learn.microsoft.com/graph/errors, and the items of a delta.
		"error": "wrapper", "info": "wrapper",
		"request-id": "id", "requestid": "id", "client-request-id": "client id", "date": "date",
	}
	for row := range strings.Lines(string(schema)) {
		if column := strings.Fields(row); column[0] == "publicError" || column[0] == "publicInnerError" || column[0] == "publicErrorDetail" {
			types[strings.ToLower(column[2])] = column[4]
		}
	}
	return types
})

func (r *oracle) property(key string, at position) bool {
	level := &r.levels[at.level]
	switch published()[key] {
	case "wrapper":
		if at.level == 0 && !at.wrapped {
			return r.value(position{wrapped: true})
		}
	case "publicInnerError":
		if at.level < maxInner {
			return r.value(position{level: at.level + 1})
		}
	case "Edm.String":
		return r.published(key, &level.code, &level.message, &level.target)
	case "id":
		return r.id(&r.body.RequestID)
	case "client id":
		return r.id(&r.body.ClientRequestID)
	case "date":
		return r.date()
	case "Collection(publicErrorDetail)":
		return r.details()
	}
	return r.skip()
}

// published reads one of the texts of an error or a detail, each with the limit that Error tells.
func (r *oracle) published(key string, code, message, target *string) bool {
	switch key[0] {
	case 'c':
		return r.text(code, 256, cleanText)
	case 'm':
		return r.text(message, 4096, cleanText)
	case 't':
		return r.text(target, 2048, cutText)
	}
	panic("the schema has another text: " + key)
}

// dates are the times that the reader takes: UTC when there is no zone, and with dashes only when there is one.
var dates = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)T(?:(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)?|(\d\d?)-(\d\d)-(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d))$`)

// date reads the time of the error, piece by piece.
func (r *oracle) date() bool {
	var text string
	ok := r.text(&text, 256, cleanText)
	part := dates.FindStringSubmatch(text)
	if part == nil || !r.body.Date.IsZero() {
		return ok
	}
	if part[4] == "" {
		copy(part[4:9], part[9:14])
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(part[i])
		return n
	}
	fraction, _ := strconv.Atoi((part[7] + "000000000")[:9])
	at := time.Date(number(1), time.Month(number(2)), number(3), number(4), number(5), number(6), fraction, time.UTC)
	if at.Format("2006-1-2 15:4:5") != fmt.Sprintf("%04d-%d-%d %02d:%d:%d", number(1), number(2), number(3), number(4), number(5), number(6)) {
		// There is no such day or time: it became another.
		return ok
	}
	if zone := part[8]; len(zone) > 1 {
		hours, _ := strconv.Atoi(zone[:3])
		minutes, _ := strconv.Atoi(zone[:1] + zone[4:])
		at = at.Add(-time.Duration(hours)*time.Hour - time.Duration(minutes)*time.Minute)
	}
	r.body.Date = at
	return ok
}

func (r *oracle) details() bool {
	token, err := r.decoder.Token()
	if err != nil {
		return false
	}
	switch token {
	case json.Delim('['):
	case json.Delim('{'):
		// One detail that should have been in a list.
		detail, ok := r.detail()
		r.keepDetail(detail)
		return ok
	default:
		return true
	}
	for r.decoder.More() {
		token, err := r.decoder.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'):
			detail, ok := r.detail()
			r.keepDetail(detail)
			if !ok {
				return false
			}
		case json.Delim('['):
			if !r.rest() {
				return false
			}
		}
	}
	return r.end()
}

func (r *oracle) keepDetail(d Detail) {
	if d != (Detail{}) && len(r.body.Details) < maxDetails {
		r.body.Details = append(r.body.Details, d)
	}
}

// detail reads a detail whose opening brace was read.
func (r *oracle) detail() (d Detail, ok bool) {
	for r.decoder.More() {
		key, ok := r.name()
		if !ok {
			return d, false
		}
		if key = strings.ToLower(key); published()[key] == "Edm.String" {
			ok = r.published(key, &d.Code, &d.Message, &d.Target)
		} else {
			ok = r.skip()
		}
		if !ok {
			return d, false
		}
	}
	return d, r.end()
}

func (r *oracle) name() (string, bool) {
	token, err := r.decoder.Token()
	name, ok := token.(string)
	return name, err == nil && ok
}

// text reads a value that should be a text. Numbers become texts, anything else nothing.
func (r *oracle) text(into *string, limit int, form func(string, int) string) bool {
	token, err := r.decoder.Token()
	if err != nil {
		return false
	}
	switch t := token.(type) {
	case string:
		keep(into, form(t, limit))
	case json.Number:
		keep(into, form(t.String(), limit))
	case json.Delim:
		return r.rest()
	}
	return true
}

// id reads an id.
func (r *oracle) id(into *string) bool {
	var id string
	ok := r.text(&id, maxCode, cleanText)
	keep(into, CleanID(id))
	return ok
}

// keep keeps what was read first.
func keep(into *string, text string) {
	if *into == "" {
		*into = text
	}
}

func (r *oracle) skip() bool {
	token, err := r.decoder.Token()
	if err != nil {
		return false
	}
	if _, ok := token.(json.Delim); ok {
		return r.rest()
	}
	return true
}

// rest skips to the end of the object or array that was entered.
func (r *oracle) rest() bool {
	for depth := 1; depth > 0; {
		token, err := r.decoder.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return true
}

func (r *oracle) end() bool {
	_, err := r.decoder.Token()
	return err == nil
}

// cutText cuts a text to a number of bytes, at a character.
func cutText(s string, limit int) string {
	if len(s) > limit {
		// The rest of a long text is not held on to.
		s = strings.Clone(s[:limit])
		for len(s) > 0 {
			if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// cleanText cuts a text, and takes control characters and those that are not seen out of it.
func cleanText(s string, limit int) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		if strings.ContainsRune("\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\ufeff", r) || r >= 0x2060 && r < 0x2070 || r>>7 == 0xE0000>>7 {
			return -1
		}
		return r
	}, cutText(s, limit)))
}

// oracleBodies are the beginnings of what the two readers are compared on.
func oracleBodies() []string {
	deep := func(n int, open, end string) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	long := strings.Repeat("x", 5000)
	return []string{
		"", " ", "null", "7", "-0.5e+3", `"text"`, "true", "[]", "{}", "<html>", "\xef\xbb\xbf\xef\xbb\xbf{}", "\xef\xbb\xbf" + `{"error":{"code":"a"}}`,
		`{"error":{"code":"a","message":"m","target":"t","details":[{"code":"d","message":"n","target":"u"},7,[1],{}],"innerError":{"code":"b","request-id":"r","client-request-id":"c","date":"2026-11-20T12:00:00","innerError":{"code":"c"}}}}`,
		`{"error":{"date":"x","date":"2026-11-20T12-00-00Z","date":"2026-11-21T12:00:00Z","requestId":"a b","requestId":"c","request-id":"d"}}`,
		`{"error":{"date":"2026-11-20T12:00:00.1234567"}}`, `{"date":"2026-11-20T12:00:00+01:30"}`, `{"date":"2026-02-30T12:00:00Z"}`, `{"date":"2026-11-20T12-00-00.5-01:30"}`, `{"date":"2026-11-20T12-00-00"}`,
		`[{"error":{"code":1.5,"message":-0,"target":0.1e1}},{"error":{"code":"b"}},[[]],{"a":[{}]}]`,
		`{"\u0065rror":{"C\u006fde":"a","M\u0045SSAGE":"\u00e4\ud83d\ude00\ud83d\u0041\ude00","\u0130nnererror":{"code":"i"}}}`,
		"{\"İnfo\":{\"code\":\"\u200b a\u202eb\ufeff\u00a0\",\"message\":\"\xff\xc3(\x7f\u0085\"}}",
		`{"error":{"code":01}}`, `{"error":{"code":1.}}`, `{"error":{"code":-}}`, `{"error":{"code":1e}}`, `{"error":{"code":1e+9 ,"message":"m"}}`,
		`{"error":{"code":"a",}}`, `{"error":{"code":"a",,"message":"m"}}`, `{,"code":"a"}`, `{"code":"a":"b"}`, `{"code" "a"}`, `{"x":[1,],"code":"a"}`,
		`{"x":[1 2],"code":"a"}`, `{"x":{"y":[}]},"code":"a"}`, `{"x":{"y"},"code":"a"}`, `{"x":{1:2},"code":"a"}`, `{"x":tru,"code":"a"}`, `{"x":nullx,"code":"a"}`,
		`{"code":"\u12g4"}`, `{"code":"\x"}`, `{"code":"a\`, `{"details":{"code":"a","message":"m"},"details":[{"code":"b"}`, `{"innererror":[{"code":"b"},{"code":"c"}],"code":"a"}`,
		`{"x":` + strings.Repeat(`[{"y":`, 300) + "1" + strings.Repeat("}]", 300) + `,"code":"a"}`, deep(300, "[", "]"), deep(300, `{"innererror":`, ""),
		`{"message":"` + long + `","code":"` + long + `","target":"` + long + `","` + long + `":1,"innererror":{"code":"é` + strings.Repeat("é", 5000) + `"}}`,
	}
}

func sameAsOracle(t *testing.T, body []byte) {
	t.Helper()
	before := bytes.Clone(body)
	got, want := parse(body), parseByTokens(body)
	// The same time can be written in several zones.
	got.Date = got.Date.UTC()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%.500q:\ngot  %.500v\nwant %.500v", body, got, want)
	}
	if !bytes.Equal(body, before) {
		t.Errorf("%.500q was changed to %.500q", before, body)
	}
}

func TestParseAgreesWithEncodingJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	const signs = "{}[]:,\"\\ \x00\n0-.eEtu\xc3\xff"
	for _, text := range oracleBodies() {
		body := []byte(text)
		sameAsOracle(t, body)
		for end := range min(len(body), 400) {
			sameAsOracle(t, body[:end])
		}
		for range min(len(body), 400) {
			changed := bytes.Clone(body)
			for range 1 + random.IntN(3) {
				at := random.IntN(min(len(changed), 400))
				switch sign := signs[random.IntN(len(signs))]; random.IntN(3) {
				case 0:
					changed[at] = sign
				case 1:
					changed = slices.Insert(changed, at, sign)
				default:
					if len(changed) > 1 {
						changed = slices.Delete(changed, at, at+1)
					}
				}
			}
			sameAsOracle(t, changed)
		}
	}
}

func TestParseAgreesWithEncodingJSONOnEveryByte(t *testing.T) {
	for c := range 256 {
		for at := range 18 {
			text := []byte(strings.Repeat("x", 18))
			text[at] = byte(c)
			sameAsOracle(t, []byte(`{"message":"`+string(text)+`","code":"a"}`))
		}
	}
}

func FuzzParseAgainstTokens(f *testing.F) {
	for _, body := range oracleBodies() {
		// Long ones take the fuzzer too long to make short.
		if len(body) < 500 {
			f.Add([]byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) { sameAsOracle(t, body) })
}
