package buffers

import (
	"bytes"
	"testing"
)

func TestSizes(t *testing.T) {
	for _, size := range []int{0, 1, 4 << 10, 4<<10 + 1, 300_000, 1 << 20, 1<<20 + 1, 8 << 20} {
		b := Get(size)
		if len(*b) != 0 || cap(*b) < size {
			t.Errorf("%d bytes: got length %d and capacity %d", size, len(*b), cap(*b))
		}
		*b = append(*b, make([]byte, size)...)
		Put(b)
	}
	for capacity, want := range map[int]int{0: -1, 4095: -1, 4096: 0, 20_000: 1, 1 << 20: len(sizes) - 1, 1<<20 + 1: -1} {
		if got := classOf(capacity); got != want {
			t.Errorf("a capacity of %d has class %d, want %d", capacity, got, want)
		}
	}
}

func TestGrowKeepsTheBytes(t *testing.T) {
	defer Poison()()
	b := Get(10)
	*b = append(*b, "text"...)
	old := *b
	larger := Grow(b, 100_000)
	if string(*larger) != "text" || cap(*larger) < 100_000 {
		t.Errorf("%q with a capacity of %d", *larger, cap(*larger))
	}
	if string(old) == "text" {
		t.Error("the old buffer was not put back")
	}
}

func TestPoison(t *testing.T) {
	defer Poison()()
	b := Get(10)
	*b = append(*b, "text"...)
	kept := *b
	Put(b)
	if !bytes.Equal(kept, bytes.Repeat([]byte{poisonByte}, 4)) {
		t.Errorf("a buffer that was put back has %q", kept)
	}
	if again := Get(10); again != b {
		t.Error("another buffer came than the last one")
	}
	Put(b)
	defer func() {
		if recover() == nil {
			t.Error("a buffer can be put back twice")
		}
	}()
	Put(b)
}
