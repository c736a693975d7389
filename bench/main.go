// Command bench measures what the built server costs beside the two things that it stands between: an HTTP call to
// Graph and a gRPC call of a client. README.md beside it says how, and what came out.
//
// Usage, in this folder:
//
//	go run .                  # the tables, as Markdown
//	go run . -reach           # also 5,000 reads in flight, and memory a minute after a burst
//	go run . -build           # also a build with an empty cache
//	go run . -sdk PROGRAM     # also Microsoft's Go SDK, built by: go build -C sdk -o PROGRAM .
//	go run . -page FILE       # writes the tables into a page, too
//	go run . -guard           # few rounds, and an error if a ratio is far from what it should be
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rounds              int
	server, sdk         string
	reach, build, guard bool
	plant               bool
	page                string
	rest                time.Duration
}

func main() {
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		if err := parts[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", os.Args[1], err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 9, "how often each is measured, in turn; 0 leaves the tables out")
	flag.StringVar(&o.server, "server", "", "the server's program; without it, it is built")
	flag.StringVar(&o.sdk, "sdk", "", "program with Microsoft's Go SDK, see sdk/main.go")
	flag.BoolVar(&o.reach, "reach", false, "measure calls in flight, and memory after a burst, too")
	flag.BoolVar(&o.build, "build", false, "measure a build with an empty cache, too")
	flag.BoolVar(&o.guard, "guard", false, "fail if a ratio is far from what it should be")
	flag.BoolVar(&o.plant, "plant", false, "make the server collect garbage all the time, to show that -guard sees it")
	flag.StringVar(&o.page, "page", "", "page to write the tables into, between its marks")
	flag.DurationVar(&o.rest, "rest", time.Minute, "how long the server rests after a burst, before its memory is read")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	s, err := startStage(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = s.end(err) }()
	var goals []goal
	var out strings.Builder
	if o.rounds > 0 {
		if err := s.measureAll(o.rounds); err != nil {
			return err
		}
		goals = s.ratios()
		fmt.Fprintf(&out, "%s %s/%s, %d processors, %s; medians of %d interleaved rounds, and their range\n\n%s\n",
			runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Now().Format("January 2006"), o.rounds, s.tables())
	}
	if o.reach {
		more, err := s.reach(ctx, o)
		if err != nil {
			return err
		}
		goals = append(goals, more...)
		out.WriteString(s.slowTable())
	}
	if o.build {
		more, err := s.building(ctx)
		if err != nil {
			return err
		}
		goals = append(goals, more...)
	}
	out.WriteString("| figure | is | goal | reached |\n|---|---|---|---|\n")
	for _, g := range goals {
		fmt.Fprintln(&out, g)
	}
	fmt.Print(out.String())
	if o.page != "" {
		if err := writeBetween(o.page, "<!-- tables begin -->\n", "<!-- tables end -->", out.String()); err != nil {
			return err
		}
	}
	if o.guard {
		return guard(goals)
	}
	return nil
}

// writeBetween replaces what stands between two marks of a page.
func writeBetween(file, begin, end, text string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, found := strings.Cut(string(page), begin)
	_, tail, ends := strings.Cut(rest, end)
	if !found || !ends {
		return fmt.Errorf("%s has no marks for the tables", file)
	}
	return os.WriteFile(file, []byte(head+begin+text+end+tail), 0o600)
}
