package graph

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
	pageOne   = nextPath
	pageTwo   = nextPath + "?$skiptoken=2"
	pageThree = nextPath + "?$skiptoken=3"
)

func pageTokens(t *testing.T, keys ...[]byte) *PageTokens {
	t.Helper()
	tokens, err := NewPageTokens(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func nextToken(t *testing.T, tokens *PageTokens, page Page, read, next string) string {
	t.Helper()
	token, err := tokens.Next(page, read, next, binding)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func openToken(t *testing.T, tokens *PageTokens, token string) Page {
	t.Helper()
	page, err := tokens.Open(token, binding)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestAPageTokenLeadsToItsPage(t *testing.T) {
	for _, keys := range [][][]byte{nil, {keyA}, {keyA, keyB}} {
		tokens := pageTokens(t, keys...)
		page := openToken(t, tokens, nextToken(t, tokens, Page{}, pageOne, pageTwo))
		if page.Target != pageTwo || page.number != 1 || page.before != hashTarget(pageOne) {
			t.Errorf("got %+v", page)
		}
		page = openToken(t, tokens, nextToken(t, tokens, page, pageTwo, pageThree))
		if page.Target != pageThree || page.number != 2 || page.before != hashTarget(pageTwo) {
			t.Errorf("got %+v", page)
		}
		longest := strings.Repeat("x", maxNextLink)
		if page = openToken(t, tokens, nextToken(t, tokens, page, pageThree, longest)); page.Target != longest {
			t.Error("the longest target is lost")
		}
	}
}

func TestAPageTokenTellsNothing(t *testing.T) {
	tokens := pageTokens(t)
	one, two := nextToken(t, tokens, Page{}, pageOne, pageTwo), nextToken(t, tokens, Page{}, pageOne, pageTwo)
	if one == two {
		t.Error("two tokens of the same page are equal")
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
	if strings.Contains(string(sealed), string(binding)) {
		t.Error("the token shows what it is bound to")
	}
}

func TestOnlyOwnPageTokensAreOpened(t *testing.T) {
	tokens := pageTokens(t, keyA)
	token := nextToken(t, tokens, Page{}, pageOne, pageTwo)
	foreign := nextToken(t, pageTokens(t, keyB), Page{}, pageOne, pageTwo)
	short := base64.RawURLEncoding.EncodeToString(tokens.aeads[0].Seal([]byte{tokenVersion}, nil, []byte("11 bytes..."), binding))
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
			if page, err := tokens.Open(test.token, test.binding); !errors.Is(err, ErrPageToken) || page != (Page{}) {
				t.Errorf("got %+v and %v", page, err)
			}
		})
	}
}

func TestAPageTokenThatWasTamperedWithIsRefused(t *testing.T) {
	tokens := pageTokens(t, keyA)
	token := nextToken(t, tokens, Page{}, pageOne, pageTwo)
	for end := range len(token) {
		if _, err := tokens.Open(token[:end], binding); !errors.Is(err, ErrPageToken) {
			t.Errorf("cut at %d: got %v", end, err)
		}
	}
	for at := range len(token) {
		for c := range 256 {
			if changed := token[:at] + string([]byte{byte(c)}) + token[at+1:]; changed != token {
				if _, err := tokens.Open(changed, binding); !errors.Is(err, ErrPageToken) {
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
			if _, err := tokens.Open(base64.RawURLEncoding.EncodeToString(sealed), binding); !errors.Is(err, ErrPageToken) {
				t.Errorf("bit %d of byte %d flipped: got %v", bit, at, err)
			}
			sealed[at] ^= 1 << bit
		}
	}
	if _, err := tokens.Open(base64.RawURLEncoding.EncodeToString(sealed), binding); err != nil {
		t.Errorf("untouched: %v", err)
	}
}

func TestKeysCanBeChangedWhileListsAreUnderWay(t *testing.T) {
	old, both, fresh := pageTokens(t, keyA), pageTokens(t, keyB, keyA), pageTokens(t, keyB)
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
			return pageTokens(t).Open(nextToken(t, pageTokens(t), Page{}, pageOne, pageTwo), binding)
		},
	} {
		if _, err := open(); !errors.Is(err, ErrPageToken) {
			t.Error(name)
		}
	}
}

func TestKeysHave32Bytes(t *testing.T) {
	for _, size := range []int{0, 1, 16, 24, 31, 33, 64} {
		if _, err := NewPageTokens(make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes was taken", size)
		}
		if _, err := NewPageTokens(keyA, make([]byte, size)); err == nil {
			t.Errorf("a second key of %d bytes was taken", size)
		}
	}
}

func TestAListEnds(t *testing.T) {
	tokens := pageTokens(t)
	second := Page{Target: pageTwo, number: 1, before: hashTarget(pageOne)}
	for _, test := range []struct {
		name       string
		page       Page
		read, next string
		want       error
	}{
		{"it goes on", second, pageTwo, pageThree, nil},
		{"a first page that leads to itself", Page{}, pageOne, pageOne, ErrPageLoop},
		{"a later page that leads to itself", second, pageTwo, pageTwo, ErrPageLoop},
		{"a loop of two", second, pageTwo, pageOne, ErrPageLoop},
		{"page 99,999 has a next one", Page{Target: pageTwo, number: maxPages - 2}, pageTwo, pageThree, nil},
		{"page 100,000 has none", Page{Target: pageTwo, number: maxPages - 1}, pageTwo, pageThree, ErrPageLoop},
	} {
		t.Run(test.name, func(t *testing.T) {
			token, err := tokens.Next(test.page, test.read, test.next, binding)
			if !errors.Is(err, test.want) || (token == "") != (err != nil) {
				t.Errorf("got %q and %v, want %v", token, err, test.want)
			}
		})
	}
}

func TestALoopOfThreeEndsAt100000Pages(t *testing.T) {
	tokens := pageTokens(t)
	loop := []string{pageOne, pageTwo, pageThree}
	// The first 99,000 pages are taken as read.
	const rest = 1000
	page := Page{Target: pageOne, number: maxPages - rest}
	for n := range rest {
		token, err := tokens.Next(page, loop[n%3], loop[(n+1)%3], binding)
		if err != nil {
			if n != rest-1 || !errors.Is(err, ErrPageLoop) {
				t.Errorf("page %d: %v", maxPages-rest+n+1, err)
			}
			return
		}
		page = openToken(t, tokens, token)
	}
	t.Error("the list has no end")
}

func FuzzPageToken(f *testing.F) {
	tokens, err := NewPageTokens(keyA)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("", pageTwo)
	f.Add("AQ", "")
	f.Fuzz(func(t *testing.T, foreign, target string) {
		if page, err := tokens.Open(foreign, binding); err == nil {
			t.Errorf("%q was opened as %+v", foreign, page)
		}
		if target == pageOne || len(target) > maxNextLink {
			return
		}
		if page := openToken(t, tokens, nextToken(t, tokens, Page{}, pageOne, target)); page.Target != target {
			t.Errorf("got %q, want %q", page.Target, target)
		}
	})
}
