package graphjson

import (
	"encoding/binary"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// instant reads a date and time into t. ok is false when the value is not set. 0001-01-01T00:00:00Z, which Graph sends
// for "no time", counts as not set.
func (c *Cursor) instant(t *timestamppb.Timestamp) (ok bool) {
	at := c.pos
	if c.at() != '"' {
		c.mismatch("a date and time")
		return false
	}
	if c.usualInstant(t) {
		return true
	}
	text := c.readText()
	if len(text) == 0 {
		return false
	}
	seconds, nanos, ok := parseInstant(text)
	if !ok {
		c.unread(at, "a date and time of the years 1 to 9999")
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

// date is a date in its text, and its first second.
type date struct {
	yearMonth uint64
	day       uint16
	seconds   int64
}

const (
	// usualDate and usualTime are the forms of the first 8 bytes and of the next 8, each digit as 0.
	usualDate, usualTime = "0000-00-", "00T00:00"
	// maxUsual is the length of the longest of these texts, with its quotes.
	maxUsual = len(`"0000-00-00T00:00:00.000000000Z"`)
)

// usualInstant reads a date and time in the form that Graph writes, `2024-06-19T12:01:03.45Z`, by words of eight bytes.
// It reads nothing and returns false for any other, and for one that is not set.
func (c *Cursor) usualInstant(t *timestamppb.Timestamp) bool {
	if len(c.data)-c.pos < maxUsual {
		return false
	}
	b := c.data[c.pos+1 : c.pos+maxUsual : c.pos+maxUsual]
	first, second := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if d := &c.lastDate; first != d.yearMonth || uint16(second) != d.day {
		if !c.readDate(first, second) {
			return false
		}
	}
	clock := second ^ usualTimeWord
	// A digit becomes its value, and whatever else must stand there becomes 0.
	if notDigits(clock)|clock&0x0000ff0000ff0000 != 0 || b[16] != ':' {
		return false
	}
	hour := clock>>24&0xff*10 + clock>>32&0xff
	minute := clock>>48&0xff*10 + clock>>56&0xff
	ten, one := b[17]-'0', b[18]-'0'
	if hour > 23 || minute > 59 || ten > 5 || one > 9 {
		return false
	}
	nanos, i := int32(0), 19
	if b[i] == '.' {
		scale := int32(100_000_000)
		for i++; b[i]-'0' <= 9; i++ {
			nanos += int32(b[i]-'0') * scale
			scale /= 10
			if i == len(b)-3 {
				i++
				break
			}
		}
		if i == 20 {
			return false
		}
	}
	seconds := c.lastDate.seconds + int64(hour)*3600 + int64(minute)*60 + int64(ten)*10 + int64(one)
	if b[i] != 'Z' || b[i+1] != '"' || seconds <= zeroInstant {
		return false
	}
	c.pos += i + 3
	t.Seconds, t.Nanos = seconds, nanos
	return true
}

// readDate keeps the date in the first ten bytes of a text.
func (c *Cursor) readDate(first, second uint64) bool {
	yearMonth, day := first^usualDateWord, (second^usualTimeWord)&0xffff
	if notDigits(yearMonth)|notDigits(day)|yearMonth&0xff0000ff00000000 != 0 {
		return false
	}
	digit := func(w uint64, i int) int { return int(w >> (8 * i) & 0xff) }
	y := digit(yearMonth, 0)*1000 + digit(yearMonth, 1)*100 + digit(yearMonth, 2)*10 + digit(yearMonth, 3)
	m := digit(yearMonth, 5)*10 + digit(yearMonth, 6)
	d := digit(day, 0)*10 + digit(day, 1)
	if m < 1 || m > 12 || d < 1 || d > daysIn(y, m) {
		return false
	}
	c.lastDate = date{first, uint16(second), daysSinceEpoch(y, m, d) * 86400}
	return true
}

// notDigits is 0 when each byte is from 0 to 9.
func notDigits(w uint64) uint64 { return (w | (w + ones*6)) & (ones * 0xf0) }

var (
	usualDateWord = binary.LittleEndian.Uint64([]byte(usualDate))
	usualTimeWord = binary.LittleEndian.Uint64([]byte(usualTime))
)

// parseInstant reads RFC 3339 and the other forms that Graph has been seen to write:
//
//	2015-06-19T12-01-03Z               dashes in the time
//	2024-08-01T12:34:56                no zone: UTC
//	2024-08-01                         a date alone: its first second
//	2024-08-01T12:34:56.12345678901Z   more than nine digits of a second: nine count
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
	// A leap second becomes the second after it, as in POSIX time.
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

// daysSinceEpoch counts the days since 1970-01-01 in the proleptic Gregorian calendar. Its years begin in March, so
// that the leap day is the last day of a year.
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
