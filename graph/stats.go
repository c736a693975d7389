package graph

import "time"

// Stats says what a request cost. Do adds to it, so that one Stats can count several requests that follow each other.
type Stats struct {
	// Attempts is how often a request was handed to the network, with repeats. It is 0 when Graph would have throttled
	// the request, or there was no token.
	Attempts int
	// Waited is the time in which requests waited for their slot, for a throttle to open, and for their repeat. The
	// time of the attempts is not in it, and neither is that of tokens.
	Waited time.Duration
	// InGraph is the time of the attempts: from handing a request to the network until its response was read, or failed.
	InGraph time.Duration
	// GraphRequestIDs are Graph's ids of the requests that it responded to, in order.
	GraphRequestIDs []string
	// first has room for the first of them: most calls make one request.
	first [1]string
}

// responded notes Graph's id of a request, unless nobody counts.
func (s *Stats) responded(id string) {
	if s == nil || id == "" {
		return
	}
	if s.GraphRequestIDs == nil {
		s.GraphRequestIDs = s.first[:0]
	}
	s.GraphRequestIDs = append(s.GraphRequestIDs, id)
}

// attempt counts an attempt, unless nobody counts.
func (s *Stats) attempt() {
	if s != nil {
		s.Attempts++
	}
}

// waited adds the time since a wait began, unless nobody counts.
func (s *Stats) waited(since time.Time) {
	if s != nil {
		s.Waited += time.Since(since)
	}
}

// spent adds the time of an attempt, unless nobody counts.
func (s *Stats) spent(took time.Duration) {
	if s != nil {
		s.InGraph += took
	}
}
