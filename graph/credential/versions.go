package credential

import (
	"context"
	"sync"
	"time"
)

// versionTime is how long a version counts as current. Every call of a tenant that was refused needs the version.
const versionTime = time.Second

// versions reads the version of the application's credential. The disk of its file may be slow: no lock is held
// meanwhile, and no caller waits past its deadline.
type versions struct {
	read func() hash

	mu     sync.Mutex
	last   hash
	at     time.Time     // When the read of the last one began.
	under  chan struct{} // Closed when the read that is under way ends; nil when none is.
	closed bool

	running sync.WaitGroup
}

// now reads the version.
func (v *versions) now() hash {
	start := time.Now()
	version := v.read()
	v.mu.Lock()
	defer v.mu.Unlock()
	if !start.Before(v.at) {
		v.last, v.at = version, start
	}
	return version
}

// recent returns the version as it was at most versionTime ago, or the context's error when that ends first.
func (v *versions) recent(ctx context.Context) (hash, error) {
	if under := v.refresh(); under != nil {
		select {
		case <-under:
		case <-ctx.Done():
			return hash{}, ctx.Err()
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last, nil
}

// refresh starts a read when the last version is old. It returns a channel that is closed when the read ends, nil when
// no read is under way.
func (v *versions) refresh() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.under == nil && !v.closed && time.Since(v.at) >= versionTime {
		under := make(chan struct{})
		v.under = under
		v.running.Go(func() {
			v.now()
			v.mu.Lock()
			v.under = nil
			v.mu.Unlock()
			close(under)
		})
	}
	return v.under
}

// close waits for the read that is under way, and prevents further ones.
func (v *versions) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.running.Wait()
}
