package service

import (
	"errors"
	"strings"
	"sync/atomic"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
)

// What becomes of calls with an idempotency key.
const (
	// KeyedFirst is a call that sent its write.
	KeyedFirst = "first"
	// KeyedReplayed is a call that got what an earlier one did.
	KeyedReplayed = "replayed"
	// KeyedResolved is a call that found out by a look that an earlier one had done it.
	KeyedResolved = "resolved"
	// KeyedUnknown is a call that looked, and did not find out.
	KeyedUnknown = "unknown"
	// KeyedInUse is a call whose key is in use by another one.
	KeyedInUse = "in-use"
	// KeyedReused is a call whose key came before with another request.
	KeyedReused = "reused"
	// KeyedUnavailable is a call that was refused because the store could not be used.
	KeyedUnavailable = "unavailable"
	// KeyedRefused is a call that was refused for its key: malformed, expired, or not kept here.
	KeyedRefused = "refused"
)

// KeyedOutcomes are all values of what becomes of calls with a key.
var KeyedOutcomes = []string{
	KeyedFirst, KeyedReplayed, KeyedResolved, KeyedUnknown, KeyedInUse, KeyedReused, KeyedUnavailable, KeyedRefused,
}

// keyedCounts counts calls with a key, in the order of KeyedOutcomes.
type keyedCounts struct{ n [8]atomic.Uint64 }

func (c *keyedCounts) add(outcome string) {
	for i, o := range KeyedOutcomes {
		if o == outcome {
			c.n[i].Add(1)
		}
	}
}

func (c *keyedCounts) all() map[string]uint64 {
	all := make(map[string]uint64, len(KeyedOutcomes))
	for i, o := range KeyedOutcomes {
		all[o] = c.n[i].Load()
	}
	return all
}

// outcomeOfKey is the outcome of a call that ended with an error, or sent its write.
func outcomeOfKey(err error) string {
	refusal, ok := errors.AsType[*apierror.Refusal](err)
	if !ok {
		return KeyedFirst
	}
	switch refusal.Reason {
	case pb.ErrorReason_IDEMPOTENCY_KEY_IN_USE:
		return KeyedInUse
	case pb.ErrorReason_IDEMPOTENCY_KEY_REUSED:
		return KeyedReused
	case pb.ErrorReason_IDEMPOTENCY_STORE_UNAVAILABLE:
		return KeyedUnavailable
	}
	if refusal.Field == keyField {
		return KeyedRefused
	}
	return KeyedFirst
}

// lower is a key in its canonical form.
func lower(key string) string { return strings.ToLower(key) }
