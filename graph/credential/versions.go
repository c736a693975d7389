package credential

import (
	"context"
	"sync"
	"time"
)

// versionTime is for how long a version is taken to be the last one: every call of a tenant that was refused asks for it.
const versionTime = time.Second

// versions tells the version of what the application proves itself with. It is read from a file whose disk may be slow:
// no lock is held meanwhile, and nobody waits for it for longer than he has time.
type versions struct {
	read func() hash

	mu     sync.Mutex
	last   hash
	at     time.Time     // When the reading of the last one began.
	under  chan struct{} // Closed when the reading that is under way is done; nil when none is.
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

// lately returns the version as it was up to versionTime ago, and the context's error when that ends before it is read.
func (v *versions) lately(ctx context.Context) (hash, error) {
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

// refresh starts to read the version when the last one is old. It returns what is closed when that is done, nil when
// there is nothing to wait for.
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

// close waits for the reading that is under way. There is none afterwards.
func (v *versions) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.running.Wait()
}
