// Package memo remembers what was made of a few values, such as of the tokens that calls bring again and again. It has
// no lock, and no more entries than slots.
package memo

import (
	"hash/maphash"
	"sync/atomic"
)

// slots is how many entries there are. A value takes the slot that its hash names, from whichever value has it.
const slots = 256

// Memo has values by keys. The zero value is ready, and safe for concurrent use.
type Memo[K comparable, V any] struct {
	slots [slots]atomic.Pointer[entry[K, V]]
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// seed is random, so that nobody can choose keys that take the slots of others.
var seed = maphash.MakeSeed()

func (m *Memo[K, V]) slot(key K) *atomic.Pointer[entry[K, V]] {
	return &m.slots[maphash.Comparable(seed, key)%slots]
}

// Get returns what was put last, unless another key has taken its slot.
func (m *Memo[K, V]) Get(key K) (value V, ok bool) {
	if e := m.slot(key).Load(); e != nil && e.key == key {
		return e.value, true
	}
	return value, false
}

// Put remembers a value. All who get it share it.
func (m *Memo[K, V]) Put(key K, value V) { m.slot(key).Store(&entry[K, V]{key, value}) }
