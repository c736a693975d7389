// Package buffers keeps byte slices for their next use: the bodies of Graph's responses, and responses on their way to
// clients. A page costs about a megabyte of them, and the collector would run for a few pages.
//
// Who puts a buffer back must have the only reference to it. A buffer that nobody puts back is collected like any other
// memory. The collector also takes, within two cycles, what nobody used meanwhile.
package buffers

import (
	"sync"
	"sync/atomic"
)

// sizes are the capacities of the buffers that are kept. A page of 999 units has half a mebibyte of JSON, and half of
// that as a message.
var sizes = [...]int{4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 384 << 10, 512 << 10, 768 << 10, 1 << 20}

var pools [len(sizes)]sync.Pool

// Get returns an empty buffer with room for at least size bytes.
func Get(size int) *[]byte {
	class := classFor(size)
	if class == len(sizes) {
		b := make([]byte, 0, size)
		return &b
	}
	if p := poisoned.Load(); p != nil {
		return p.get(class)
	}
	if b, ok := pools[class].Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, sizes[class])
	return &b
}

// Put keeps a buffer for its next use. It may have another slice in it than Get returned, with its own memory.
func Put(b *[]byte) {
	class := classOf(cap(*b))
	if class < 0 {
		return
	}
	*b = (*b)[:0]
	if p := poisoned.Load(); p != nil {
		p.put(class, b)
		return
	}
	pools[class].Put(b)
}

// Grow moves a buffer's bytes to a larger one and puts the old one back.
func Grow(b *[]byte, size int) *[]byte {
	larger := Get(size)
	*larger = append(*larger, *b...)
	Put(b)
	return larger
}

// classFor returns the first class with room for size bytes, len(sizes) when there is none.
func classFor(size int) int {
	for class, has := range sizes {
		if has >= size {
			return class
		}
	}
	return len(sizes)
}

// classOf returns the class of a buffer, -1 when it is not kept: too small, or so large that it is worth more free.
func classOf(capacity int) int {
	if capacity > sizes[len(sizes)-1] {
		return -1
	}
	for class := len(sizes) - 1; class >= 0; class-- {
		if capacity >= sizes[class] {
			return class
		}
	}
	return -1
}

// poisoned is set while tests look for uses of buffers that were put back.
var poisoned atomic.Pointer[poison]

// poisonByte is what a buffer is filled with that was put back. It is no byte of a text in UTF-8.
const poisonByte = 0xdb

// Poison makes Put overwrite a buffer, and Get return the buffer that was put back last, until stop is called: so a use
// of a buffer after Put shows at once. A second Put of a buffer panics. It is for tests.
func Poison() (stop func()) {
	poisoned.Store(new(poison))
	return func() { poisoned.Store(nil) }
}

type poison struct {
	mu   sync.Mutex
	free [len(sizes)][]*[]byte
}

func (p *poison) get(class int) *[]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.free[class]) - 1; last >= 0 {
		b := p.free[class][last]
		p.free[class] = p.free[class][:last]
		return b
	}
	b := make([]byte, 0, sizes[class])
	return &b
}

func (p *poison) put(class int, b *[]byte) {
	all := (*b)[:cap(*b)]
	for done := copy(all, []byte{poisonByte}); done < len(all); done *= 2 {
		copy(all[done:], all[:done])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, other := range p.free[class] {
		if other == b || &(*other)[:1][0] == &all[0] {
			panic("a buffer was put back twice")
		}
	}
	// A few are enough to find a fault.
	if len(p.free[class]) < 64 {
		p.free[class] = append(p.free[class], b)
	}
}
