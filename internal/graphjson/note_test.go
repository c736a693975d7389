package graphjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// readFlags reads an object whose values of any depth should all be booleans, and notes the others.
func readFlags(c *Cursor) {
	switch c.peek() {
	case '{':
		for more := c.ObjectStart(); more; more = c.ObjectNext() {
			readFlags(c)
		}
	case '[':
		for more := c.arrayStart(); more; more = c.arrayNext(0) {
			c.peek()
			readFlags(c)
		}
	case '"':
		at := c.pos
		if text := c.readText(); len(text) > 0 {
			c.unread(at, "a boolean")
		}
	default:
		c.Bool()
	}
}

func TestNotesNameTheProperty(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`{"a":7}`, "a"},
		{` { "a" : true , "b" : { "c" : [ true , 7 ] } } `, "b.c[1]"},
		{`{"value":[{"x":true},{"x":true,"y":7},{"y":false}]}`, "value[1].y"},
		{`{"a":[[],[[true],[7]]]}`, "a[1][1][0]"},
		{`{"a":{},"b":[],"c":{"d":{}},"e":7}`, "e"},
		{`{"a":-1.5e3}`, "a"},
		{`{"\u0061b\n":7}`, "ab\n"},
		// Strings whose escapes were resolved in place hold what ends other strings.
		{`{"\"}":true,"b":7}`, "b"},
		{`{"x":["",null,"\"\\]}"],"b":true}`, "x[2]"},
		{`{"x":"\"\\\",}","b":[]}`, "x"},
		{`{"\u0001\"\u00ff\\":{"\\":[true,7]}}`, "\x01\"ÿ\\.\\[1]"},
	} {
		c := &Cursor{data: []byte(test.text)}
		readFlags(c)
		wantCause(t, c, "")
		if got := c.resolve(c.data); len(got.Unread) != 1 || got.Unread[0].Property != test.want {
			t.Errorf("%s: got %+v, want %q", test.text, got.Unread, test.want)
		}
	}
}

func TestNotesOfOneKindAreBounded(t *testing.T) {
	c := &Cursor{data: []byte(`[` + strings.Repeat(`7,`, 100) + `8]`)}
	readFlags(c)
	wantCause(t, c, "")
	got := c.resolve(c.data)
	if got.UnreadCount != 101 || len(got.Unread) != maxNotes || got.Unread[7].Property != "[7]" {
		t.Errorf("got %d of %d: %+v", len(got.Unread), got.UnreadCount, got.Unread)
	}
}

// FuzzPath compares the paths of all values that are no booleans with those that the standard library gives.
func FuzzPath(f *testing.F) {
	f.Add([]byte(`{"value":[{"a":7,"b":"x"},[null,{"\"":"\\"}]],"c":{"d":"é\n"}}`))
	f.Add([]byte(`["\u0000\u0001\"",[[7]]," "]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var want []string
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		if !json.Valid(text) || !pathsOf(decoder, "", &want) {
			return
		}
		c := &Cursor{data: append([]byte(nil), text...)}
		readFlags(c)
		if c.end() != nil {
			return
		}
		for i, note := range c.unreads {
			if got := path(c.data, note.at); got != want[i] {
				t.Errorf("%q: got %q, want %q", text, got, want[i])
			}
		}
	})
}

// pathsOf appends the paths of the values that readFlags notes, in their order. It returns false for a text with bytes
// that the standard library replaces.
func pathsOf(d *json.Decoder, at string, paths *[]string) bool {
	token, err := d.Token()
	if err != nil {
		return false
	}
	switch v := token.(type) {
	case json.Delim:
		for i := 0; d.More(); i++ {
			next := fmt.Sprintf("%s[%d]", at, i)
			if v == '{' {
				name, err := d.Token()
				if err != nil || strings.ContainsRune(name.(string), '\uFFFD') {
					return false
				}
				next = at + "." + name.(string)
			}
			if !pathsOf(d, next, paths) {
				return false
			}
		}
		_, err := d.Token()
		return err == nil
	case string:
		if v != "" {
			*paths = append(*paths, strings.TrimPrefix(at, "."))
		}
	case float64:
		*paths = append(*paths, strings.TrimPrefix(at, "."))
	}
	return true
}
