package credential

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds the wait that is believed.
const maxRetryAfter = time.Hour

// readRetryAfter reads the Retry-After headers of a response. With several of them the longest wait counts.
//
//	value                          wait
//	-----------------------------  -----------------------------------------------------------
//	seconds, 2 or 2.128            as long
//	date, as proxies send it       from the response's Date, so that the clocks need not agree
//	over an hour                   an hour
//	zero, negative, past           none
//	unreadable                     none
func readRetryAfter(header http.Header) (wait time.Duration) {
	for _, value := range header.Values("Retry-After") {
		wait = max(wait, parseRetryAfter(strings.TrimSpace(value), header.Get("Date")))
	}
	return wait
}

func parseRetryAfter(value, date string) time.Duration {
	if at, err := http.ParseTime(value); err == nil {
		now, err := http.ParseTime(date)
		if err != nil {
			now = time.Now()
		}
		return min(max(0, at.Sub(now)), maxRetryAfter)
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0) || seconds < 0 || strings.ContainsAny(value, "xX_") {
		return 0
	}
	return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
}
