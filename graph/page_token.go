package graph

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// tokenVersion is the first byte of a page token.
	tokenVersion = 2
	// maxPages is how many pages one list may have.
	maxPages = 100_000
	// maxToken is the longest page token that is looked at, in characters.
	maxToken = 32 << 10
	// pageHead is the length of what stands before the target in a token: number, before and anchor.
	pageHead = 4 + 8 + 8
)

// ErrPageToken says that a page token was not made by this server, or for something else.
var ErrPageToken = errors.New("page token does not belong to this list")

// ErrPageLoop says that a list has no end.
var ErrPageLoop = errors.New("pages go round in circles")

// Page is where a list goes on.
type Page struct {
	// Target is the target of the call that reads the page.
	Target string
	// number counts the pages up to this one, before is a hash of the target of the page before the last.
	number uint32
	before [8]byte
	// anchor is a hash of the target of the last page whose number is a power of two: whatever goes round in circles
	// comes back to it (Brent's algorithm).
	anchor [8]byte
}

// PageTokens makes page tokens of pages and pages of tokens. Tokens are sealed, so that nobody reads Graph's skip
// tokens or makes a request of his own, and bound to what the caller asked. It is safe for concurrent use.
type PageTokens struct {
	// The first seals, all open: so keys can be changed while lists are under way.
	aeads []cipher.AEAD
}

// NewPageTokens takes keys of 32 bytes, of which the first seals and all open. Without keys it makes a random one,
// with which no other process can go on.
func NewPageTokens(keys ...[]byte) (*PageTokens, error) {
	if len(keys) == 0 {
		key := make([]byte, 32)
		rand.Read(key)
		keys = [][]byte{key}
	}
	tokens := new(PageTokens)
	for _, key := range keys {
		if len(key) != 32 {
			return nil, fmt.Errorf("page token key has %d bytes and must have 32", len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		tokens.aeads = append(tokens.aeads, aead)
	}
	return tokens, nil
}

// Next makes the token of the page behind the given one, which is the zero Page for the first, with the target that
// was read for it. binding is what the token is good for; the caller makes it of tenant, rpc and arguments. The error is
// ErrPageLoop: next is the page itself, the one before it or one that was remembered, or the list has 100,000 pages.
func (t *PageTokens) Next(page Page, read, next string, binding []byte) (string, error) {
	if page.number >= maxPages-1 || next == read || page.number > 0 && page.before == hashTarget(next) {
		return "", ErrPageLoop
	}
	before, anchor := hashTarget(read), page.anchor
	if page.number&(page.number-1) == 0 {
		anchor = before
	}
	if anchor == hashTarget(next) {
		return "", ErrPageLoop
	}
	plain := make([]byte, 0, pageHead+len(next))
	plain = binary.BigEndian.AppendUint32(plain, page.number+1)
	plain = append(plain, before[:]...)
	plain = append(plain, anchor[:]...)
	plain = append(plain, next...)
	sealed := t.aeads[0].Seal([]byte{tokenVersion}, nil, plain, binding)
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open returns the page of a token. The error is ErrPageToken.
func (t *PageTokens) Open(token string, binding []byte) (Page, error) {
	if len(token) > maxToken {
		return Page{}, ErrPageToken
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(sealed) == 0 || sealed[0] != tokenVersion {
		return Page{}, ErrPageToken
	}
	for _, aead := range t.aeads {
		plain, err := aead.Open(nil, nil, sealed[1:], binding)
		if err != nil || len(plain) < pageHead {
			continue
		}
		page := Page{number: binary.BigEndian.Uint32(plain), Target: string(plain[pageHead:])}
		copy(page.before[:], plain[4:12])
		copy(page.anchor[:], plain[12:pageHead])
		return page, nil
	}
	return Page{}, ErrPageToken
}

func hashTarget(target string) [8]byte {
	sum := sha256.Sum256([]byte(target))
	return [8]byte(sum[:8])
}
