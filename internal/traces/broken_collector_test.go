package traces

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A collector that is down, slow or refuses costs calls nothing. Servers with each kind of collector get calls in turn,
// so that what else the machine does comes to all of them.
func TestBrokenCollectorCostsCallsNothing(t *testing.T) {
	const each = 100
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	type subject struct {
		*traced
		name string
		// p99 has that of each round.
		p99     []time.Duration
		slowest time.Duration
	}
	var subjects []*subject
	for _, c := range []struct {
		name    string
		prepare func()
	}{
		{"off", func() {}},
		{"well", func() {
			// It keeps nothing, for it shares the heap with the servers.
			(&collector{forget: true}).serve(t)
		}},
		{"down", func() { t.Setenv(endpointVariable, "http://127.0.0.1:1") }},
		{"slow", func() {
			(&collector{respond: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}).serve(t)
		}},
		{"refusing", func() {
			(&collector{respond: func(context.Context) error { return status.Error(codes.PermissionDenied, canary) }}).serve(t)
		}},
	} {
		c.prepare()
		w := start(t, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			io.WriteString(rw, `{"id":"p","@odata.type":"#microsoft.graph.exchangeProtectionPolicy"}`)
		})
		subjects = append(subjects, &subject{traced: w, name: c.name})
	}
	round := func(s *subject) time.Duration {
		took := make([]time.Duration, each)
		for i := range took {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), maxCall)
			if err := s.get(ctx); err != nil {
				t.Fatalf("%s: after %v: %v", s.name, time.Since(began), err)
			}
			cancel()
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		s.slowest = max(s.slowest, took[each-1])
		return took[each*99/100-1]
	}
	// What the first calls make stays. The logs have their room before.
	for _, s := range subjects {
		s.log.b.Grow(4 << 20)
		round(s)
	}
	// measure returns who is slower than it may be, compared with a collector that is well. A few rounds say little.
	measure := func() (slower []string) {
		for _, s := range subjects {
			s.p99 = s.p99[:0]
		}
		for range rounds {
			for _, s := range subjects {
				s.p99 = append(s.p99, round(s))
			}
		}
		for _, s := range subjects {
			slices.Sort(s.p99)
			if well := subjects[1].p99[rounds/2]; !testing.Short() && s.p99[rounds/2] > maxSlower*well {
				slower = append(slower, fmt.Sprintf("%s: p99 %v, with a collector that is well %v", s.name, s.p99[rounds/2], well))
			}
		}
		return slower
	}
	before := heap()
	// What else the machine does can hit one of them more than the others, but not each time.
	slower := measure()
	for range 2 {
		if len(slower) > 0 {
			t.Logf("measured again: %v", slower)
			slower = measure()
		}
	}
	if len(slower) > 0 {
		t.Errorf("three times: %v", slower)
	}
	grown := heap() - before
	if t.Logf("heap %+d kB", grown>>10); grown > maxHeap {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	for _, s := range subjects {
		t.Logf("%s: p99 %v, slowest %v", s.name, s.p99[rounds/2], s.slowest)
	}
	for _, s := range subjects[1:] {
		t.Logf("%s: %d spans waiting, %d dropped", s.name, s.queue.waiting.Load(), s.Dropped())
		if waiting := s.queue.waiting.Load(); waiting > maxQueued {
			t.Errorf("%s: %d spans wait, want at most %d", s.name, waiting, maxQueued)
		}
		began := time.Now()
		s.Close()
		if ended := time.Since(began); ended > closeTime+5*time.Second {
			t.Errorf("%s: closing took %v", s.name, ended)
		}
		if strings.Contains(s.log.String(), canary+`"`) || strings.Count(s.log.String(), "spans were dropped") > 1 {
			t.Errorf("%s: the log: %.2000s", s.name, s.log)
		}
	}
}
