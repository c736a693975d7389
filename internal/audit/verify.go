package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// maxLine bounds a line that is read, in bytes. Those that are written have less than half of it.
	maxLine = 64 << 10
	// maxListed is how many bad lines, and how many attempts without an outcome, are listed one by one.
	maxListed = 20
)

// Input is a file to verify.
type Input struct {
	// Name is how messages name it.
	Name   string
	Reader io.Reader
}

// Verify reads audit files, in any order, and says of each instance which lines are missing. whole is false when lines
// within an instance are missing or there twice, or when something in the files is no audit line. Nothing in the files
// can show that lines before the first or after the last one of an instance are missing: the text says where these are.
//
// The error is that of a file that cannot be read.
func Verify(inputs ...Input) (text string, whole bool, err error) {
	v := &verification{instances: make(map[string]*instance)}
	for _, input := range inputs {
		if err := v.read(input); err != nil {
			return "", false, fmt.Errorf("%s: %w", input.Name, err)
		}
	}
	return v.report()
}

type verification struct {
	instances map[string]*instance
	lines     uint64
	bad       uint64
	listed    []string
}

// instance is what the files have of one instance.
type instance struct {
	name string
	// spans are the seqs that are there, in order and not touching each other.
	spans       []span
	first, last time.Time
	ended       bool
	twice       uint64
	// lost are the lines that others say could not be written: by the seq of the line that says so.
	lost map[uint64]uint64
	// attempts have no outcome yet; outcomes came before their attempt, as the order of the files can have it.
	attempts map[uint64]string
	outcomes map[uint64]bool
}

type span struct{ from, to uint64 }

func (v *verification) read(input Input) error {
	reader := bufio.NewReaderSize(input.Reader, maxLine)
	for number := 1; ; number++ {
		text, err := reader.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = reader.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if text = bytes.TrimSpace(text); tooLong || len(text) > 0 {
			v.add(input.Name, number, text, tooLong)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
}

func (v *verification) add(name string, number int, text []byte, tooLong bool) {
	v.lines++
	var l line
	if tooLong || json.Unmarshal(text, &l) != nil || !isInstance(l.Instance) || l.Seq == 0 || l.Kind == "" {
		v.bad++
		if len(v.listed) < maxListed {
			v.listed = append(v.listed, fmt.Sprintf("%s:%d: is no whole audit line", name, number))
		}
		return
	}
	i := v.instances[l.Instance]
	if i == nil {
		i = &instance{
			name: l.Instance, first: l.Time, last: l.Time, lost: make(map[uint64]uint64),
			attempts: make(map[uint64]string), outcomes: make(map[uint64]bool),
		}
		v.instances[l.Instance] = i
	}
	i.add(&l)
}

// isInstance reports whether a text can be an instance: what a report shows must not move the cursor of a terminal.
func isInstance(text string) bool {
	return text != "" && len(text) <= 64 && strings.Trim(text, "0123456789abcdef") == ""
}

func (i *instance) add(l *line) {
	if !i.note(l.Seq) {
		i.twice++
		return
	}
	if l.Time.Before(i.first) {
		i.first = l.Time
	}
	if l.Time.After(i.last) {
		i.last = l.Time
	}
	if l.Lost > 0 {
		i.lost[l.Seq] = l.Lost
	}
	switch l.Kind {
	case kindEnd:
		i.ended = true
	case kindAttempt:
		if i.outcomes[l.Seq] {
			delete(i.outcomes, l.Seq)
		} else {
			i.attempts[l.Seq] = fmt.Sprintf("%s %q, request id %q", l.Time.Format(time.RFC3339), l.RPC, l.RequestID)
		}
	case kindOutcome:
		if _, ok := i.attempts[l.Attempt]; ok {
			delete(i.attempts, l.Attempt)
		} else {
			i.outcomes[l.Attempt] = true
		}
	}
}

// note notes that a seq is there, and reports whether it was not before.
func (i *instance) note(seq uint64) bool {
	at, _ := slices.BinarySearchFunc(i.spans, seq, func(s span, seq uint64) int {
		if s.to < seq {
			return -1
		}
		return 1
	})
	// Now spans[at] is the first that ends at seq or later.
	if at < len(i.spans) && i.spans[at].from <= seq {
		return false
	}
	joinsBefore := at > 0 && i.spans[at-1].to+1 == seq
	joinsAfter := at < len(i.spans) && i.spans[at].from == seq+1
	switch {
	case joinsBefore && joinsAfter:
		i.spans[at-1].to = i.spans[at].to
		i.spans = slices.Delete(i.spans, at, at+1)
	case joinsBefore:
		i.spans[at-1].to = seq
	case joinsAfter:
		i.spans[at].from = seq
	default:
		i.spans = slices.Insert(i.spans, at, span{seq, seq})
	}
	return true
}

func (v *verification) report() (string, bool, error) {
	var b strings.Builder
	whole := v.bad == 0
	all := slices.SortedFunc(maps.Values(v.instances), func(a, b *instance) int {
		if c := a.first.Compare(b.first); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	gaps := 0
	for _, i := range all {
		n := i.report(&b)
		gaps += n
		whole = whole && n == 0 && i.twice == 0
	}
	for _, text := range v.listed {
		fmt.Fprintln(&b, text)
	}
	if more := v.bad - uint64(len(v.listed)); more > 0 {
		fmt.Fprintf(&b, "%d more lines are no whole audit lines\n", more)
	}
	fmt.Fprintf(&b, "%d lines of %d instances, %d gaps\n", v.lines, len(all), gaps)
	return b.String(), whole, nil
}

// report writes what there is to say of an instance and returns how many gaps it has.
func (i *instance) report(b *strings.Builder) int {
	from, to := i.spans[0].from, i.spans[len(i.spans)-1].to
	fmt.Fprintf(b, "instance %s: seq %d to %d, from %s to %s\n", i.name, from, to, i.first.Format(time.RFC3339), i.last.Format(time.RFC3339))
	if from > 1 {
		fmt.Fprintf(b, "  seq 1 to %d are not in these files\n", from-1)
	}
	for n := 1; n < len(i.spans); n++ {
		gap, next := span{i.spans[n-1].to + 1, i.spans[n].from - 1}, i.spans[n].from
		why := "they were removed, or are not in these files"
		if i.lost[next] >= gap.to-gap.from+1 {
			why = "they could not be written when they came"
		}
		fmt.Fprintf(b, "  seq %d to %d are missing: %s\n", gap.from, gap.to, why)
	}
	if i.twice > 0 {
		fmt.Fprintf(b, "  %d lines have a seq that was there before\n", i.twice)
	}
	listed := 0
	for _, seq := range slices.Sorted(maps.Keys(i.attempts)) {
		if listed++; listed > maxListed {
			fmt.Fprintf(b, "  %d more attempts have no outcome\n", len(i.attempts)-maxListed)
			break
		}
		fmt.Fprintf(b, "  seq %d has no outcome, the write may have been carried out: %s\n", seq, i.attempts[seq])
	}
	if !i.ended {
		fmt.Fprintf(b, "  there is no last line: the process runs, was killed, or the end is not in these files\n")
	}
	return len(i.spans) - 1
}
