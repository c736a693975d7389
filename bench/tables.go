package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// spread is the median of values, and their range.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	values = slices.Sorted(slices.Values(values))
	return spread{values[len(values)/2], values[0], values[len(values)-1]}
}

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.low, s.high) }

func milliseconds(costs []time.Duration) spread {
	var values []float64
	for _, c := range costs {
		values = append(values, float64(c)/float64(time.Millisecond))
	}
	return spreadOf(values)
}

// against is what a server costs as a multiple of the raw call and the bare server together, round by round.
func (s *stage) against(t *target, w work) spread {
	var values []float64
	for n, cost := range t.cost[w] {
		values = append(values, float64(cost)/float64(s.raw.cost[w][n]+t.floor.cost[w][n]))
	}
	return spreadOf(values)
}

// tables writes what was measured.
func (s *stage) tables() string {
	var b strings.Builder
	for _, width := range []int{64, 1} {
		title := "CPU of a call, one after the other"
		if width > 1 {
			title = fmt.Sprintf("CPU of a call, %d in flight", width)
		}
		small, page := work{smallCall, width}, work{pageCall, width}
		fmt.Fprintf(&b, "| %s | small, ms | page, ms | small, against raw + bare | page, against raw + bare |\n|---|---|---|---|---|\n", title)
		row := func(name string, cost map[work][]time.Duration, ratios ...any) {
			fmt.Fprintf(&b, "| %s | %.3f | %.2f | ", name, milliseconds(cost[small]).median, milliseconds(cost[page]).median)
			fmt.Fprintln(&b, fmt.Sprint(ratios[0])+" | "+fmt.Sprint(ratios[1])+" |")
		}
		row("raw: `net/http`, body thrown away", s.raw.cost, "", "")
		row("bare: grpc-go with a message that is there, TLS", s.bareTLS.cost, "", "")
		row("the same without TLS", s.barePlain.cost, "", "")
		for _, t := range s.targets {
			row("server, "+t.name, t.cost, s.against(t, small), s.against(t, page))
		}
		if s.sdk != nil {
			row("Microsoft's Go SDK alone, no gRPC", s.sdk.cost, s.sdkAgainst(small), s.sdkAgainst(page))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "| server | calls a second and core, small | pages a second and core | resident before a call, MB | after 64 pages in flight, MB | of each page in flight, MB |\n|---|---|---|---|---|---|\n")
	for _, t := range s.targets {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | %.0f | %.1f |\n", t.name, 1000/milliseconds(t.cost[work{smallCall, 64}]).median,
			1000/milliseconds(t.cost[work{pageCall, 64}]).median, mega(t.idle), mega(t.pages), mega(max(0, t.pages-t.idle))/64)
	}
	return b.String()
}

func (s *stage) sdkAgainst(w work) spread {
	var values []float64
	for n, cost := range s.sdk.cost[w] {
		values = append(values, float64(cost)/float64(s.raw.cost[w][n]+s.bareTLS.cost[w][n]))
	}
	return spreadOf(values)
}

func mega(bytes int64) float64 { return float64(bytes) / 1e6 }

// goal is a figure with what it should be.
type goal struct {
	what     string
	is, most float64
	unit     string
	loose    float64 // What fails in CI, on a machine that others use; 0 for nothing.
}

func (g goal) String() string {
	reached := "yes"
	if g.is > g.most {
		reached = "no"
	}
	return fmt.Sprintf("| %s | %.3g%s | at most %g%s | %s |", g.what, g.is, g.unit, g.most, g.unit, reached)
}

// ratios are the figures that the rounds give, of the server with everything on.
func (s *stage) ratios() []goal {
	t := s.targets[0]
	var errorRatios []float64
	for n, cost := range t.cost[work{errorCall, 64}] {
		errorRatios = append(errorRatios, float64(cost)/float64(t.cost[work{smallCall, 64}][n]))
	}
	goals := []goal{
		{"small call, 64 in flight, against raw + bare", s.against(t, work{smallCall, 64}).median, 1.4, "", 4},
		{"small call alone", s.against(t, work{smallCall, 1}).median, 1.4, "", 5},
		{"page, 64 in flight", s.against(t, work{pageCall, 64}).median, 1.15, "", 2},
		{"page alone", s.against(t, work{pageCall, 1}).median, 1.25, "", 2.6},
		{"resident right after 64 pages in flight", mega(t.pages), 140, " MB", 200},
		{"error with 50 details, against a small call", spreadOf(errorRatios).median, 1.5, "", 3},
		{"ready after its start", t.start.Seconds(), 0.1, " s", 1},
		{"resident before a call", mega(t.idle), 40, " MB", 40},
	}
	if s.sdk != nil {
		var values []float64
		for n, cost := range t.cost[work{pageCall, 64}] {
			values = append(values, float64(cost)/float64(s.sdk.cost[work{pageCall, 64}][n]))
		}
		goals = append(goals, goal{"page, against Microsoft's Go SDK", spreadOf(values).median, 0.05, "", 0})
	}
	return goals
}

// guard fails if a figure is above what even a busy machine shows.
func guard(goals []goal) error {
	var faults []error
	for _, g := range goals {
		if g.loose > 0 && g.is > g.loose {
			faults = append(faults, fmt.Errorf("%s: %.3g%s is more than %g%s", g.what, g.is, g.unit, g.loose, g.unit))
		}
	}
	return errors.Join(faults...)
}
