// Package pagetoken seals Graph's nextLinks into page tokens and opens them again.
//
// A token is opaque, versioned and sealed with AES-256-GCM, so that nobody reads Graph's skip tokens or makes a request
// of its own. It is bound to what the caller asked for: the caller of this package says what that is.
package pagetoken

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
)

const (
	// version is the first byte of a token.
	version = 2
	// keySize is the size of a key in bytes.
	keySize = 32
	// maxPages is how many pages one list may have.
	maxPages = 100_000
	// maxToken is the longest token that is opened, in characters.
	maxToken = 32 << 10
	// headSize is the size of what stands before the target in a token: number, before and anchor.
	headSize = 4 + 8 + 8
)

// ErrInvalid is the error for a token that was not made with these keys, or for other arguments.
var ErrInvalid = errors.New("page token does not belong to this list")

// ErrLoop is the error for a list that has no end.
var ErrLoop = errors.New("pages form a loop")

// Page is where a list goes on. The zero Page is the first one.
type Page struct {
	// Target is the target of the request that reads the page; empty for the first page.
	Target string
	// number counts the pages before this one, before is a hash of the target of the page before it.
	number uint32
	before [8]byte
	// anchor is a hash of the target of the last page whose number is a power of two. Pages that form a loop come back to
	// it, however long the loop is (Brent's algorithm).
	anchor [8]byte
}

// Sealer makes tokens of pages and pages of tokens. It is safe for concurrent use.
type Sealer struct {
	// The first seals, all open: keys can be replaced while lists are being read.
	aeads atomic.Pointer[[]cipher.AEAD]
}

// New takes keys of 32 bytes, of which the first seals and all open. Without keys it makes a random one: then no other
// process can open the tokens, nor this one after a restart.
func New(keys ...[]byte) (*Sealer, error) {
	if len(keys) == 0 {
		key := make([]byte, keySize)
		rand.Read(key)
		keys = [][]byte{key}
	}
	s := new(Sealer)
	if err := s.Replace(keys...); err != nil {
		return nil, err
	}
	return s, nil
}

// Replace takes other keys of 32 bytes, at least one, and forgets the ones before. After an error it has the old ones.
func (s *Sealer) Replace(keys ...[]byte) error {
	if len(keys) == 0 {
		return errors.New("there is no page token key")
	}
	var aeads []cipher.AEAD
	for i, key := range keys {
		if len(key) != keySize {
			return fmt.Errorf("page token key %d has %d bytes and must have %d", i+1, len(key), keySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return err
		}
		aeads = append(aeads, aead)
	}
	s.aeads.Store(&aeads)
	return nil
}

// Next makes the token of the page behind the given one. read is the target that the given page was read from, next the
// target of the page behind it. binding is what the token is valid for, such as a hash of tenant, method and arguments.
//
// The error is ErrLoop: next is the page itself, the one before it or the remembered one, or the list has 100,000
// pages.
func (s *Sealer) Next(page Page, read, next string, binding []byte) (string, error) {
	if page.number >= maxPages-1 || next == read || page.number > 0 && page.before == hashTarget(next) {
		return "", ErrLoop
	}
	before, anchor := hashTarget(read), page.anchor
	if page.number&(page.number-1) == 0 {
		anchor = before
	}
	if anchor == hashTarget(next) {
		return "", ErrLoop
	}
	plain := make([]byte, 0, headSize+len(next))
	plain = binary.BigEndian.AppendUint32(plain, page.number+1)
	plain = append(plain, before[:]...)
	plain = append(plain, anchor[:]...)
	plain = append(plain, next...)
	sealed := (*s.aeads.Load())[0].Seal([]byte{version}, nil, plain, binding)
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open returns the page of a token. The error is ErrInvalid.
func (s *Sealer) Open(token string, binding []byte) (Page, error) {
	if len(token) > maxToken {
		return Page{}, ErrInvalid
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(sealed) == 0 || sealed[0] != version {
		return Page{}, ErrInvalid
	}
	for _, aead := range *s.aeads.Load() {
		plain, err := aead.Open(nil, nil, sealed[1:], binding)
		if err != nil || len(plain) < headSize {
			continue
		}
		page := Page{number: binary.BigEndian.Uint32(plain), Target: string(plain[headSize:])}
		copy(page.before[:], plain[4:12])
		copy(page.anchor[:], plain[12:headSize])
		return page, nil
	}
	return Page{}, ErrInvalid
}

func hashTarget(target string) [8]byte {
	sum := sha256.Sum256([]byte(target))
	return [8]byte(sum[:8])
}
