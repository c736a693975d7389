package graphjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// wantUnread checks that the text is JSON whose only value could not be read.
func wantUnread(t *testing.T, c *Cursor) {
	t.Helper()
	wantCause(t, c, "")
	if got := c.resolve(c.data); got.UnreadCount != 1 || got.Unread[0].Property != "" || got.Unread[0].Expected == "" {
		t.Errorf("%.60q: noted %+v, want one value that could not be read", c.data, got)
	}
}

// wantCause checks the error at the end of a text. An empty cause means no error.
func wantCause(t *testing.T, c *Cursor, want Cause) {
	t.Helper()
	err := c.end()
	if want == "" {
		if err != nil {
			t.Errorf("%q: %v", c.data, err)
		}
		return
	}
	if failed, ok := errors.AsType[*Error](err); !ok {
		t.Errorf("%.60q: no error, want the cause %s", c.data, want)
	} else if failed.Cause != want {
		t.Errorf("%.60q: %v, want the cause %s", c.data, err, want)
	} else if failed.Offset < 0 || failed.Offset > len(c.data) {
		t.Errorf("%.60q: offset %d is outside the text", c.data, failed.Offset)
	}
}

func TestSkip(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, ` [ ] `, `{"a":1}`, `{"a":{"b":[1,"x",null,true,false,{}]},"c":[[],[[]]]}`, "\t\r\n 5 \n", `[1,2]`,
		`{"a" : 1 , "b" : 2}`, `-0.5e-7`, `""`, `{"\u0061":1}`, `{"":1}`, ``, ` `, `{`, `}`, `[`, `]`, `{]`, `[}`, `{"a"}`,
		`{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `{a:1}`, `{'a':1}`, `[1 2]`, `{"a":1 "b":2}`, `1 2`, `{}{}`, `nul`,
		`nulll`, "\v1", "\u00a01", "\ufeff{}", `// x`, `[1,//x` + "\n2]", `{"a":1}x`, `:`, `{"a"::1}`, `{1:1}`, `"a" "b"`,
	} {
		c := &Cursor{data: []byte(text)}
		c.Skip()
		if err := c.end(); (err == nil) != json.Valid([]byte(text)) {
			t.Errorf("%q: %v, but encoding/json says %v", text, err, json.Valid([]byte(text)))
		}
	}
}

func TestSyntaxErrorHidesOthers(t *testing.T) {
	c := &Cursor{data: []byte(`[5, {"a" 1}]`)}
	for more := c.arrayStart(); more; more = c.arrayNext(0) {
		c.Text()
	}
	wantCause(t, c, CauseSyntax)
}

func TestNotesDoNotQuoteTheText(t *testing.T) {
	c := &Cursor{data: []byte(`["confidential", 5]`)}
	for more := c.arrayStart(); more; more = c.arrayNext(0) {
		c.Bool()
	}
	wantCause(t, c, "")
	got := fmt.Sprintf("%+v", c.resolve(c.data).Unread)
	if want := "[{Property:[0] Expected:a boolean} {Property:[1] Expected:a boolean}]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDepth(t *testing.T) {
	nested := func(depth int, open, innermost, end string) []byte {
		return []byte(strings.Repeat(open, depth) + innermost + strings.Repeat(end, depth))
	}
	for name, parts := range map[string][3]string{
		"arrays": {`[`, ``, `]`}, "objects": {`{"a":`, `1`, `}`},
	} {
		t.Run("100 nested "+name+" are read", func(t *testing.T) {
			c := &Cursor{data: nested(100, parts[0], parts[1], parts[2])}
			c.Skip()
			wantCause(t, c, "")
		})
		t.Run("101 nested "+name+" are refused", func(t *testing.T) {
			c := &Cursor{data: nested(101, parts[0], parts[1], parts[2])}
			c.Skip()
			wantCause(t, c, CauseSyntax)
		})
		t.Run("a million nested "+name+" cost no stack", func(t *testing.T) {
			c := &Cursor{data: nested(1_000_000, parts[0], parts[1], parts[2])}
			c.Skip()
			wantCause(t, c, CauseSyntax)
		})
	}
	t.Run("neighbours are not nested", func(t *testing.T) {
		c := &Cursor{data: []byte(`[` + strings.Repeat(`{},[],`, 200) + `{"a":[{}]}]`)}
		c.Skip()
		wantCause(t, c, "")
	})
}

func TestElements(t *testing.T) {
	read := func(text string) (int, *Cursor) {
		c := &Cursor{data: []byte(text)}
		n := 0
		for more := c.arrayStart(); more; more = c.arrayNext(n) {
			c.Skip()
			n++
		}
		return n, c
	}
	list := func(n int, tail string) string { return `[` + strings.Repeat(`0,`, n-1) + `0` + tail }
	t.Run("100,000 elements are read", func(t *testing.T) {
		n, c := read(list(100_000, `]`))
		wantCause(t, c, "")
		if n != 100_000 {
			t.Errorf("%d elements were read", n)
		}
	})
	for _, tail := range []string{`]`, ` , [{}] ]`, `,1,2,3]`} {
		t.Run("elements beyond 100,000 are refused, also before "+tail, func(t *testing.T) {
			n, c := read(list(100_001, tail))
			wantCause(t, c, CauseTooLarge)
			if n != 100_000 {
				t.Errorf("%d elements were read", n)
			}
		})
	}
	for _, tail := range []string{``, `,]`, ` 1]`, `}`, `,{"a"}]`} {
		t.Run("elements beyond 100,000 must be JSON, also before "+tail, func(t *testing.T) {
			_, c := read(list(100_001, tail))
			wantCause(t, c, CauseSyntax)
		})
	}
}

func TestRaw(t *testing.T) {
	c := &Cursor{data: []byte(`[ {"code" : "\u0041", "details": []} , 5]`)}
	var got []string
	for more := c.arrayStart(); more; more = c.arrayNext(0) {
		got = append(got, string(c.raw()))
	}
	wantCause(t, c, "")
	if len(got) != 2 || got[0] != `{"code" : "\u0041", "details": []}` || got[1] != `5` {
		t.Errorf("got %q", got)
	}
}

func TestPresence(t *testing.T) {
	for text, want := range map[string]bool{
		`null`: false, `""`: false, `{"reason":"changed"}`: true, `{}`: true, `false`: true, `0`: true, `"deleted"`: true,
	} {
		c := &Cursor{data: []byte(text)}
		if got := c.Presence(); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		wantCause(t, c, "")
	}
}

func TestNames(t *testing.T) {
	table := []string{"unknownFutureValue", "active", "completed"}
	for name, want := range map[string]int{
		"active": 1, "Active": 1, "COMPLETED": 2, "activ": -1, "": -1, "actives": -1, "unknownfuturevalue": 0, "ac\u017five": -1,
	} {
		if got := FoldIndex([]byte(name), table); got != want {
			t.Errorf("%q is at %d, want %d", name, got, want)
		}
	}
	for text, want := range map[string]string{
		"#microsoft.graph.siteProtectionUnit": "siteProtectionUnit", "microsoft.graph.siteProtectionUnit": "siteProtectionUnit",
		"#siteProtectionUnit": "siteProtectionUnit", "siteProtectionUnit": "siteProtectionUnit", "": "", "#": "",
		"https://graph.microsoft.com/v1.0/$metadata#site": "site",
	} {
		if got := typeName(text); got != want {
			t.Errorf("type of %q is %q, want %q", text, got, want)
		}
	}
	for name, want := range map[string]bool{
		"siteProtectionUnit": true, "SiteProtectionUnit": true, "site": true, "sit": false, "": false, "mailbox": false,
	} {
		if got := HasPrefixFold(name, "site"); got != want {
			t.Errorf("%q begins with site: %v, want %v", name, got, want)
		}
	}
}

func TestCutName(t *testing.T) {
	list, got := []byte("manual, dynamicRule,,none"), []string(nil)
	for len(list) > 0 {
		var name []byte
		name, list = CutName(list)
		got = append(got, string(name))
	}
	if strings.Join(got, "|") != "manual|dynamicRule||none" {
		t.Errorf("got %q", got)
	}
}
