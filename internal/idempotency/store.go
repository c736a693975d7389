package idempotency

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable is a store that cannot keep its promise now. Nothing may be sent.
var ErrUnavailable = errors.New("idempotency: the store is not available")

// Store keeps records, as bytes. Its methods are atomic, over all replicas of the server, and safe for concurrent use.
// Their errors wrap ErrUnavailable; what a failed Swap was to write may be there all the same.
type Store interface {
	// Read returns the record of a key.
	Read(ctx context.Context, key ID) (Stored, error)
	// Swap puts a record in the place of another one, if that is still there.
	Swap(ctx context.Context, s Swap) (Swapped, error)
}

// Stored is a record as it is in a store.
type Stored struct {
	// Record is nil when there is none.
	Record []byte
	// Lease is what is left of its lease by the clock of the store; 0 or less when it is over.
	Lease time.Duration
}

// Swap is a step of a record.
type Swap struct {
	Key ID
	// Old is the record that has to be there, nil for none. New is the one that takes its place, nil for none. A record is
	// kept for Kept from the first one with its key.
	Old, New []byte
	// Lease is that of the new record, from now on by the clock of the store.
	Lease time.Duration
	// Durable asks for a record that survives the loss of a store with the newest writes.
	Durable bool
	// Passing says that nothing was sent under the new record, and that a store which loses it need not get it again.
	Passing bool
	// Looked is the Loss after which the caller has looked whether the write was carried out; empty for none.
	Looked string
	// Claim is what the record stands for; zero for nothing. Another record with this claim makes the swap fail, unless
	// Sure says that this record is right.
	Claim ID
	Sure  bool
}

// Swapped is what became of a Swap.
type Swapped struct {
	// OK says that the new record is there. Otherwise Stored is what is there instead, unless one of the others is set.
	OK bool
	Stored
	// Claimed says that another record has the claim.
	Claimed bool
	// Loss says that the store has lost records a short time ago: a key that it does not know can have been sent, so the
	// caller has to look first. It comes only with Old nil, when Looked is another loss or none.
	Loss *Loss
}

// Loss is what a store knows of a loss of its records.
type Loss struct {
	// ID tells it from other losses.
	ID string
	// Grace is what is left of the time in which the other servers write again what they know.
	Grace time.Duration
}
