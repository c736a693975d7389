package graphjson

import (
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Values is a cursor with slabs for the types that are not messages of the contract.
type Values struct {
	Cursor
	timestamps Slab[timestamppb.Timestamp]
	strings    Slab[string]
	// texts holds the list of strings that is being read, until its length is known.
	texts  []string
	bools  Slab[bool]
	int32s Slab[int32]
	int64s Slab[int64]
}

// RewindValues takes back all values that were handed out. Nobody may use them any more.
func (v *Values) RewindValues() {
	v.timestamps.Rewind()
	v.strings.Rewind()
	v.bools.Rewind()
	v.int32s.Rewind()
	v.int64s.Rewind()
}

// ReleaseValues rewinds all values. The next body finds room for as many as this one took.
func (v *Values) ReleaseValues() {
	v.timestamps.Release()
	v.strings.Release()
	v.bools.Release()
	v.int32s.Release()
	v.int64s.Release()
}

// trim frees what is not worth keeping.
func (v *Values) trim() {
	v.timestamps.Trim()
	v.strings.Trim()
	v.bools.Trim()
	v.int32s.Trim()
	v.int64s.Trim()
	if cap(v.texts) > maxKept {
		v.texts = nil
	}
	// They alias the body.
	clear(v.texts[:cap(v.texts)])
}

// Timestamp reads a date and time, nil when it is not set.
func (v *Values) Timestamp() *timestamppb.Timestamp {
	if v.Unset() {
		return nil
	}
	t := v.timestamps.Next(&v.Cursor)
	if !v.instant(t) {
		return nil
	}
	return t
}

// Texts reads a list of strings.
func (v *Values) Texts() []string {
	list, start := v.texts[:0], v.pos
	for more := v.arrayStart(); more; more = v.arrayNext(len(list)) {
		list = Grow(list, v.Text(), &v.Cursor, start)
	}
	v.texts = list
	// The length is known only now. Many lists share one allocation.
	values := v.strings.Slice(&v.Cursor, len(list))
	copy(values, list)
	return values
}

// OptionalBool reads true or false, nil when it is not set.
func (v *Values) OptionalBool() *bool {
	value, ok := v.Bool()
	if !ok {
		return nil
	}
	p := v.bools.Next(&v.Cursor)
	*p = value
	return p
}

// OptionalInt32 reads a whole number of 32 bits, nil when it is not set.
func (v *Values) OptionalInt32() *int32 {
	value, ok := v.Integer(32)
	if !ok {
		return nil
	}
	p := v.int32s.Next(&v.Cursor)
	*p = int32(value)
	return p
}

// OptionalInt64 reads a whole number of 64 bits, nil when it is not set.
func (v *Values) OptionalInt64() *int64 {
	value, ok := v.Integer(64)
	if !ok {
		return nil
	}
	p := v.int64s.Next(&v.Cursor)
	*p = value
	return p
}

// Text reads a string, empty for null. It aliases the body.
func (c *Cursor) Text() string {
	if c.at() != '"' {
		c.mismatch("a string")
		return ""
	}
	return alias(c.readText())
}

// TextBytes reads a string as Text does.
func (c *Cursor) TextBytes() []byte {
	if c.at() != '"' {
		c.mismatch("a string")
		return nil
	}
	return c.readText()
}

// Bool reads true or false. ok is false when the value is not set.
func (c *Cursor) Bool() (value, ok bool) {
	switch c.at() {
	case 't':
		c.literal("true")
		return true, true
	case 'f':
		c.literal("false")
		return false, true
	}
	c.mismatch("a boolean")
	return false, false
}

// Integer reads a whole number of the given size in bits. It may be written as a string, as Graph writes sizes. ok is
// false when the value is not set.
func (c *Cursor) Integer(size int) (value int64, ok bool) {
	at := c.pos
	var text []byte
	switch b := c.at(); {
	case b == '"':
		if text = c.readText(); len(text) == 0 {
			return 0, false
		}
		if number := (&Cursor{data: text}); !number.isNumber() {
			c.unread(at, "a whole number")
			return 0, false
		}
	case b == '-' || b >= '0' && b <= '9':
		text = c.number()
	default:
		c.mismatch("a whole number")
		return 0, false
	}
	value, err := strconv.ParseInt(string(text), 10, size)
	if err == nil {
		return value, true
	}
	// 1e3 and 5.0 are whole numbers too, and some JSON writers produce them. Beyond 2^53 a float is not exact.
	float, err := strconv.ParseFloat(string(text), 64)
	limit := float64(int64(1) << min(size-1, 53))
	if err != nil || float < -limit || float >= limit || float != float64(int64(float)) {
		c.unread(at, "a whole number of "+strconv.Itoa(size)+" bits")
		return 0, false
	}
	return int64(float), true
}

// ExpectObject reports whether an object begins here. It skips any other value, and notes it unless it means "not set".
func (c *Cursor) ExpectObject() bool {
	if c.at() == '{' {
		return true
	}
	c.mismatch("an object")
	return false
}

// ExpectArray reports whether an array begins here, as ExpectObject does.
func (c *Cursor) ExpectArray() bool {
	if c.at() == '[' {
		return true
	}
	c.mismatch("an array")
	return false
}

// ExpectText reports whether a string that is not empty begins here, as ExpectObject does.
func (c *Cursor) ExpectText() bool {
	if c.at() == '"' {
		return !c.Unset()
	}
	c.mismatch("a string")
	return false
}

// Presence reads a value of any type and reports whether it is set.
func (c *Cursor) Presence() bool {
	if c.Unset() {
		return false
	}
	c.Skip()
	return true
}
