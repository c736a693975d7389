package idempotency

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// State is how far a write with a key has come.
type State byte

// The states, in the order in which they come.
const (
	// Held is a write that is being prepared: nothing was sent.
	Held State = 1 + iota
	// Sent is a write that Graph may get.
	Sent
	// Unknown is a write whose outcome is not known. It is never sent again.
	Unknown
	// Done is a write that was carried out.
	Done
)

func (s State) String() string {
	return map[State]string{Held: "HELD", Sent: "SENT", Unknown: "UNKNOWN", Done: "DONE"}[s]
}

// Record is what is kept of a key. It has no bodies, no names and not the key itself.
type Record struct {
	State State
	// Fence counts the owners that the record has had.
	Fence uint64
	// Owner is the call that may take the next step.
	Owner [16]byte
	// Request is the hash of the request message, see Hash.
	Request [32]byte
	// SentAfter is a moment by Graph's clock before the write was sent; zero when it was not.
	SentAfter time.Time
	// ID is the id of what was created. Items are what was answered for each item of an update.
	ID    string
	Items []Item
}

// Item is what was answered for an item of an update.
type Item struct {
	// List is the number of the response field that has the item.
	List uint32
	// ID is the id of the item, ContentID the one that the request gave it. Either may be empty.
	ID, ContentID string
	Removed       bool
	// Reason is the reason of its error; empty for none.
	Reason string
}

// layout is the first byte of an encoded record. What a layout has at its beginning stays where it is: a store compares
// fences and states without knowing more. What comes behind are fields, of which a reader skips those that it does not
// know: so a record that the next version of the server wrote can be read, and the other way round. A release that
// needs another layout first reads both for one release, and writes this one.
const layout = 1

// The positions in a record. Fence and State stand in front, so that the later of two records is the greater text.
const (
	atFence   = 1
	atState   = 9
	atOwner   = 10
	atRequest = 26
	atFields  = 58
)

// The fields.
const (
	fieldSentAfter = 1
	fieldID        = 2
	fieldItem      = 3
)

// The fields of an item.
const (
	itemList = 1 + iota
	itemID
	itemContentID
	itemRemoved
	itemReason
)

// encode returns the record as it is stored.
func (r *Record) encode() []byte {
	b := make([]byte, atFields, 128)
	b[0] = layout
	binary.BigEndian.PutUint64(b[atFence:], r.Fence)
	b[atState] = byte(r.State)
	copy(b[atOwner:], r.Owner[:])
	copy(b[atRequest:], r.Request[:])
	if !r.SentAfter.IsZero() {
		b = appendField(b, fieldSentAfter, binary.AppendVarint(nil, r.SentAfter.UnixNano()))
	}
	if r.ID != "" {
		b = appendField(b, fieldID, []byte(r.ID))
	}
	for _, item := range r.Items {
		var one []byte
		one = appendField(one, itemList, binary.AppendUvarint(nil, uint64(item.List)))
		for _, f := range []struct {
			number uint64
			text   string
		}{{itemID, item.ID}, {itemContentID, item.ContentID}, {itemReason, item.Reason}} {
			if f.text != "" {
				one = appendField(one, f.number, []byte(f.text))
			}
		}
		if item.Removed {
			one = appendField(one, itemRemoved, nil)
		}
		b = appendField(b, fieldItem, one)
	}
	return b
}

func appendField(b []byte, number uint64, value []byte) []byte {
	b = binary.AppendUvarint(b, number)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

// errRecord is a record that cannot be read.
var errRecord = errors.New("idempotency: a record cannot be read")

// decode reads a record.
func decode(b []byte) (*Record, error) {
	if len(b) < atFields {
		return nil, errRecord
	}
	if b[0] != layout {
		return nil, fmt.Errorf("%w: its layout is %d", errRecord, b[0])
	}
	r := &Record{Fence: binary.BigEndian.Uint64(b[atFence:]), State: State(b[atState])}
	if r.State < Held || r.State > Done {
		return nil, fmt.Errorf("%w: its state is %d", errRecord, r.State)
	}
	copy(r.Owner[:], b[atOwner:])
	copy(r.Request[:], b[atRequest:])
	err := eachField(b[atFields:], func(number uint64, value []byte) error {
		switch number {
		case fieldSentAfter:
			nanos, n := binary.Varint(value)
			if n <= 0 {
				return errRecord
			}
			r.SentAfter = time.Unix(0, nanos)
		case fieldID:
			r.ID = string(value)
		case fieldItem:
			item, err := decodeItem(value)
			if err != nil {
				return err
			}
			r.Items = append(r.Items, item)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func decodeItem(b []byte) (item Item, err error) {
	err = eachField(b, func(number uint64, value []byte) error {
		switch number {
		case itemList:
			list, n := binary.Uvarint(value)
			if n <= 0 || list > 1<<29 {
				return errRecord
			}
			item.List = uint32(list)
		case itemID:
			item.ID = string(value)
		case itemContentID:
			item.ContentID = string(value)
		case itemRemoved:
			item.Removed = true
		case itemReason:
			item.Reason = string(value)
		}
		return nil
	})
	return item, err
}

func eachField(b []byte, visit func(number uint64, value []byte) error) error {
	for len(b) > 0 {
		number, n := binary.Uvarint(b)
		if n <= 0 {
			return errRecord
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || size > uint64(len(b)-n-m) {
			return errRecord
		}
		start := n + m
		if err := visit(number, b[start:start+int(size)]); err != nil {
			return err
		}
		b = b[start+int(size):]
	}
	return nil
}
