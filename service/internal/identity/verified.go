package identity

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxVerified is how many tokens are remembered. A caller has a new one every hour or so.
const maxVerified = 10_000

// verified remembers tokens that were verified, until they expire or their issuer has other keys: a signature costs
// more than the rest of a small call. It has hashes and no tokens.
type verified struct {
	mu     sync.Mutex
	tokens map[[sha256.Size]byte]verifiedToken
}

type verifiedToken struct {
	caller Caller
	issuer *issuer
	// by are the keys of the issuer at that time.
	by keys
}

// of returns the caller of a token that was verified and is still good.
func (v *verified) of(token string, issuers map[string]*issuer, now time.Time) (Caller, bool) {
	hash := sha256.Sum256([]byte(token))
	v.mu.Lock()
	known, ok := v.tokens[hash]
	v.mu.Unlock()
	if !ok || now.After(known.caller.Expires) {
		return Caller{}, false
	}
	i := known.issuer
	return known.caller, issuers[i.Issuer.Issuer] == i && sameKeys(i.keys.keys(), known.by)
}

func (v *verified) add(token string, i *issuer, by keys, caller Caller) {
	hash := sha256.Sum256([]byte(token))
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.tokens) >= maxVerified || v.tokens == nil {
		// All who are still there are verified once more.
		v.tokens = make(map[[sha256.Size]byte]verifiedToken)
	}
	v.tokens[hash] = verifiedToken{caller, i, by}
}

// sameKeys reports whether two sets of keys are one and the same.
func sameKeys(a, b keys) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }
