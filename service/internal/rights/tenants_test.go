package rights

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// A GUID with another byte at any place is none, unless that is a digit too.
func TestWhatIsNoGUID(t *testing.T) {
	const good = "0f1E2d3C-4b5A-6978-8796-a5B4c3D2e1F0"
	want, err := hex.DecodeString(strings.ReplaceAll(good, "-", ""))
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := parseGUID([]byte(good)); !ok || !bytes.Equal(id[:], want) {
		t.Errorf("%s is %x, %t", good, id, ok)
	}
	for at := range len(good) {
		for c := range 256 {
			text := []byte(good)
			text[at] = byte(c)
			dash := good[at] == '-'
			allowed := dash && c == '-' || !dash && strings.ContainsRune("0123456789abcdefABCDEF", rune(c))
			if _, ok := parseGUID(text); ok != allowed {
				t.Errorf("%q is a GUID: %t", text, ok)
			}
		}
	}
	for _, text := range []string{"", good[:35], good + "0", strings.Repeat("-", 36)} {
		if _, ok := parseGUID([]byte(text)); ok {
			t.Errorf("%q is a GUID", text)
		}
	}
}
