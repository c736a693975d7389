package graphjson

import (
	"strings"
	"testing"
)

type unit [20]string

// readUnits reads a list of anything. It returns a value of a slab for each element, and how often the slab allocated.
func readUnits(c *Cursor) (list []*unit, refills int) {
	var units Slab[unit]
	start := c.Pos()
	for more := c.ListStart(); more; more = c.ListNext() {
		if len(units.free) == 0 {
			refills++
		}
		list = Grow(list, units.Next(c), c, start)
		c.Skip()
	}
	return list, refills
}

func TestSlabGrowsInFewSteps(t *testing.T) {
	for _, n := range []int{1, 2, 10, 100, 999, 20_000, 100_000} {
		text := []byte(`[` + strings.Repeat(`{"id":"0123456789"},`, n-1) + `{"id":"0123456789"}]`)
		list, refills := readUnits(&Cursor{data: text})
		if len(list) != n {
			t.Fatalf("%d elements were read as %d", n, len(list))
		}
		if refills > 7 {
			t.Errorf("%d elements took %d allocations", n, refills)
		}
		if cap(list) > n+n/16+8 {
			t.Errorf("%d elements took room for %d", n, cap(list))
		}
	}
}

func TestSlabGrowsInFewStepsWithShrinkingElements(t *testing.T) {
	var text strings.Builder
	text.WriteString(`[0`)
	for i := range 20_000 {
		text.WriteString(`,"` + strings.Repeat("x", (20_000-i)/100) + `"`)
	}
	text.WriteString(`]`)
	if _, refills := readUnits(&Cursor{data: []byte(text.String())}); refills > 14 {
		t.Errorf("%d allocations", refills)
	}
}

func TestSlabDoesNotTrustAShortElement(t *testing.T) {
	text := []byte(`[{},{},{},{"a":"` + strings.Repeat("x", 8<<20) + `"}]`)
	list, _ := readUnits(&Cursor{data: text})
	if len(list) != 4 || cap(list) > 16 {
		t.Errorf("%d elements took room for %d", len(list), cap(list))
	}
}

func TestSlabPlansNoMoreThanAListMayHave(t *testing.T) {
	text := []byte(`[` + strings.Repeat(`{},`, 2_000_000) + `{}]`)
	c := &Cursor{data: text}
	list, _ := readUnits(c)
	if len(list) != maxElements || cap(list) != maxElements {
		t.Errorf("%d elements took room for %d", len(list), cap(list))
	}
	wantCause(t, c, CauseTooLarge)
}

func TestSlabHandsOutEachValueOnce(t *testing.T) {
	c := &Cursor{data: []byte(`[]`)}
	var s Slab[int]
	seen := make(map[*int]bool)
	for range 100 {
		seen[s.Next(c)] = true
		values := s.Slice(c, 3)
		if len(values) != 3 || cap(values) != 3 {
			t.Fatalf("slice of %d with room for %d", len(values), cap(values))
		}
		for i := range values {
			seen[&values[i]] = true
		}
	}
	if len(seen) != 400 {
		t.Errorf("%d values, want 400", len(seen))
	}
}

func TestGrowKeepsWhatItHas(t *testing.T) {
	c := &Cursor{data: make([]byte, 1000)}
	var list []int
	for i := range 1000 {
		c.pos = i
		list = Grow(list, i, c, 0)
	}
	for i, value := range list {
		if value != i {
			t.Fatalf("element %d is %d", i, value)
		}
	}
}
