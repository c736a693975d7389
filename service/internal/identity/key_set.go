package identity

import (
	"context"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// fetchPause is the time between two fetches, whatever causes them and whether or not they succeed.
	fetchPause = 30 * time.Second
	// fetchTime is how long a fetch takes at most.
	fetchTime = 2 * time.Second
	// maxAge is when keys are fetched again beside a call, so that a key that the issuer has withdrawn ends. When the
	// issuer is down, the old ones go on.
	maxAge = 15 * time.Minute
)

// keySet keeps the keys of an issuer and fetches them when a token has an unknown one.
type keySet struct {
	// fetch gets the keys; nil for keys from a file.
	fetch func(context.Context) (keys, error)
	now   func() time.Time
	// failed is told of each fetch that failed.
	failed func(error)

	mu      sync.Mutex
	current keys
	// began and fetched are when the last fetch began, and when the last one that succeeded did.
	began, fetched time.Time
	// underWay is closed when the fetch that is under way ends; nil when there is none.
	underWay chan struct{}
}

// verify checks the signature of a token. With mayFetch it fetches the keys when that of the token is unknown, unless
// the last fetch was just now.
func (s *keySet) verify(ctx context.Context, token *jose.JSONWebSignature, h header, mayFetch bool) ([]byte, Cause) {
	payload, cause := s.keys().verify(token, h.algorithm, h.keyID)
	if cause != CauseKeyUnknown || !mayFetch || s.fetch == nil {
		return payload, cause
	}
	done := s.begin(0)
	if done == nil {
		return nil, s.unknown()
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, CauseKeysUnavailable
	}
	payload, cause = s.keys().verify(token, h.algorithm, h.keyID)
	if cause == CauseKeyUnknown {
		cause = s.unknown()
	}
	return payload, cause
}

// keys returns the keys that are there. It begins to fetch them again when they are old, and waits for nothing.
func (s *keySet) keys() keys {
	if s.fetch != nil {
		s.begin(maxAge)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// unknown is the cause for a key that a fetch did not bring.
func (s *keySet) unknown() Cause {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetched.Before(s.began) || s.current == nil {
		return CauseKeysUnavailable
	}
	return CauseKeyUnknown
}

// begin begins a fetch, or joins the one under way. The channel is closed when it ends; nil when it is too early for
// another one. Keys younger than minAge are not fetched again; nor are none at all, unless minAge is 0.
func (s *keySet) begin(minAge time.Duration) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	switch {
	case s.underWay != nil:
		return s.underWay
	case !s.began.IsZero() && now.Sub(s.began) < fetchPause:
		return nil
	case minAge > 0 && (s.current == nil || now.Sub(s.fetched) < minAge):
		return nil
	}
	s.began, s.underWay = now, make(chan struct{})
	// The fetch must not end with the call that began it: others wait for it too.
	go s.run(now, s.underWay)
	return s.underWay
}

func (s *keySet) run(began time.Time, done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	fetched, err := s.fetch(ctx)
	if err != nil {
		s.failed(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.current, s.fetched = fetched, began
	}
	s.underWay = nil
	close(done)
}
