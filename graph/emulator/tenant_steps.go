package emulator

import (
	"container/heap"
	"time"
)

// step is something that happens by itself once its moment has come.
type step struct {
	due   time.Time
	order uint64 // breaks ties: first scheduled, first done
	apply func(at time.Time)
}

// steps are a tenant's steps to come, the earliest first. Nothing runs them but
// a request (or a look at the ledger), so there is nothing to stop or leak.
type steps struct {
	heap stepHeap
	next uint64
}

// schedule notes that apply is to happen at due. What apply finds may have
// changed since; it must check.
func (s *steps) schedule(due time.Time, apply func(at time.Time)) {
	s.next++
	heap.Push(&s.heap, step{due: due, order: s.next, apply: apply})
}

// settle does every step that is due by now, in order, including those that a
// step schedules, and calls after behind each.
func (s *steps) settle(now time.Time, after func()) {
	for len(s.heap) > 0 && !s.heap[0].due.After(now) {
		st := heap.Pop(&s.heap).(step)
		st.apply(st.due)
		after()
	}
}

type stepHeap []step

func (h stepHeap) Len() int { return len(h) }

func (h stepHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].order < h[j].order
}

func (h stepHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *stepHeap) Push(x any) { *h = append(*h, x.(step)) }

func (h *stepHeap) Pop() any {
	last := len(*h) - 1
	st := (*h)[last]
	(*h)[last] = step{}
	*h = (*h)[:last]
	return st
}
