package idempotency

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"
)

// Lease is how long a call owns its record without a step. Half of it is how long a write may take to be sent after the
// record says so.
const Lease = 30 * time.Second

var (
	// ErrReused is a key that came before with another request.
	ErrReused = errors.New("idempotency: the key came before with another request")
	// ErrInUse is a key whose first call is under way.
	ErrInUse = errors.New("idempotency: the first call with the key is under way")
	// ErrLook is a key that the store does not know although it may have been sent: the caller has to look first.
	ErrLook = errors.New("idempotency: the store has lost records")
)

// KnownError is the error of a call whose key came before, with an outcome: Done or Unknown.
type KnownError struct{ Record *Record }

func (*KnownError) Error() string { return "idempotency: the key came before" }

// Keys are the records of idempotency keys. It is safe for concurrent use.
type Keys struct {
	store Store
	lease time.Duration
}

// New returns the keys of a store.
func New(store Store) *Keys { return NewWithLease(store, Lease) }

// NewWithLease is New with another lease, for tests.
func NewWithLease(store Store, lease time.Duration) *Keys { return &Keys{store, lease} }

// Write is one call with a key. It is for one goroutine.
type Write struct {
	keys    *Keys
	id      ID
	request [32]byte
	owner   [16]byte
	// own is the record that this call wrote last, nil before it wrote one.
	own *Record
	// loss is the loss of records that the store told last, and graceEnd when the other servers have written theirs again.
	// looked is the loss after which this call held its record: others do not send meanwhile what it looks for.
	loss, looked string
	graceEnd     time.Time
}

// Begin returns the write of a call. It asks the store for nothing: only a write that is ready to be sent does.
func (k *Keys) Begin(id ID, request [32]byte) *Write {
	w := &Write{keys: k, id: id, request: request}
	// It never fails.
	_, _ = rand.Read(w.owner[:])
	return w
}

// Send takes the step to SENT, just before the first byte, and again before each repeat. sentAfter is a moment by
// Graph's clock. The write has to be handed to the network before sendBy: after that another call may count it as lost.
//
// The error is ErrReused, ErrInUse, ErrLook, a *Known, or one of the store. Then nothing may be sent.
func (w *Write) Send(ctx context.Context, sentAfter time.Time) (sendBy time.Time, err error) {
	began := time.Now()
	next := &Record{State: Sent, Owner: w.owner, Request: w.request, SentAfter: sentAfter, Fence: 1}
	if w.own != nil {
		next.Fence = w.own.Fence
	}
	if err := w.step(ctx, next); err != nil {
		return time.Time{}, err
	}
	return began.Add(w.keys.lease / 2), nil
}

// Hold takes the step to HELD after ErrLook, for a caller that looks. What it sees counts for that loss of records
// only: after another one Send says ErrLook again.
func (w *Write) Hold(ctx context.Context) error {
	loss := w.loss
	if err := w.step(ctx, &Record{State: Held, Owner: w.owner, Request: w.request, Fence: 1}); err != nil {
		return err
	}
	w.looked = loss
	return nil
}

// WaitForOthers waits until the other servers have written again what they know, and until a look shows what they sent.
// It fails at once when that takes longer than until then, and when stop is closed.
func (w *Write) WaitForOthers(ctx context.Context, until time.Time, stop <-chan struct{}) error {
	if w.graceEnd.After(until) || !sleep(ctx, time.Until(w.graceEnd), stop) {
		return fmt.Errorf("%w: it has lost records, and the other servers may still know them", ErrUnavailable)
	}
	return nil
}

// maxSpread is over which time calls look that have waited for the other servers.
const maxSpread = time.Second

// sleep reports false when the context or stop ends it.
func sleep(ctx context.Context, pause time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-stop:
	}
	return false
}

// step writes the next record of this call, over one that is over.
func (w *Write) step(ctx context.Context, next *Record) error {
	old := encoded(w.own)
	for {
		looked := w.looked
		if next.State == Held {
			// It is about to look.
			looked = w.loss
		}
		swapped, err := w.keys.store.Swap(ctx, Swap{
			Key: w.id, Old: old, New: next.encode(), Lease: w.keys.lease, Durable: next.State == Sent,
			Passing: next.State == Held, Looked: looked,
		})
		switch {
		case err != nil && next.State == Sent && !errors.Is(err, errNotWritten):
			// It may be there. Nobody must wait for a call that sends nothing, and this one does not wait for the store.
			w.own = nil
			unsent := &Write{keys: w.keys, id: w.id, request: w.request, owner: w.owner, own: next}
			go func() { _ = unsent.Release(context.WithoutCancel(ctx)) }()
			return err
		case err != nil:
			return err
		case swapped.OK:
			w.own = next
			return nil
		case swapped.Loss != nil:
			w.loss, w.graceEnd = swapped.Loss.ID, time.Now()
			if swapped.Loss.Grace > 0 {
				// Many calls wait by then, and are not to look at the same moment.
				w.graceEnd = w.graceEnd.Add(swapped.Loss.Grace + mathrand.N(maxSpread))
			}
			return ErrLook
		case swapped.Record == nil && old == nil:
			return fmt.Errorf("%w: it neither has a record nor takes one", ErrUnavailable)
		case swapped.Record == nil:
			// It was over and is forgotten.
			w.own, old = nil, nil
			continue
		}
		other, err := w.keys.judge(ctx, w.id, w.request, swapped.Stored)
		if err != nil {
			return err
		}
		if other.Owner == w.owner && w.own != nil {
			return fmt.Errorf("%w: a record of this call is not the one that it wrote", ErrUnavailable)
		}
		// Its owner has not sent anything, and never will: it would have to write the record first.
		next.Fence, old = other.Fence+1, swapped.Record
	}
}

// errNotWritten is wrapped by errors of a store that is sure to have written nothing.
var errNotWritten = errors.New("nothing was written")

// NotWritten marks an error of a store that has written nothing.
func NotWritten(err error) error { return fmt.Errorf("%w (%w)", err, errNotWritten) }

// judge decides what a record of another call means. It returns a HELD record whose lease is over; anything else is an
// error, as that of Write.Send.
func (k *Keys) judge(ctx context.Context, id ID, request [32]byte, s Stored) (*Record, error) {
	for {
		r, err := decode(s.Record)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		case r.Request != request:
			return nil, ErrReused
		case r.State == Done || r.State == Unknown:
			return nil, &KnownError{r}
		case s.Lease > 0:
			return nil, ErrInUse
		case r.State == Held:
			return r, nil
		}
		// Its owner has died, or waits for Graph. It may have been sent.
		lost := *r
		lost.State = Unknown
		swapped, err := k.store.Swap(ctx, Swap{Key: id, Old: s.Record, New: lost.encode()})
		switch {
		case err != nil:
			return nil, err
		case swapped.OK:
			return nil, &KnownError{&lost}
		case swapped.Record == nil:
			return nil, ErrInUse
		}
		s = swapped.Stored
	}
}

// Read returns what a call with the key would find: nil when it would be the first, else an error as that of
// Write.Send.
func (w *Write) Read(ctx context.Context) error {
	s, err := w.keys.store.Read(ctx, w.id)
	if err != nil || s.Record == nil {
		return err
	}
	_, err = w.keys.judge(ctx, w.id, w.request, s)
	return err
}

// The pauses between two looks at a record that another call owns.
const (
	minPause = 20 * time.Millisecond
	maxPause = 500 * time.Millisecond
)

// Wait waits while another call owns the record, until then. It returns nil when the write may be tried again, else an
// error as that of Send; ErrInUse when the time is over, or when stop is closed.
func (w *Write) Wait(ctx context.Context, until time.Time, stop <-chan struct{}) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if time.Now().Add(pause).After(until) {
			return ErrInUse
		}
		if !sleep(ctx, pause, stop) {
			return ErrInUse
		}
		if err := w.Read(ctx); !errors.Is(err, ErrInUse) {
			return err
		}
	}
}

// finalTime is how long the last step of a call may take: it is taken also after the deadline.
const finalTime = time.Second

// Finish takes the step to DONE. claim is what was created; zero for nothing.
func (w *Write) Finish(ctx context.Context, id string, items []Item, claim ID) error {
	return w.end(ctx, claim, func(r *Record) { r.State, r.ID, r.Items = Done, id, items })
}

// Lose takes the step to UNKNOWN.
func (w *Write) Lose(ctx context.Context) error {
	return w.end(ctx, ID{}, func(r *Record) { r.State = Unknown })
}

// Release deletes the record of a write that was refused: a call that is corrected may use the key.
func (w *Write) Release(ctx context.Context) error { return w.end(ctx, ID{}, nil) }

// end takes the last step from SENT, or from UNKNOWN if another call took this one for lost meanwhile: the owner knows
// better.
func (w *Write) end(ctx context.Context, claim ID, change func(*Record)) error {
	if w.own == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalTime)
	defer cancel()
	var next []byte
	if change != nil {
		r := *w.own
		change(&r)
		next = r.encode()
	}
	old := w.own.encode()
	for {
		swapped, err := w.keys.store.Swap(ctx, Swap{Key: w.id, Old: old, New: next, Claim: claim, Sure: true})
		if err != nil {
			return err
		}
		if swapped.OK || swapped.Record == nil {
			w.own = nil
			return nil
		}
		other, err := decode(swapped.Record)
		if err != nil || other.Owner != w.owner || other.State != Unknown || string(swapped.Record) == string(old) {
			w.own = nil
			return err
		}
		old = swapped.Record
	}
}

// Resolve takes the step from UNKNOWN to DONE, for a call that has looked. ok is false when another record has the
// claim.
func (w *Write) Resolve(ctx context.Context, unknown *Record, id string, items []Item, claim ID) (ok bool, err error) {
	done := *unknown
	done.State, done.ID, done.Items = Done, id, items
	swapped, err := w.keys.store.Swap(ctx, Swap{Key: w.id, Old: unknown.encode(), New: done.encode(), Claim: claim})
	if err != nil || swapped.Claimed {
		return false, err
	}
	// Whoever was quicker saw the same, or knew it.
	return true, nil
}

// Adopt writes DONE for a key that the store has lost, for a call that has looked. ok is false when another record has
// the claim.
func (w *Write) Adopt(ctx context.Context, id string, items []Item, claim ID) (ok bool, err error) {
	r := &Record{State: Done, Owner: w.owner, Request: w.request, ID: id, Items: items, Fence: 1}
	swapped, err := w.keys.store.Swap(ctx, Swap{Key: w.id, Old: encoded(w.own), New: r.encode(), Claim: claim, Looked: w.looked})
	if err == nil && swapped.OK {
		w.own = nil
	}
	return err == nil && swapped.OK, err
}

func encoded(r *Record) []byte {
	if r == nil {
		return nil
	}
	return r.encode()
}
