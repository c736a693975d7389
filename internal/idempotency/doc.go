// Package idempotency makes writes repeatable: it keeps a record for each idempotency key, and decides by it whether a
// call may send its write to Graph.
//
// A record goes from HELD (a call looks whether it was sent before) to SENT (its bytes may have reached Graph) to DONE
// (it was carried out) or UNKNOWN (nobody knows). Only the owner of a record takes a step, each a compare-and-set in a
// Store: so two replicas of the server never send the same write.
//
// The package knows neither HTTP nor gRPC nor Redis. Package service tells it what a call does, and a Store keeps the
// records: NewMemory for one server, internal/idempotency/redisstore for several.
package idempotency

import "time"

// Kept is how long a record is kept, counted from the first call with its key.
const Kept = 7 * 24 * time.Hour
