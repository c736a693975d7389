package plaintext_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/m365backup/backupstorage/internal/plaintext"
)

// Every byte, at every place of a text, with plain ones around it.
func TestEndIsTheFirstOddByte(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			text := bytes.Repeat([]byte("a"), 20)
			text[at] = byte(c)
			want := len(text)
			if !plaintext.Is(byte(c)) {
				want = at
			}
			for i := range at + 1 {
				if got := plaintext.End(text, i); got != want {
					t.Fatalf("%q from %d: the run ends at %d, want %d", text, i, got, want)
				}
			}
		}
	}
	if got := plaintext.End(nil, 0); got != 0 {
		t.Errorf("the run of nothing ends at %d", got)
	}
}

// Two odd bytes: the first one counts, whatever follows.
func TestEndIsTheFirstOfTwo(t *testing.T) {
	for one := range 256 {
		for other := range 256 {
			text := []byte{'a', byte(one), byte(other), 'b', 'c', 'd', 'e', 'f', 'g'}
			want := 1
			for want < len(text) && plaintext.Is(text[want]) {
				want++
			}
			if got := plaintext.End(text, 0); got != want {
				t.Fatalf("%q: the run ends at %d, want %d", text, got, want)
			}
		}
	}
}

func TestPlainBytesStandForThemselves(t *testing.T) {
	for c := range 256 {
		text, err := json.Marshal(string(rune(c)))
		if err != nil {
			t.Fatal(err)
		}
		// encoding/json escapes what HTML has a use for, too.
		stands := c < 128 && unicode.IsPrint(rune(c)) && (len(text) == 3 || strings.ContainsRune("<>&", rune(c)))
		if got := plaintext.Is(byte(c)); got != stands {
			t.Errorf("%q is plain: %t, and in JSON %s", rune(c), got, text)
		}
	}
}
