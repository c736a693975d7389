package web

import "sync"

// share divides bytes among the clients that hold some. A client gets more while it has less than is free: alone it
// gets half, of two each gets a third.
type share struct {
	limit int64

	mu       sync.Mutex
	used     int64
	byClient map[string]int64
}

func newShare(limit int64) *share { return &share{limit: limit, byClient: make(map[string]int64)} }

// take reports whether a client may hold n bytes more, and notes them if so.
func (s *share) take(client string, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byClient[client]+n > s.limit-s.used {
		return false
	}
	s.used += n
	s.byClient[client] += n
	return true
}

// giveBack returns what take noted.
func (s *share) giveBack(client string, n int64) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	if s.byClient[client] -= n; s.byClient[client] == 0 {
		delete(s.byClient, client)
	}
}
