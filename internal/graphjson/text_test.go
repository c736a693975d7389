package graphjson

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	tests := []struct {
		name, json, want string
	}{
		{"an empty string is empty", `""`, ""},
		{"null is empty", `null`, ""},
		{"plain text is kept", `"Sam Carter"`, "Sam Carter"},
		{"text longer than a machine word is kept", `"abcdefghijklmnopqrstuvwxyz"`, "abcdefghijklmnopqrstuvwxyz"},
		{"characters beyond ASCII are kept", `"Zoë, 東京, 🗄"`, "Zoë, 東京, 🗄"},
		{"DEL is kept", "\"a\x7fb\"", "a\x7fb"},
		{"short escapes are resolved", `"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t"},
		{"an escape within a long text is resolved", `"abcdefgh\nijklmnop\tqrstuvwx"`, "abcdefgh\nijklmnop\tqrstuvwx"},
		{"an escaped letter is resolved", `"\u0041\u00e9\u6771"`, "Aé東"},
		{"hexadecimal digits may be large or small", `"\u00Fc\u00fC"`, "üü"},
		{"an escaped zero is a zero", `"a\u0000b"`, "a\x00b"},
		{"two surrogates are one character", `"\ud83d\uDDC4"`, "🗄"},
		{"a first surrogate alone is replaced", `"\ud83d"`, "\uFFFD"},
		{"a second surrogate alone is replaced", `"\udDC4x"`, "\uFFFDx"},
		{"surrogates in the wrong order are both replaced", `"\udDC4\ud83d"`, "\uFFFD\uFFFD"},
		{"a first surrogate before a letter is replaced", `"\ud83dA"`, "\uFFFDA"},
		{"a first surrogate before another escape is replaced", `"\ud83d\n"`, "\uFFFD\n"},
		{"a first surrogate before an escaped letter is replaced", `"\ud83d\u0041"`, "\uFFFDA"},
		{"after two first surrogates, the second one is paired", `"\ud83d\ud83d\uddc4"`, "\uFFFD🗄"},
		{"text after an escape may be beyond ASCII", `"\tZoë"`, "\tZoë"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &Cursor{data: []byte(test.json)}
			if got := c.Text(); got != test.want || c.end() != nil {
				t.Errorf("got %q (%v), want %q", got, c.end(), test.want)
			}
			skipped := &Cursor{data: []byte(test.json)}
			if skipped.Skip(); skipped.end() != nil {
				t.Errorf("skipped: %v", skipped.end())
			}
			if string(skipped.data) != test.json {
				t.Errorf("skipping changed the text to %s", skipped.data)
			}
		})
	}
}

func TestMalformedText(t *testing.T) {
	for name, text := range map[string]string{
		"a string without an end":                  `"abc`,
		"a string that ends in a backslash":        `"abc\`,
		"a string whose end is escaped":            `"abc\"`,
		"an unknown escape":                        `"\x41"`,
		"an escaped apostrophe":                    `"\'"`,
		"a capital escape":                         `"\N"`,
		"an escape with three digits":              `"\u041"`,
		"an escape with a letter that is no digit": `"\u004g"`,
		"an escape that is cut off":                `"\u00`,
		"a control character":                      "\"a\x01b\"",
		"a new line":                               "\"a\nb\"",
		"a new line after an escape":               "\"\\ta\nb\"",
		"a zero":                                   "\"a\x00b\"",
		"a byte that is not UTF-8":                 "\"a\xffb\"",
		"a byte that is not UTF-8 after an escape": "\"\\t\xff\"",
		"a character that is cut off":              "\"\xe6\x9d\"",
		"a surrogate in UTF-8":                     "\"\xed\xa0\x80\"",
		"a zero in two bytes":                      "\"\xc0\x80\"",
		"a character that an escape cuts in two":   "\"\xe6\\n\x9d\xb1\"",
		"a character beyond Unicode":               "\"\xf4\x90\x80\x80\"",
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			read := &Cursor{data: []byte(text)}
			if got := read.Text(); got != "" {
				t.Errorf("%q was read as %q", text, got)
			}
			wantCause(t, read, CauseSyntax)
			skipped := &Cursor{data: []byte(text)}
			skipped.Skip()
			wantCause(t, skipped, CauseSyntax)
		})
	}
}

func TestTextOfWrongType(t *testing.T) {
	for _, text := range []string{`5`, `true`, `{"a": 1}`, `["a"]`} {
		c := &Cursor{data: []byte(text)}
		if got := c.Text(); got != "" {
			t.Errorf("%s was read as %q", text, got)
		}
		wantUnread(t, c)
	}
}

func TestPlainStopsAtEveryByteThatEndsARun(t *testing.T) {
	for b := range 256 {
		ends := b < 0x20 || b >= 0x80 || b == '"' || b == '\\'
		for at := range 20 {
			data := []byte(strings.Repeat("~", 20))
			data[at] = byte(b)
			want := len(data)
			if ends {
				want = at
			}
			if got := plain(data, 0); got != want {
				t.Errorf("byte %#x at %d: run ends at %d, want %d", b, at, got, want)
			}
		}
	}
}

func TestAppendText(t *testing.T) {
	for want, text := range map[string]string{
		`""`:                          "",
		`"Zoë, 東京, 🗄"`:                "Zoë, 東京, 🗄",
		`"\"\\/"`:                     `"\/`,
		`"\u0000\u000a\u001f\u007f "`: "\x00\n\x1f\x7f ",
		"\"a\uFFFDb\uFFFD\"":          "a\xffb\xe6",
		`"<&>"`:                       "<&>",
	} {
		if got := string(AppendText(nil, text)); got != want {
			t.Errorf("%q was written as %s, want %s", text, got, want)
		}
	}
}

// FuzzText writes any string, lets the standard library read it, and reads it again.
func FuzzText(f *testing.F) {
	for _, text := range []string{"", "Zoë 🗄", "\x00\"\\/\x7f\xff", "a\u2028b", strings.Repeat("x", 17) + "\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		written := AppendText(nil, text)
		// Each byte that is not UTF-8 is replaced on its own.
		want := string([]rune(text))
		var standard string
		if err := json.Unmarshal(written, &standard); err != nil || standard != want {
			t.Fatalf("encoding/json reads %s as %q (%v), want %q", written, standard, err, want)
		}
		c := &Cursor{data: written}
		if got := c.Text(); got != want || c.end() != nil {
			t.Fatalf("%s was read as %q (%v), want %q", written, got, c.end(), want)
		}
		// encoding/json writes other escapes.
		marshalled, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		c = &Cursor{data: marshalled}
		if got := c.Text(); got != want || c.end() != nil {
			t.Fatalf("what encoding/json wrote was read as %q (%v), want %q", got, c.end(), want)
		}
	})
}
