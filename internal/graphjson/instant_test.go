package graphjson

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestInstant(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"RFC 3339 is read", "2024-08-01T12:34:56Z", "2024-08-01T12:34:56Z"},
		{"seven digits of a second, as Graph writes them, are kept", "2024-08-01T12:34:56.1234567Z", "2024-08-01T12:34:56.1234567Z"},
		{"nine digits of a second are kept", "2024-08-01T12:34:56.123456789Z", "2024-08-01T12:34:56.123456789Z"},
		{"digits beyond the ninth are dropped", "2024-08-01T12:34:56.1234567899999999999999Z", "2024-08-01T12:34:56.123456789Z"},
		{"dashes in the time are read as colons", "2015-06-19T12-01-03.45Z", "2015-06-19T12:01:03.45Z"},
		{"without a zone it is UTC", "2024-08-01T12:34:56", "2024-08-01T12:34:56Z"},
		{"without a zone a fraction is kept", "2024-08-01T12:34:56.5", "2024-08-01T12:34:56.5Z"},
		{"a date alone is its first second", "2024-08-01", "2024-08-01T00:00:00Z"},
		{"small letters are read", "2024-08-01t12:34:56z", "2024-08-01T12:34:56Z"},
		{"a blank between date and time is read", "2024-08-01 12:34:56Z", "2024-08-01T12:34:56Z"},
		{"an offset east of Greenwich is taken off", "2024-08-01T00:30:00+05:30", "2024-07-31T19:00:00Z"},
		{"an offset west of Greenwich is added", "2024-12-31T23:30:00-08:00", "2025-01-01T07:30:00Z"},
		{"a negative zero is an offset", "2024-08-01T00:30:00-00:00", "2024-08-01T00:30:00Z"},
		{"the leap day of a leap year is read", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
		{"the leap day of the year 2000 is read", "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"},
		{"a leap second is the second after it", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
		{"an instant before 1970 is read", "1969-12-31T23:59:59.25Z", "1969-12-31T23:59:59.25Z"},
		{"the last second of the range is read", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"},
		{"the second after Graph's zero is read", "0001-01-01T00:00:01Z", "0001-01-01T00:00:01Z"},
		{"a fraction after Graph's zero is read", "0001-01-01T00:00:00.5Z", "0001-01-01T00:00:00.5Z"},
		{"a year before the range may be in the range with its offset", "0000-12-31T23:30:00-01:00", "0001-01-01T00:30:00Z"},
		{"escapes are resolved", `2024-08-01T12\u003a34:56Z`, "2024-08-01T12:34:56Z"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &Cursor{data: []byte(`"` + test.text + `"`)}
			var got timestamppb.Timestamp
			if ok := c.instant(&got); !ok || c.end() != nil {
				t.Fatalf("%s was not read: %v", test.text, c.end())
			}
			if text := got.AsTime().Format(time.RFC3339Nano); text != test.want {
				t.Errorf("%s was read as %s, want %s", test.text, text, test.want)
			}
		})
	}
}

func TestInstantNotSet(t *testing.T) {
	for name, text := range map[string]string{
		"null is not set":                             `null`,
		"an empty string is not set":                  `""`,
		"Graph's zero is not set":                     `"0001-01-01T00:00:00Z"`,
		"Graph's zero with a fraction is not set":     `"0001-01-01T00:00:00.0000000Z"`,
		"Graph's zero without a zone is not set":      `"0001-01-01T00:00:00"`,
		"Graph's zero as a date alone is not set":     `"0001-01-01"`,
		"Graph's zero with an offset of 0 is not set": `"0001-01-01T00:00:00+00:00"`,
	} {
		t.Run(name, func(t *testing.T) {
			c := &Cursor{data: []byte(text)}
			var got timestamppb.Timestamp
			if c.instant(&got) {
				t.Errorf("%s was read as %v", text, got.AsTime())
			}
			if err := c.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestInstantOfWrongType(t *testing.T) {
	for name, text := range map[string]string{
		"words":                          `"yesterday, about noon"`,
		"a blank":                        `" "`,
		"a time alone":                   `"12:34:56Z"`,
		"a number":                       `1722515696`,
		"true":                           `true`,
		"an object":                      `{"dateTime": "2024-08-01T12:34:56Z"}`,
		"an array":                       `["2024-08-01T12:34:56Z"]`,
		"a month 13":                     `"2024-13-01T00:00:00Z"`,
		"a month 0":                      `"2024-00-01T00:00:00Z"`,
		"a day 0":                        `"2024-01-00T00:00:00Z"`,
		"a day 31 in a short month":      `"2024-04-31T00:00:00Z"`,
		"a leap day in no leap year":     `"2023-02-29T00:00:00Z"`,
		"a leap day in 1900":             `"1900-02-29T00:00:00Z"`,
		"an hour 24":                     `"2024-08-01T24:00:00Z"`,
		"a minute 60":                    `"2024-08-01T00:60:00Z"`,
		"a second 61":                    `"2024-08-01T00:00:61Z"`,
		"a leap second after the range":  `"9999-12-31T23:59:60Z"`,
		"an offset of 24 hours":          `"2024-08-01T00:00:00+24:00"`,
		"an offset of 60 minutes":        `"2024-08-01T00:00:00+00:60"`,
		"an offset without a colon":      `"2024-08-01T00:00:00+0100"`,
		"an offset before the range":     `"0001-01-01T00:00:00+01:00"`,
		"an offset after the range":      `"9999-12-31T23:59:59-01:00"`,
		"the year 0":                     `"0000-06-01T00:00:00Z"`,
		"the year 0 as a date alone":     `"0000-06-01"`,
		"a year of five digits":          `"10000-01-01T00:00:00Z"`,
		"a point without a fraction":     `"2024-08-01T00:00:00.Z"`,
		"a comma before the fraction":    `"2024-08-01T00:00:00,5Z"`,
		"colon and dash in one time":     `"2024-08-01T00:00-00Z"`,
		"letters for digits":             `"2O24-08-01T00:00:00Z"`,
		"a sign for a digit":             `"2024-+8-01T00:00:00Z"`,
		"something after the zone":       `"2024-08-01T00:00:00Z "`,
		"a time without seconds":         `"2024-08-01T00:00Z"`,
		"slashes in the date":            `"2024/08/01T00:00:00Z"`,
		"a name of a zone":               `"2024-08-01T00:00:00 UTC"`,
		"a date cut off within its day":  `"2024-08-0"`,
		"a character beyond ASCII":       `"2024-08-01T00:00:00Ｚ"`,
		"Microsoft's old form of a date": `"\/Date(1722515696000)\/"`,
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			c := &Cursor{data: []byte(text)}
			var got timestamppb.Timestamp
			if c.instant(&got) {
				t.Fatalf("%s was read as %v", text, got.AsTime())
			}
			wantUnread(t, c)
		})
	}
}

func TestAppendInstant(t *testing.T) {
	for want, at := range map[string]time.Time{
		`"2024-08-01T12:34:56Z"`:           time.Date(2024, 8, 1, 12, 34, 56, 0, time.UTC),
		`"2024-08-01T12:34:56.123456789Z"`: time.Date(2024, 8, 1, 12, 34, 56, 123456789, time.UTC),
		`"2024-08-01T10:34:56.1Z"`:         time.Date(2024, 8, 1, 12, 34, 56, 100000000, time.FixedZone("", 7200)),
	} {
		if got := string(AppendInstant(nil, timestamppb.New(at))); got != want {
			t.Errorf("%v was written as %s, want %s", at, got, want)
		}
	}
}

// rfc3339 is the grammar. The parser of the standard library also accepts hours of one digit, commas and other offsets.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// FuzzInstant compares with the standard library for every text that is RFC 3339.
func FuzzInstant(f *testing.F) {
	for _, text := range []string{
		"2024-08-01T12:34:56.1234567Z", "0000-12-31T23:30:00-01:00", "2000-02-29T00:00:00+05:30",
		"9999-12-31T23:59:59.999999999-00:00", "1899-03-01T00:00:00.5+23:59",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || !rfc3339.MatchString(text) {
			parseInstant([]byte(text)) // It must not panic.
			return
		}
		seconds, nanos, ok := parseInstant([]byte(text))
		inRange := want.Unix() >= zeroInstant && want.Unix() <= lastInstant
		if ok != inRange {
			t.Fatalf("%q: read: %v, in the range of a Timestamp: %v", text, ok, inRange)
		}
		if ok && (seconds != want.Unix() || int(nanos) != want.Nanosecond()) {
			t.Fatalf("%q: got %d.%09d, want %d.%09d", text, seconds, nanos, want.Unix(), want.Nanosecond())
		}
	})
}

// TestUsualInstantIsRight compares the quick way with the other one, for texts that are usual and those near to them.
func TestUsualInstantIsRight(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2026))
	usual := 0
	for n := range 200_000 {
		text := []byte(fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", random.IntN(10_000), 1+random.IntN(12), 1+random.IntN(31), random.IntN(24), random.IntN(60), random.IntN(61)))
		if digits := random.IntN(11); digits > 0 {
			text = fmt.Appendf(text, ".%0*d", digits, random.IntN(10))
		}
		text = append(text, 'Z')
		if n%2 == 0 {
			text[random.IntN(len(text))] = "0123456789:-.TZ+ \x00/;"[random.IntN(20)]
		}
		body := fmt.Appendf(nil, `"%s"              `, text)
		c := &Cursor{data: body}
		var got timestamppb.Timestamp
		// A date that is remembered must not stand in for another one.
		for range 2 {
			c.pos = 0
			if !c.usualInstant(&got) {
				continue
			}
			usual++
			seconds, nanos, ok := parseInstant(text)
			if !ok || got.Seconds != seconds || got.Nanos != nanos || c.pos != len(text)+2 {
				t.Fatalf("%s was read as %v, want %d %d %v", text, &got, seconds, nanos, ok)
			}
		}
		if n%2 == 1 && c.pos == 0 && len(text) <= 30 {
			if seconds, _, ok := parseInstant(text); ok && text[17] != '6' && seconds > zeroInstant {
				t.Fatalf("%s was not read", text)
			}
		}
	}
	if usual < 100_000 {
		t.Errorf("only %d texts were usual", usual)
	}
}
