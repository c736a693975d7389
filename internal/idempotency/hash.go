package idempotency

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"math"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// ErrUnknownFields is a message with fields that this server does not know. Two requests that differ in them alone
// would look the same.
var ErrUnknownFields = errors.New("idempotency: the message has unknown fields")

// Hash returns the hash of what a message says, without the given field. Its form is our own, for the deterministic
// bytes of protobuf are stable over neither schema nor build: the set fields in the order of their numbers, each with
// its number, and with the length of what it holds. A later version of the contract that adds a field has the same hash
// for a message that does not set it.
func Hash(message protoreflect.Message, without protoreflect.FieldDescriptor) (sum [32]byte, err error) {
	h := sha256.New()
	if err := hashMessage(h, message, without); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}

func hashMessage(h hash.Hash, message protoreflect.Message, without protoreflect.FieldDescriptor) error {
	if len(message.GetUnknown()) > 0 {
		return ErrUnknownFields
	}
	fields := message.Descriptor().Fields()
	// In a descriptor fields are in the order of the file.
	byNumber := make(map[protoreflect.FieldNumber]protoreflect.FieldDescriptor, fields.Len())
	var last protoreflect.FieldNumber
	for i := range fields.Len() {
		if f := fields.Get(i); f != without && message.Has(f) {
			byNumber[f.Number()], last = f, max(last, f.Number())
		}
	}
	for number := protoreflect.FieldNumber(1); number <= last; number++ {
		field := byNumber[number]
		if field == nil {
			continue
		}
		writeNumber(h, uint64(number))
		value := message.Get(field)
		if !field.IsList() {
			if err := hashValue(h, field, value); err != nil {
				return err
			}
			continue
		}
		list := value.List()
		writeNumber(h, uint64(list.Len()))
		for i := range list.Len() {
			if err := hashValue(h, field, list.Get(i)); err != nil {
				return err
			}
		}
	}
	// The end of the message.
	writeNumber(h, 0)
	return nil
}

func hashValue(h hash.Hash, field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if field.IsMap() {
			return errors.New("idempotency: a map has no order")
		}
		return hashMessage(h, value.Message(), nil)
	case protoreflect.StringKind:
		writeText(h, value.String())
	case protoreflect.BytesKind:
		writeText(h, string(value.Bytes()))
	case protoreflect.BoolKind:
		writeNumber(h, map[bool]uint64{true: 1}[value.Bool()])
	case protoreflect.EnumKind:
		writeNumber(h, uint64(value.Enum()))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		writeNumber(h, math.Float64bits(value.Float()))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		writeNumber(h, value.Uint())
	default:
		writeNumber(h, uint64(value.Int()))
	}
	return nil
}

func writeNumber(h hash.Hash, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	h.Write(b[:])
}

func writeText(h hash.Hash, text string) {
	writeNumber(h, uint64(len(text)))
	h.Write([]byte(text))
}
