package graphjson

import (
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// str reads a string; null reads as empty.
func (c *cursor) str() string {
	if c.at() != '"' {
		c.mismatch("a string")
		return ""
	}
	return alias(c.text())
}

// boolean reads true or false; ok is false when the value was not set.
func (c *cursor) boolean() (value, ok bool) {
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

// integer reads a whole number of the given size in bits, written as a number or, as Graph writes sizes, as a string;
// ok is false when the value was not set.
func (c *cursor) integer(size int) (value int64, ok bool) {
	at := c.pos
	var text []byte
	switch b := c.at(); {
	case b == '"':
		if text = c.text(); len(text) == 0 {
			return 0, false
		}
		if number := (&cursor{data: text}); !number.isNumber() {
			c.note(GraphJSONType, at, "a whole number expected")
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
	// 1e3 and 5.0 are whole numbers too, and JSON writers exist that write them so. Beyond 2^53 a float is not exact.
	float, err := strconv.ParseFloat(string(text), 64)
	limit := float64(int64(1) << min(size-1, 53))
	if err != nil || float < -limit || float >= limit || float != float64(int64(float)) {
		c.note(GraphJSONType, at, "a whole number of "+strconv.Itoa(size)+" bits expected")
		return 0, false
	}
	return int64(float), true
}

// presence reads any value and tells whether it was set.
func (c *cursor) presence() bool {
	if c.unset() {
		return false
	}
	c.skip()
	return true
}

// instant reads a date and time into t; ok is false when the value was not set. Graph's zero, the first second of the
// year 1, is not set either.
func (c *cursor) instant(t *timestamppb.Timestamp) (ok bool) {
	at := c.pos
	if c.at() != '"' {
		c.mismatch("a date and time")
		return false
	}
	text := c.text()
	if len(text) == 0 {
		return false
	}
	seconds, nanos, ok := parseInstant(text)
	if !ok {
		c.note(GraphJSONType, at, "a date and time expected")
		return false
	}
	if seconds == zeroInstant && nanos == 0 {
		return false
	}
	t.Seconds, t.Nanos = seconds, nanos
	return true
}

const (
	// zeroInstant is 0001-01-01T00:00:00Z, lastInstant 9999-12-31T23:59:59Z: the range of a Timestamp.
	zeroInstant = -62135596800
	lastInstant = 253402300799
)

// parseInstant reads RFC 3339, and what else Graph has been seen to write: dashes in the time, no zone (UTC), a date
// alone, any number of fraction digits, of which nine count.
func parseInstant(b []byte) (seconds int64, nanos int32, ok bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, 0, false
	}
	year, ok1 := number4(b[0:4])
	month, ok2 := number2(b[5:7])
	day, ok3 := number2(b[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, 0, false
	}
	seconds = daysSinceEpoch(year, month, day) * 86400
	b = b[10:]
	if len(b) == 0 {
		return seconds, 0, year > 0
	}
	if len(b) < 9 || b[0] != 'T' && b[0] != 't' && b[0] != ' ' || b[3] != ':' && b[3] != '-' || b[6] != b[3] {
		return 0, 0, false
	}
	hour, ok1 := number2(b[1:3])
	minute, ok2 := number2(b[4:6])
	second, ok3 := number2(b[7:9])
	// A leap second is read as the second after it, which is how POSIX time counts.
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 60 {
		return 0, 0, false
	}
	seconds += int64(hour)*3600 + int64(minute)*60 + int64(second)
	b = b[9:]
	if len(b) > 0 && b[0] == '.' {
		end := digits(b, 1)
		if end == 1 {
			return 0, 0, false
		}
		scale := int32(100_000_000)
		for _, digit := range b[1:end] {
			nanos += int32(digit-'0') * scale
			scale /= 10
		}
		b = b[end:]
	}
	switch {
	case len(b) == 0 || len(b) == 1 && (b[0] == 'Z' || b[0] == 'z'):
	case len(b) == 6 && (b[0] == '+' || b[0] == '-') && b[3] == ':':
		hours, ok1 := number2(b[1:3])
		minutes, ok2 := number2(b[4:6])
		if !ok1 || !ok2 || hours > 23 || minutes > 59 {
			return 0, 0, false
		}
		offset := int64(hours)*3600 + int64(minutes)*60
		if b[0] == '+' {
			offset = -offset
		}
		seconds += offset
	default:
		return 0, 0, false
	}
	return seconds, nanos, seconds >= zeroInstant && seconds <= lastInstant
}

func number2(b []byte) (int, bool) {
	high, low := b[0]-'0', b[1]-'0'
	return int(high)*10 + int(low), high <= 9 && low <= 9
}

func number4(b []byte) (int, bool) {
	high, ok1 := number2(b[0:2])
	low, ok2 := number2(b[2:4])
	return high*100 + low, ok1 && ok2
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSinceEpoch counts in the proleptic Gregorian calendar, in years that begin in March so that the leap day is the
// last one.
func daysSinceEpoch(year, month, day int) int64 {
	month -= 3
	if month < 0 {
		month += 12
		year--
	}
	era := year / 400
	if year < 0 {
		era = -1
	}
	yearOfEra := year - era*400
	dayOfYear := (153*month+2)/5 + day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return int64(era)*146097 + int64(dayOfEra) - 719468
}
