package retryafter

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

func TestRetryAfterIsReadOrCountsAsMissing(t *testing.T) {
	graphs := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(date time.Time, after time.Duration) string { return date.Add(after).UTC().Format(http.TimeFormat) }
	const missing = -1
	for _, test := range []struct {
		name   string
		values []string
		date   time.Time
		want   time.Duration
	}{
		{"nothing", nil, graphs, missing},
		{"empty", []string{""}, graphs, missing},
		{"only spaces", []string{"  "}, graphs, missing},
		{"seconds", []string{"2"}, graphs, 2 * time.Second},
		{"seconds in spaces", []string{" 2 "}, graphs, 2 * time.Second},
		{"a fraction", []string{"0.4"}, graphs, 400 * time.Millisecond},
		{"a fraction that binary numbers cannot hold", []string{"2.128"}, graphs, 2128 * time.Millisecond},
		{"a fraction below a millisecond", []string{"0.0001"}, graphs, time.Millisecond},
		{"a fraction just above a millisecond", []string{"0.0010001"}, graphs, 2 * time.Millisecond},
		{"seven digits", []string{"1.1234567"}, graphs, 1124 * time.Millisecond},
		{"no time at all", []string{"0"}, graphs, 0},
		{"315 s", []string{"315"}, graphs, 315 * time.Second},
		{"an hour", []string{"3600"}, graphs, time.Hour},
		{"an hour and a second", []string{"3601"}, graphs, time.Hour},
		{"an hour and a bit", []string{"3600.0001"}, graphs, time.Hour},
		{"years", []string{"1e9"}, graphs, time.Hour},
		{"more than a number can hold", []string{"1e999"}, graphs, time.Hour},
		{"negative", []string{"-5"}, graphs, missing},
		{"negative, and more than a number can hold", []string{"-1e999"}, graphs, missing},
		{"two hours and a fraction", []string{"7200.5"}, graphs, time.Hour},
		{"a word", []string{"soon"}, graphs, missing},
		{"not a number", []string{"NaN"}, graphs, missing},
		{"infinity", []string{"Inf"}, graphs, missing},
		{"negative infinity", []string{"-Inf"}, graphs, missing},
		{"hexadecimal", []string{"0x10"}, graphs, missing},
		{"underscores", []string{"1_0"}, graphs, missing},
		{"with a unit", []string{"5s"}, graphs, missing},
		{"two, the larger first", []string{"7", "2"}, graphs, 7 * time.Second},
		{"two, the larger last", []string{"2", "7"}, graphs, 7 * time.Second},
		{"two in one header", []string{"2, 5"}, graphs, 5 * time.Second},
		{"two in one header, one unreadable", []string{"5,soon"}, graphs, 5 * time.Second},
		{"two, one unreadable", []string{"soon", "2"}, graphs, 2 * time.Second},
		{"two, one over an hour", []string{"2", "3601"}, graphs, time.Hour},
		{"seconds and a later date", []string{"2", at(graphs, 9*time.Second)}, graphs, 9 * time.Second},
		{"seconds joined with a later date", []string{"2, " + at(graphs, 30*time.Second)}, graphs, 30 * time.Second},
		{"seconds joined with an earlier date", []string{"40," + at(graphs, 30*time.Second)}, graphs, 40 * time.Second},
		{"a date joined with fewer seconds", []string{at(graphs, 30*time.Second) + ", 2"}, graphs, 30 * time.Second},
		{"a date joined with more seconds", []string{at(graphs, 30*time.Second) + " , 40"}, graphs, 40 * time.Second},
		{"two dates joined", []string{at(graphs, 30*time.Second) + ", " + at(graphs, 9*time.Second)}, graphs, 30 * time.Second},
		{"three dates of three forms joined", []string{"Fri Nov 20 12:00:09 2026, Friday, 20-Nov-26 12:00:30 GMT," + at(graphs, 20*time.Second)}, graphs, 30 * time.Second},
		{"a date joined with a past one and a word", []string{"soon, " + at(graphs, -time.Second) + ", " + at(graphs, 9*time.Second)}, graphs, 9 * time.Second},
		{"a date that is cut joined with seconds", []string{"Fri, 20 Nov 2026, 7"}, graphs, 7 * time.Second},
		{"commas", []string{",,2,"}, graphs, 2 * time.Second},
		{"a date", []string{at(graphs, 30*time.Second)}, graphs, 30 * time.Second},
		{"a date by a clock that is a year behind", []string{at(graphs.AddDate(-1, 0, 0), 30*time.Second)}, graphs.AddDate(-1, 0, 0), 30 * time.Second},
		{"a date by a clock that is a year ahead", []string{at(graphs.AddDate(1, 0, 0), 30*time.Second)}, graphs.AddDate(1, 0, 0), 30 * time.Second},
		{"the date of the response", []string{at(graphs, 0)}, graphs, 0},
		{"a past date", []string{at(graphs, -time.Second)}, graphs, missing},
		{"a date in an hour", []string{at(graphs, time.Hour)}, graphs, time.Hour},
		{"a date in more than an hour", []string{at(graphs, time.Hour+time.Second)}, graphs, time.Hour},
		{"a date in ten years", []string{at(graphs, 10*365*24*time.Hour)}, graphs, time.Hour},
		{"a date in a thousand years", []string{at(graphs.AddDate(1000, 0, 0), 0)}, graphs, time.Hour},
		{"a date in two hours, of a response without a date", []string{at(time.Now(), 2*time.Hour)}, time.Time{}, time.Hour},
		{"a date of RFC 850", []string{"Friday, 20-Nov-26 12:00:30 GMT"}, graphs, 30 * time.Second},
		{"a date of RFC 3339", []string{"2026-11-20T12:00:30Z"}, graphs, missing},
		{"a past date of a response without a date", []string{at(time.Now(), -time.Minute)}, time.Time{}, missing},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := Read(http.Header{"Retry-After": test.values}, test.date)
			if !ok {
				got = missing
			}
			if got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestRetryAfterWithoutADateUsesOurClock(t *testing.T) {
	value := time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
	got, ok := Read(http.Header{"Retry-After": {value}}, time.Time{})
	if !ok || got <= 0 || got > time.Minute {
		t.Errorf("got %v and %t, want up to a minute", got, ok)
	}
}

func TestRetryAfterIsExactToTheMillisecond(t *testing.T) {
	// 7 is prime to 1000: all fractions come up in all parts of the hour.
	for ms := 0; ms <= int(longest/time.Millisecond); ms += 7 {
		value := strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64)
		if got, ok := parse(value, time.Time{}); !ok || got != time.Duration(ms)*time.Millisecond {
			t.Fatalf("%s: got %v and %t", value, got, ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"", "2", "2.128", "-5", "1e9", "NaN", "Inf", "0x10", "Fri, 20 Nov 2026 12:00:30 GMT", "2, Fri, 20 Nov 2026 12:00:30 GMT", "0.00000000001"} {
		f.Add(value, int64(1795176000))
	}
	f.Fuzz(func(t *testing.T, value string, date int64) {
		wait, ok := Read(http.Header{"Retry-After": {value}}, time.Unix(date, 0))
		if wait < 0 || wait > longest || !ok && wait != 0 {
			t.Errorf("%q: got %v and %t", value, wait, ok)
		}
		if wait%time.Millisecond != 0 {
			t.Errorf("%q: %v is no whole number of milliseconds", value, wait)
		}
	})
}
