package pagetoken

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

var (
	binding = []byte("tenant, method and arguments")
	keyA    = bytes.Repeat([]byte{'a'}, 32)
	keyB    = bytes.Repeat([]byte{'b'}, 32)
)

const (
	nextHost  = "https://graph.example/v1.0"
	firstPage = "/solutions/backupRestore/protectionPolicies"
	pageOne   = firstPage
	pageTwo   = firstPage + "?$skiptoken=2"
	pageThree = firstPage + "?$skiptoken=3"
)

func newSealer(t *testing.T, keys ...[]byte) *Sealer {
	t.Helper()
	sealer, err := New(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func nextToken(t *testing.T, sealer *Sealer, page Page, read, next string) string {
	t.Helper()
	token, err := sealer.Next(page, read, next, binding)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func openToken(t *testing.T, sealer *Sealer, token string) Page {
	t.Helper()
	page, err := sealer.Open(token, binding)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestTokenLeadsToItsPage(t *testing.T) {
	for _, keys := range [][][]byte{nil, {keyA}, {keyA, keyB}} {
		sealer := newSealer(t, keys...)
		page := openToken(t, sealer, nextToken(t, sealer, Page{}, pageOne, pageTwo))
		if page.Target != pageTwo || page.number != 1 || page.before != hashTarget(pageOne) {
			t.Errorf("got %+v", page)
		}
		page = openToken(t, sealer, nextToken(t, sealer, page, pageTwo, pageThree))
		if page.Target != pageThree || page.number != 2 || page.before != hashTarget(pageTwo) {
			t.Errorf("got %+v", page)
		}
		longest := strings.Repeat("x", 16<<10)
		if page = openToken(t, sealer, nextToken(t, sealer, page, pageThree, longest)); page.Target != longest {
			t.Error("the longest target is lost")
		}
	}
}

func TestTokenRevealsNothing(t *testing.T) {
	sealer := newSealer(t)
	one, two := nextToken(t, sealer, Page{}, pageOne, pageTwo), nextToken(t, sealer, Page{}, pageOne, pageTwo)
	if one == two {
		t.Error("two sealer of the same page are equal")
	}
	sealed, err := base64.RawURLEncoding.DecodeString(one)
	if err != nil {
		t.Fatal(err)
	}
	for start := range len(pageTwo) - 3 {
		if part := []byte(pageTwo[start : start+4]); bytes.Contains(sealed, part) || strings.Contains(one, string(part)) {
			t.Errorf("the token shows %q", part)
		}
	}
	if bytes.Contains(sealed, binding) {
		t.Error("the token shows what it is bound to")
	}
}

func TestOnlyOwnTokensOpen(t *testing.T) {
	sealer := newSealer(t, keyA)
	token := nextToken(t, sealer, Page{}, pageOne, pageTwo)
	foreign := nextToken(t, newSealer(t, keyB), Page{}, pageOne, pageTwo)
	short := base64.RawURLEncoding.EncodeToString((*sealer.aeads.Load())[0].Seal([]byte{version}, nil, []byte("11 bytes..."), binding))
	for _, test := range []struct {
		name, token string
		binding     []byte
	}{
		{"empty", "", binding},
		{"a nextLink", nextHost + "/v1.0" + pageTwo, binding},
		{"a target", pageTwo, binding},
		{"only a version", "AQ", binding},
		{"of another key", foreign, binding},
		{"for another list", token, []byte("tenant, method and other arguments")},
		{"for no list", token, nil},
		{"with padding", token + "=", binding},
		{"with a character more", token + "A", binding},
		{"with four characters more", token + "AAAA", binding},
		{"twice", token + token, binding},
		{"with a space", token + " ", binding},
		{"in base64 of another alphabet", "+/" + token[2:], binding},
		{"too long", strings.Repeat("A", maxToken+1), binding},
		{"as long as allowed", strings.Repeat("AQEB", maxToken/4), binding},
		{"sealed but too short to be a page", short, binding},
	} {
		t.Run(test.name, func(t *testing.T) {
			if page, err := sealer.Open(test.token, test.binding); !errors.Is(err, ErrInvalid) || page != (Page{}) {
				t.Errorf("got %+v and %v", page, err)
			}
		})
	}
}

func TestTamperedTokenIsRefused(t *testing.T) {
	sealer := newSealer(t, keyA)
	token := nextToken(t, sealer, Page{}, pageOne, pageTwo)
	for end := range len(token) {
		if _, err := sealer.Open(token[:end], binding); !errors.Is(err, ErrInvalid) {
			t.Errorf("cut at %d: got %v", end, err)
		}
	}
	for at := range len(token) {
		for c := range 256 {
			if changed := token[:at] + string([]byte{byte(c)}) + token[at+1:]; changed != token {
				if _, err := sealer.Open(changed, binding); !errors.Is(err, ErrInvalid) {
					t.Errorf("character %d changed to %q: got %v", at, byte(c), err)
				}
			}
		}
	}
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for at := range sealed {
		for bit := range 8 {
			sealed[at] ^= 1 << bit
			if _, err := sealer.Open(base64.RawURLEncoding.EncodeToString(sealed), binding); !errors.Is(err, ErrInvalid) {
				t.Errorf("bit %d of byte %d flipped: got %v", bit, at, err)
			}
			sealed[at] ^= 1 << bit
		}
	}
	if _, err := sealer.Open(base64.RawURLEncoding.EncodeToString(sealed), binding); err != nil {
		t.Errorf("untouched: %v", err)
	}
}

func TestKeysCanBeReplaced(t *testing.T) {
	old, both, fresh := newSealer(t, keyA), newSealer(t, keyB, keyA), newSealer(t, keyB)
	before := nextToken(t, old, Page{}, pageOne, pageTwo)
	if page := openToken(t, both, before); page.Target != pageTwo {
		t.Errorf("got %+v", page)
	}
	after := nextToken(t, both, Page{}, pageOne, pageTwo)
	if page := openToken(t, fresh, after); page.Target != pageTwo {
		t.Errorf("got %+v: the first key does not seal", page)
	}
	for name, open := range map[string]func() (Page, error){
		"the old key opens what the new one sealed": func() (Page, error) { return old.Open(after, binding) },
		"a key that is gone still opens":            func() (Page, error) { return fresh.Open(before, binding) },
		"two random keys are the same": func() (Page, error) {
			return newSealer(t).Open(nextToken(t, newSealer(t), Page{}, pageOne, pageTwo), binding)
		},
	} {
		if _, err := open(); !errors.Is(err, ErrInvalid) {
			t.Error(name)
		}
	}
}

// Other keys in the same sealer are like another sealer, and wrong ones change nothing.
func TestSealerGetsOtherKeys(t *testing.T) {
	sealer := newSealer(t, keyA)
	before := nextToken(t, sealer, Page{}, pageOne, pageTwo)
	for _, wrong := range [][][]byte{nil, {keyB, keyA[1:]}} {
		if err := sealer.Replace(wrong...); err == nil {
			t.Errorf("%d keys were taken", len(wrong))
		}
		openToken(t, sealer, before)
	}
	if err := sealer.Replace(keyB); err != nil {
		t.Fatal(err)
	}
	if _, err := sealer.Open(before, binding); !errors.Is(err, ErrInvalid) {
		t.Errorf("a key that is gone still opens: %v", err)
	}
	openToken(t, newSealer(t, keyB), nextToken(t, sealer, Page{}, pageOne, pageTwo))
}

func TestKeysHave32Bytes(t *testing.T) {
	for _, size := range []int{0, 1, 16, 24, 31, 33, 64} {
		if _, err := New(make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes was taken", size)
		}
		if _, err := New(keyA, make([]byte, size)); err == nil {
			t.Errorf("a second key of %d bytes was taken", size)
		}
	}
}

func TestListEnds(t *testing.T) {
	sealer := newSealer(t)
	second := Page{Target: pageTwo, number: 1, before: hashTarget(pageOne)}
	for _, test := range []struct {
		name       string
		page       Page
		read, next string
		want       error
	}{
		{"it goes on", second, pageTwo, pageThree, nil},
		{"a first page that leads to itself", Page{}, pageOne, pageOne, ErrLoop},
		{"a later page that leads to itself", second, pageTwo, pageTwo, ErrLoop},
		{"a loop of two", second, pageTwo, pageOne, ErrLoop},
		{"page 99,999 has a next one", Page{Target: pageTwo, number: maxPages - 2}, pageTwo, pageThree, nil},
		{"page 100,000 has none", Page{Target: pageTwo, number: maxPages - 1}, pageTwo, pageThree, ErrLoop},
	} {
		t.Run(test.name, func(t *testing.T) {
			token, err := sealer.Next(test.page, test.read, test.next, binding)
			if !errors.Is(err, test.want) || (token == "") != (err != nil) {
				t.Errorf("got %q and %v, want %v", token, err, test.want)
			}
		})
	}
}

func TestLongLoopEndsAt100000Pages(t *testing.T) {
	sealer := newSealer(t)
	loop := []string{pageOne, pageTwo, pageThree}
	// The first 99,000 pages are taken as read.
	const rest = 1000
	page := Page{Target: pageOne, number: maxPages - rest}
	for n := range rest {
		token, err := sealer.Next(page, loop[n%3], loop[(n+1)%3], binding)
		if err != nil {
			if n != rest-1 || !errors.Is(err, ErrLoop) {
				t.Errorf("page %d: %v", maxPages-rest+n+1, err)
			}
			return
		}
		page = openToken(t, sealer, token)
	}
	t.Error("the list has no end")
}

func FuzzPageToken(f *testing.F) {
	sealer, err := New(keyA)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("", pageTwo)
	f.Add("AQ", "")
	f.Fuzz(func(t *testing.T, foreign, target string) {
		if page, err := sealer.Open(foreign, binding); err == nil {
			t.Errorf("%q was opened as %+v", foreign, page)
		}
		if target == pageOne || len(target) > 16<<10 {
			return
		}
		if page := openToken(t, sealer, nextToken(t, sealer, Page{}, pageOne, target)); page.Target != target {
			t.Errorf("got %q, want %q", page.Target, target)
		}
	})
}
