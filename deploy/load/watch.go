package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/internal/trial"
)

// warm is how long each rate is made before it is measured.
const warm = 3 * time.Second

// measure makes calls at a rate, and reads meanwhile what the server uses. The metrics are read as often as a
// Prometheus does it.
func (d *desk) measure(ctx context.Context, l *load, rate int, lasts time.Duration) (*figures, error) {
	if err := l.run(ctx, &window{failed: map[string]int{}}, rate, warm); err != nil {
		return nil, err
	}
	f := &figures{rate: rate, window: &window{failed: map[string]int{}}}
	log, err := os.Stat(d.at("server.log"))
	if err != nil {
		return nil, err
	}
	before, err := d.usage()
	if err != nil {
		return nil, err
	}
	if f.before, err = d.scrape(ctx); err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- d.watch(watching, l, f) }()
	begin := time.Now()
	err = l.run(ctx, f.window, rate, lasts)
	f.lasts = time.Since(begin)
	stop()
	if watchErr := <-watched; err == nil {
		err = watchErr
	}
	if err != nil {
		return nil, err
	}
	after, err := d.usage()
	if err != nil {
		return nil, err
	}
	f.usage = after.less(before)
	if f.after, err = d.scrape(ctx); err != nil {
		return nil, err
	}
	for _, took := range f.took {
		f.all = append(f.all, took...)
	}
	slices.Sort(f.all)
	slices.Sort(f.late)
	f.own, err = d.ownTimes(f, log.Size())
	return f, err
}

// usage is how much processor time was used: by those three processes, by all else that runs here, and by the machine
// below.
type usage struct{ server, upstream, generator, others, stolen time.Duration }

func (d *desk) usage() (u usage, err error) {
	if u.others, u.stolen, err = trial.Machine(); err != nil {
		return u, err
	}
	for _, p := range []struct {
		pid  int
		used *time.Duration
	}{{d.server.PID(), &u.server}, {d.upstream.PID(), &u.upstream}, {os.Getpid(), &u.generator}} {
		if *p.used, err = trial.CPU(p.pid); err != nil {
			return u, fmt.Errorf("a process has ended: %w", err)
		}
		u.others -= *p.used
	}
	return u, nil
}

func (u usage) less(v usage) usage {
	return usage{u.server - v.server, u.upstream - v.upstream, u.generator - v.generator, u.others - v.others, u.stolen - v.stolen}
}

// second is what was seen in a second.
type second struct {
	usage
	resident int64 // Bytes of the server.
	ended    int   // Calls.
	slowest  float32
}

// watch looks each second, and reads the metrics each five, until the context ends.
func (d *desk) watch(ctx context.Context, l *load, f *figures) error {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	before, err := d.usage()
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		now, err := d.usage()
		if err != nil {
			return err
		}
		s := second{usage: now.less(before)}
		before = now
		if s.resident, err = trial.Memory(d.server.PID(), "VmRSS"); err != nil {
			return err
		}
		l.mu.Lock()
		s.ended, s.slowest = f.inSecond, f.slowest
		f.inSecond, f.slowest = 0, 0
		l.mu.Unlock()
		f.seconds = append(f.seconds, s)
		if n%5 == 0 {
			if _, err := d.scrape(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// sample is what the server's metrics say at a moment.
type sample struct{ calls, upstream histogram }

func (d *desk) scrape(ctx context.Context) (s sample, err error) {
	page, err := get(ctx, "http://"+d.admin+"/metrics")
	if err != nil {
		return s, err
	}
	s.calls = readHistogram(string(page), "backupstorage_call_duration_seconds")
	s.upstream = readHistogram(string(page), "backupstorage_graph_request_duration_seconds")
	if s.calls.buckets == nil || s.upstream.buckets == nil {
		return s, fmt.Errorf("the metrics have no durations")
	}
	return s, nil
}

// histogram is one of Prometheus, with all its series added up.
type histogram struct {
	sum, count float64
	buckets    map[float64]float64 // Upper bound in seconds, to how many took at most that.
}

func readHistogram(page, name string) (h histogram) {
	for line := range strings.Lines(page) {
		rest, is := strings.CutPrefix(line, name)
		if !is {
			continue
		}
		series, text, _ := strings.Cut(rest, "} ")
		value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(series, "_sum"):
			h.sum += value
		case strings.HasPrefix(series, "_count"):
			h.count += value
		case strings.HasPrefix(series, "_bucket"):
			_, bound, _ := strings.Cut(series, `le="`)
			le, err := strconv.ParseFloat(strings.TrimSuffix(bound, `"`), 64)
			if err != nil {
				continue
			}
			if h.buckets == nil {
				h.buckets = map[float64]float64{}
			}
			h.buckets[le] += value
		}
	}
	return h
}

func (h histogram) less(other histogram) histogram {
	d := histogram{sum: h.sum - other.sum, count: h.count - other.count, buckets: map[float64]float64{}}
	for le, value := range h.buckets {
		d.buckets[le] = value - other.buckets[le]
	}
	return d
}

func (h histogram) mean() float64 { return h.sum / max(1, h.count) }

// bound is the bucket that a part of the values fits into.
func (h histogram) bound(part float64) string {
	best := math.Inf(1)
	for le, value := range h.buckets {
		if value >= part*h.count {
			best = min(best, le)
		}
	}
	return fmt.Sprintf("%g ms", 1000*best)
}
