// Package retryafter reads how long Graph and the token authority want a client to wait.
package retryafter

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longest is the longest wait that is believed. A longer one counts as this.
const longest = time.Hour

// Read reads the Retry-After headers of a response whose own Date is given. Several values may stand in several
// headers, or in one with commas between them, as proxies join them: the longest wait counts.
//
//	value                           wait
//	------------------------------  ----------------------------------------------------------
//	seconds, 2 or 2.128             as long, rounded up to the millisecond
//	date                            from the response's Date, so that the clocks need not agree
//	either, over an hour            an hour
//	negative, past, unreadable      none
func Read(header http.Header, date time.Time) (wait time.Duration, ok bool) {
	for _, value := range header.Values("Retry-After") {
		parts := strings.Split(value, ",")
		for i := 0; i < len(parts); i++ {
			text := strings.TrimSpace(parts[i])
			// Dates have a comma of their own, after the day of the week.
			if i+1 < len(parts) {
				whole := text + ", " + strings.TrimSpace(parts[i+1])
				if _, err := http.ParseTime(whole); err == nil {
					text = whole
					i++
				}
			}
			if one, valid := parse(text, date); valid {
				wait, ok = max(wait, one), true
			}
		}
	}
	return wait, ok
}

func parse(value string, date time.Time) (time.Duration, bool) {
	seconds, err := strconv.ParseFloat(value, 64)
	if isNumber := err == nil || errors.Is(err, strconv.ErrRange); isNumber && !strings.ContainsAny(value, "xX_") {
		switch {
		case math.IsNaN(seconds) || seconds < 0 || err == nil && math.IsInf(seconds, 0):
			return 0, false
		case seconds > longest.Seconds():
			return longest, true
		}
		// Ten digits are enough for any header. With more, 2.128 would be rounded up to 2.129.
		return time.Duration(math.Ceil(math.Round(seconds*1e10)/1e7)) * time.Millisecond, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date.IsZero() {
		// In whole seconds, like a Date header.
		date = time.Now().Truncate(time.Second)
	}
	wait := at.Sub(date)
	return min(wait, longest), wait >= 0
}
