// Command compare decodes the page with every decoder and prints the medians. Each round runs all decoders, so that
// other load on the machine affects all of them.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/m365backup/backupstorage/cmd/protoc-gen-graph/bench"
)

// sample is the cost of one decoding.
type sample struct {
	nanoseconds, bytes, allocations float64
}

func main() {
	rounds := flag.Int("rounds", 200, "how often each decoder decodes the page")
	only := flag.String("only", "", "run this decoder or encoder alone and print nothing, for profilers")
	odd := flag.Bool("odd", false, "with -only: a page whose units are unlike each other")
	flag.Parse()
	if err := run(*rounds, *only, *odd); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(rounds int, only string, odd bool) error {
	graphPage := bench.NewPage()
	if only != "" {
		if odd {
			graphPage = bench.NewOddPage()
		}
		return repeat(rounds, only, graphPage)
	}
	protoPage, err := bench.NewProtoJSON()
	if err != nil {
		return err
	}
	samples := make([][]sample, len(bench.Decoders))
	for range rounds {
		for i, decoder := range bench.Decoders {
			page := graphPage
			if decoder.ProtoJSON {
				page = protoPage
			}
			one, err := measure(decoder, page)
			if err != nil {
				return fmt.Errorf("%s: %w", decoder.Name, err)
			}
			samples[i] = append(samples[i], one)
		}
	}
	fmt.Printf("page of %d units, %d bytes each; %s %s/%s; medians of %d interleaved rounds\n\n",
		bench.Units, len(graphPage)/bench.Units, runtime.Version(), runtime.GOOS, runtime.GOARCH, rounds)
	fmt.Println("| decoder | µs | ratio | µs per unit | kB | allocations |")
	fmt.Println("|---|---|---|---|---|---|")
	first := median(samples[0], func(s sample) float64 { return s.nanoseconds })
	for i, decoder := range bench.Decoders {
		ns := median(samples[i], func(s sample) float64 { return s.nanoseconds })
		bytes := median(samples[i], func(s sample) float64 { return s.bytes })
		allocations := median(samples[i], func(s sample) float64 { return s.allocations })
		fmt.Printf("| %s | %.0f | %.1f | %.2f | %.0f | %.0f |\n",
			decoder.Name, ns/1e3, ns/first, ns/1e3/bench.Units, bytes/1e3, allocations)
	}
	return nil
}

// repeat runs one decoder or encoder only.
func repeat(rounds int, name string, page []byte) error {
	var dst, body []byte
	for _, encoder := range bench.Encoders {
		for n := 0; encoder.Name == name && n < rounds; n++ {
			var err error
			body = append(body[:0], page...)
			if dst, err = encoder.Encode(dst[:0], body); err != nil {
				return err
			}
		}
	}
	for _, decoder := range bench.Decoders {
		for n := 0; decoder.Name == name && n < rounds; n++ {
			if _, err := decoder.Decode(append([]byte(nil), page...)); err != nil {
				return err
			}
		}
	}
	return nil
}

func measure(decoder bench.Decoder, page []byte) (sample, error) {
	body := append([]byte(nil), page...)
	// Otherwise the garbage of the previous decoder could be collected in the time of this one.
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	message, err := decoder.Decode(body)
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(message)
	return sample{
		nanoseconds: float64(elapsed.Nanoseconds()),
		bytes:       float64(after.TotalAlloc - before.TotalAlloc),
		allocations: float64(after.Mallocs - before.Mallocs),
	}, err
}

func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
