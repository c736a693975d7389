package identity

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/m365backup/backupstorage/internal/memo"
)

// maxVerified is how many tokens are remembered. A caller has a new one every hour or so.
const maxVerified = 10_000

// verified remembers tokens that were verified, until they expire or their issuer has other keys: a signature costs
// more than the rest of a small call. It has the hashes of many, and a few of the last ones as they are, since to
// compare a token costs less than to hash it.
type verified struct {
	recent memo.Memo[string, *verifiedToken]
	mu     sync.Mutex
	tokens map[[sha256.Size]byte]*verifiedToken
}

type verifiedToken struct {
	caller Caller
	issuer *issuer
	// by are the keys of the issuer at that time.
	by keys
}

// of returns the caller of a token that was verified and is still good.
func (v *verified) of(token string, issuers map[string]*issuer, now time.Time) (Caller, bool) {
	known, recent := v.recent.Get(token)
	if !recent {
		known = v.find(token)
	}
	if known == nil || now.After(known.caller.Expires) {
		return Caller{}, false
	}
	if !recent {
		v.recent.Put(token, known)
	}
	i := known.issuer
	return known.caller, issuers[i.Issuer.Issuer] == i && sameKeys(i.keys.keys(), known.by)
}

// find looks for a token among the hashes.
func (v *verified) find(token string) *verifiedToken {
	hash := sha256.Sum256([]byte(token))
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tokens[hash]
}

func (v *verified) add(token string, i *issuer, by keys, caller Caller) {
	hash := sha256.Sum256([]byte(token))
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.tokens) >= maxVerified || v.tokens == nil {
		// All who are still there are verified once more.
		v.tokens = make(map[[sha256.Size]byte]*verifiedToken)
	}
	known := &verifiedToken{caller, i, by}
	v.tokens[hash] = known
	v.recent.Put(token, known)
}

// sameKeys reports whether two sets of keys are one and the same.
func sameKeys(a, b keys) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }
