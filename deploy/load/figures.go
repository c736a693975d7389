package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// window is what the generator saw in a stretch of time. Its users lock.
type window struct {
	took   [remove + 1][]float32 // Milliseconds from the planned moment, by kind.
	late   []float32             // Milliseconds from the planned moment until the call was handed to gRPC.
	failed map[string]int        // By reason.

	inSecond int     // How many calls ended since the last look.
	slowest  float32 // Of those.
}

func (w *window) sent(late time.Duration) { w.late = append(w.late, milliseconds(late)) }

func (w *window) ended(k kind, took time.Duration, err error) {
	w.took[k] = append(w.took[k], milliseconds(took))
	w.inSecond++
	w.slowest = max(w.slowest, milliseconds(took))
	if err != nil {
		w.failed[why(err)]++
	}
}

func milliseconds(d time.Duration) float32 { return float32(d) / float32(time.Millisecond) }

// figures are those of one rate.
type figures struct {
	rate  int
	lasts time.Duration // Until the last call had ended.
	*window
	usage
	all           []float32 // Of all kinds, sorted.
	seconds       []second
	before, after sample
}

const figuresHead = `| planned calls/s | made | p50 ms | p99 | p99.9 | slowest | failed | server's processor | emulator's | generator's | others' | taken by the machine below | sent late, p99 ms |
|---|---|---|---|---|---|---|---|---|---|---|---|---|`

func (f *figures) String() string {
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / f.lasts.Seconds() }
	return fmt.Sprintf("| %d | %.0f | %.1f | %.1f | %.1f | %.0f | %d | %.0f %% | %.0f %% | %.0f %% | %.0f %% | %.0f %% | %.1f |", f.rate,
		float64(len(f.all))/f.lasts.Seconds(), quantile(f.all, 0.5), quantile(f.all, 0.99), quantile(f.all, 0.999), quantile(f.all, 1), f.failures(),
		share(f.server), share(f.upstream), share(f.generator), share(f.others), share(f.stolen), quantile(f.late, 0.99))
}

// more are the figures that say where the time went.
func (f *figures) more() string {
	var b strings.Builder
	fmt.Fprintf(&b, "by kind, p50 / p99 ms:")
	for k, took := range f.took {
		slices.Sort(took)
		fmt.Fprintf(&b, " %s %.1f / %.1f (%d),", kind(k), quantile(took, 0.5), quantile(took, 0.99), len(took))
	}
	calls, upstream := f.after.calls.less(f.before.calls), f.after.upstream.less(f.before.upstream)
	fmt.Fprintf(&b, "\nby the server's metrics: a call %.2f ms, 99 %% in %s; of that the upstream %.2f ms, 99 %% in %s\n",
		1000*calls.mean(), calls.bound(0.99), 1000*upstream.mean(), upstream.bound(0.99))
	fmt.Fprintf(&b, "processor of a call: server %.3f ms, emulator %.3f ms, generator %.3f ms\n", perCall(f.server, f), perCall(f.upstream, f), perCall(f.generator, f))
	var worst []float32
	for _, s := range f.seconds {
		worst = append(worst, s.slowest)
	}
	slices.Sort(worst)
	fmt.Fprintf(&b, "slowest call of a second: %.0f ms in half of the seconds, %.0f ms in 9 of 10, %.0f ms in the worst\n", quantile(worst, 0.5), quantile(worst, 0.9), quantile(worst, 1))
	fmt.Fprintf(&b, "failed: %v", f.failed)
	return b.String()
}

func perCall(d time.Duration, f *figures) float64 {
	return float64(milliseconds(d)) / float64(max(1, len(f.all)))
}

func (f *figures) failures() (n int) {
	for many := range maps.Values(f.failed) {
		n += many
	}
	return n
}

// faults says why the rate was not held; nothing if it was.
func (f *figures) faults(limit time.Duration) (faults []string) {
	if f.failures() > 0 {
		faults = append(faults, fmt.Sprintf("calls failed: %v", f.failed))
	}
	if made := float64(len(f.all)) / f.lasts.Seconds(); made < 0.95*float64(f.rate) {
		faults = append(faults, fmt.Sprintf("only %.0f calls/s ended", made))
	}
	if p99 := quantile(f.all, 0.99); p99 > milliseconds(limit) {
		why := ""
		if late := quantile(f.late, 0.99); late > p99/2 {
			why = fmt.Sprintf(", of which the generator took %.1f ms to send it", late)
		}
		faults = append(faults, fmt.Sprintf("99 of 100 calls took up to %.1f ms%s", p99, why))
	}
	return faults
}

// memory is the server's in each quarter.
func (f *figures) memory() string {
	mebi := func(n int) float64 { return f.quarter(n) / (1 << 20) }
	return fmt.Sprintf("resident memory in the four quarters: %.0f, %.0f, %.0f, %.0f MiB; the last is %+.0f %% of the second", mebi(0), mebi(1), mebi(2), mebi(3), 100*f.growth())
}

// quarter is the mean of the resident memory in a quarter of the time.
func (f *figures) quarter(n int) float64 {
	part := f.seconds[n*len(f.seconds)/4 : (n+1)*len(f.seconds)/4]
	sum := 0.0
	for _, s := range part {
		sum += float64(s.resident)
	}
	return sum / float64(max(1, len(part)))
}

// growth is how much more memory there was in the last quarter than in the second, as a part of that. The first one has
// the growth of a server that has just begun.
func (f *figures) growth() float64 { return f.quarter(3)/f.quarter(1) - 1 }

// writeSeconds writes what was seen in each second, as a table with tabs.
func (f *figures) writeSeconds(file string) error {
	var b strings.Builder
	b.WriteString("second\tcalls\tslowest ms\tresident MiB\tserver ms\temulator ms\tgenerator ms\tothers ms\ttaken ms\n")
	for n, s := range f.seconds {
		fmt.Fprintf(&b, "%d\t%d\t%.0f\t%d\t%d\t%d\t%d\t%d\t%d\n", n+1, s.ended, s.slowest, s.resident>>20, s.server.Milliseconds(),
			s.upstream.Milliseconds(), s.generator.Milliseconds(), s.others.Milliseconds(), s.stolen.Milliseconds())
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}

// quantile of sorted values; 0 if there is none.
func quantile(sorted []float32, q float64) float32 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (k kind) String() string {
	return [...]string{"get policy", "get service", "list policies", "list units", "create policy", "delete policy"}[k]
}
