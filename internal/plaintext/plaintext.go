// Package plaintext finds the bytes of a text that JSON writes in another way than they stand there, or that nobody
// prints.
package plaintext

import (
	"encoding/binary"
	"math/bits"
)

// Is reports whether a byte stands for itself in a JSON string and is printed: ASCII from space to `~`, without quote
// and backslash.
func Is(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

// End returns where the run of such bytes ends that begins at i. It looks at eight at once.
func End(data []byte, i int) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(data); i += 8 {
		w := binary.LittleEndian.Uint64(data[i:])
		// For a byte that is not plain one of the terms has the high bit set; for one beyond ASCII most have. A borrow can
		// also set it in the bytes after such a byte, but never before it: the first one is right.
		odd := ((w - each*' ') | (w ^ each*'"' - each) | (w ^ each*'\\' - each) | (w ^ each*0x7f - each)) & high
		if odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	}
	for i < len(data) && Is(data[i]) {
		i++
	}
	return i
}
