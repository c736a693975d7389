package apierror

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// pieces are what texts with secrets, and texts that look like them, are made of.
var pieces = []string{
	"eyJ", "eyj", "EYJ", "ey", "J", ".", "-", "_", "a", "0", "é", "\u212a", "ſ", "\xff", "\x00",
	"%", "%20", "%3D", "%3d", "%2", "=", `"`, ":", ` : `,
	"bearer", "Bearer", "BEARER", "bEaReR", "beare", "xbearer", "bearer_", " ", "\t", "\n", "'", "<", ">", "&", ",", ";",
	"token", "ToKen", "to\u212aen", "secret", "ſecret", "SECRET", "assertion", "password", "sig", "xsig", "$skiptoken",
}

// scrub looks for what secrets begin with before it asks the expression. It must never take a text with one for a text
// without.
func TestScrubIsWhatTheExpressionReplaces(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for n := range 200_000 {
		var b strings.Builder
		for range 1 + random.IntN(7) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		if sameScrub(t, b.String()) {
			found++
		}
		if t.Failed() {
			t.Fatalf("text %d", n)
		}
	}
	if found < 2_000 {
		t.Errorf("only %d texts had a secret", found)
	}
}

func FuzzScrub(f *testing.F) {
	for _, text := range []string{"Bearer abc", "eyJhbGciOi.eyJ.x", "token=1", `"secret" : "s"`, "beareR%20x", "sig%3Dx", "nothing"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { sameScrub(t, text) })
}

// sameScrub compares scrub with the expression, and reports whether it replaces something.
func sameScrub(t *testing.T, text string) (replaced bool) {
	want := secrets.ReplaceAllString(text, "…")
	if got := scrub(text); got != want {
		t.Errorf("%q becomes %q, want %q", text, got, want)
	}
	return want != text
}
