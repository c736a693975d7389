package idempotency

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// ID names a record, or what a record has claimed. It tells nothing of the key.
type ID [sha256.Size]byte

// String returns the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Scope is whose key it is. Keys in two scopes have nothing to do with each other.
type Scope struct {
	// Upstream is the endpoint of Graph, Application the id of the application that calls it.
	Upstream, Application string
	// Identity is who asks Graph: empty for the application, else the user's object id.
	Identity string
	// Principal is the caller of this server, Tenant the tenant that the write is for, RPC the operation.
	Principal, Tenant, RPC string
}

// NewID names the record of a key.
func NewID(s Scope, key string) ID {
	return digest("key", s.Upstream, s.Application, s.Identity, s.Principal, s.Tenant, s.RPC, key)
}

// NewClaim names a resource that at most one record may stand for.
func NewClaim(s Scope, resource string) ID {
	return digest("claim", s.Upstream, s.Application, s.Tenant, resource)
}

func digest(parts ...string) (id ID) {
	hash := sha256.New()
	for _, part := range parts {
		// The length keeps the parts apart.
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		hash.Write(size[:])
		hash.Write([]byte(part))
	}
	hash.Sum(id[:0])
	return id
}

// Expired reports whether a UUID, in its canonical form, says that it was made before records are kept. Only a UUIDv7
// says when it was made.
func Expired(key string, now time.Time) bool {
	const version = 14
	if len(key) <= version || key[version] != '7' {
		return false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(key, "-", ""))
	if err != nil || len(b) != 16 {
		return false
	}
	made := time.UnixMilli(int64(b[0])<<40 | int64(b[1])<<32 | int64(b[2])<<24 | int64(b[3])<<16 | int64(b[4])<<8 | int64(b[5]))
	return made.Before(now.Add(-Kept))
}
