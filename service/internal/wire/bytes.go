package wire

import "sync"

// Bytes bounds the bytes of responses that all calls hold together. It is safe for concurrent use.
//
// A tenant gets more while it holds less than what is free: a single greedy tenant leaves half to the others, k of them
// leave 1/(k+1).
type Bytes struct {
	max int64

	mu       sync.Mutex
	all      int64
	byTenant map[string]int64
}

// NewBytes returns a bound of max bytes.
func NewBytes(limit int64) *Bytes { return &Bytes{max: limit, byTenant: make(map[string]int64)} }

// Held returns how many bytes are held now.
func (b *Bytes) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all
}

// Hold begins what one call of a tenant holds: nothing at first.
func (b *Bytes) Hold(h *Holding, tenant string) { h.bytes, h.tenant = b, tenant }

// Holding is what one call holds. It has to be begun by Hold. Its methods are safe for concurrent use.
type Holding struct {
	bytes  *Bytes
	tenant string
	n      int64
	done   bool
}

// Grow holds n bytes more, and reports whether they fit.
func (h *Holding) Grow(n int64) bool {
	b := h.bytes
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.done || b.byTenant[h.tenant]+n > b.max-b.all {
		return false
	}
	h.add(n)
	return true
}

// Resize holds n bytes in the place of those before, and reports whether they fit. Fewer always do.
func (h *Holding) Resize(n int64) bool {
	b := h.bytes
	b.mu.Lock()
	defer b.mu.Unlock()
	more := n - h.n
	if h.done || more > 0 && b.byTenant[h.tenant]+more > b.max-b.all {
		return false
	}
	h.add(more)
	return true
}

// Set holds n bytes, whether they fit or not: they are there already.
func (h *Holding) Set(n int64) {
	h.bytes.mu.Lock()
	defer h.bytes.mu.Unlock()
	if !h.done {
		h.add(n - h.n)
	}
}

// Release ends the holding. Only the first call does something.
func (h *Holding) Release() {
	h.bytes.mu.Lock()
	defer h.bytes.mu.Unlock()
	if !h.done {
		h.add(-h.n)
		h.done = true
	}
}

func (h *Holding) add(n int64) {
	b := h.bytes
	h.n += n
	b.all += n
	if left := b.byTenant[h.tenant] + n; left == 0 {
		delete(b.byTenant, h.tenant)
	} else {
		b.byTenant[h.tenant] = left
	}
}
