// Command load finds how many calls a second the built server holds on one processor, with everything switched on that
// production has, and holds a rate. README.md beside it says what is measured and how.
//
// Usage, at the root of the repository:
//
//	go run ./deploy/load                        # finds the highest rate that is held
//	go run ./deploy/load -rate 3000 -for 10m    # holds one rate
//
// It fails when the rate was not held: a call failed or took too long, memory grew, or the emulator's ledger and what
// clients saw differ. -plant makes one of these go wrong.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/m365backup/backupstorage/internal/trial"
)

type options struct {
	rate, from, step     int
	hold, each, limit    time.Duration
	seed                 uint64
	connections, tenants int
	writes               int
	server, plant        string
	profile, seconds     string
	growth               float64
}

// core is where everything but the server runs. The server has the processor 0 for itself.
const core = "1"

// pinnedMark is the variable that tells a process that it is on its processor already.
const pinnedMark = "LOAD_IS_PINNED"

func main() {
	var o options
	flag.IntVar(&o.rate, "rate", 0, "calls a second; 0 finds the highest rate that is held")
	flag.DurationVar(&o.hold, "for", time.Minute, "how long the rate is held")
	flag.IntVar(&o.from, "from", 1000, "first rate of the search")
	flag.IntVar(&o.step, "step", 250, "how much more each further rate of the search is")
	flag.DurationVar(&o.each, "each", 15*time.Second, "how long the search stays at a rate")
	flag.DurationVar(&o.limit, "p99", 50*time.Millisecond, "99 of 100 calls may take this long")
	flag.Float64Var(&o.growth, "growth", 0.1, "how much more memory the server may have in the last quarter than in the second, as a part of it")
	flag.Uint64Var(&o.seed, "seed", 1, "which calls, and when")
	flag.IntVar(&o.connections, "connections", 32, "connections; each other one is of a caller with a token")
	flag.IntVar(&o.tenants, "tenants", 300, "tenants")
	flag.IntVar(&o.writes, "writes", 10, "how many of 100 calls are writes")
	flag.StringVar(&o.server, "server", "", "the server's program; without it, it is built")
	flag.StringVar(&o.plant, "plant", "", "what goes wrong: lost-write, double-write or leak")
	flag.StringVar(&o.profile, "profile", "", "file for a profile of the server's processor time while the rate is held")
	flag.StringVar(&o.seconds, "seconds", "", "file for a table of what was seen in each second")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := pinned()
	if err == nil {
		err = prove(ctx, o)
	}
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// pinned starts the program anew on its own processor, so that it and what it starts leave the server's one alone. It
// returns when that has been done.
func pinned() error {
	if os.Getenv(pinnedMark) != "" {
		return nil
	}
	if runtime.NumCPU() < 2 {
		return fmt.Errorf("this machine has %d processor; the server and its clients need one each", runtime.NumCPU())
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return fmt.Errorf("taskset of util-linux, which pins processes, is missing: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	// It is this program.
	return syscall.Exec(taskset, append([]string{"taskset", "-c", core, program}, os.Args[1:]...), append(os.Environ(), pinnedMark+"=1", "GOGC="+lazyCollector))
}

func prove(ctx context.Context, o options) (err error) {
	if o.plant != "" && plants[o.plant] == nil {
		return fmt.Errorf("there is no -plant %q: lost-write, double-write and leak are there", o.plant)
	}
	if o.rate < 0 || o.from < 1 || o.step < 1 || o.connections < 2 || o.tenants < 1 || o.writes < 0 || o.writes > 100 || o.hold < 4*time.Second {
		return fmt.Errorf("a flag is out of range: at least 2 connections, 1 tenant, 0 to 100 writes, 4 s")
	}
	d, err := startDesk(ctx, o)
	if err != nil {
		return err
	}
	// The logs are worth reading only if something failed.
	defer func() { err = d.end(err) }()
	l, err := d.connect(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	if o.rate == 0 {
		if o.rate, err = search(ctx, d, l, o); err != nil {
			return err
		}
		fmt.Printf("held for %v each: up to %d calls/s; now for %v\n", o.each, o.rate, o.hold)
	}
	return hold(ctx, d, l, o)
}

// search steps up until a rate is not held, and returns the last one that was.
func search(ctx context.Context, d *desk, l *load, o options) (int, error) {
	fmt.Println(figuresHead)
	best := 0
	for rate := o.from; ctx.Err() == nil; rate += o.step {
		f, err := d.measure(ctx, l, rate, o.each)
		if err != nil {
			return best, err
		}
		fmt.Println(f)
		if faults := f.faults(o.limit); len(faults) > 0 {
			fmt.Printf("%d calls/s are too many: %v\n", rate, faults)
			break
		}
		best = rate
	}
	if best == 0 {
		return 0, fmt.Errorf("%d calls/s are too many already", o.from)
	}
	return best, ctx.Err()
}

// hold keeps one rate, and judges all that was seen.
func hold(ctx context.Context, d *desk, l *load, o options) error {
	if plant := plants[o.plant]; plant != nil {
		stop, err := plant(ctx, d, l)
		if err != nil {
			return err
		}
		defer stop()
	}
	profiled := make(chan error, 1)
	if o.profile != "" {
		go func() { profiled <- d.writeProfile(ctx, o.profile, o.hold/2) }()
	} else {
		profiled <- nil
	}
	f, err := d.measure(ctx, l, o.rate, o.hold)
	if err != nil {
		return err
	}
	if err := <-profiled; err != nil {
		return err
	}
	if o.seconds != "" {
		if err := f.writeSeconds(o.seconds); err != nil {
			return err
		}
	}
	if err := d.book.Read(ctx, d.emulator); err != nil {
		return err
	}
	v := judge(l.seen(), d.book.Created, d.book.Removed)
	fmt.Printf("%s\n%s\n\n%s\n%s\n%s\n", figuresHead, f, f.more(), f.memory(), v)
	v.faults = append(v.faults, f.faults(o.limit)...)
	if f.growth() > o.growth {
		v.faults = append(v.faults, fmt.Sprintf("memory grew by %.0f %%", 100*f.growth()))
	}
	if err := d.auditIsWhole(ctx, v); err != nil {
		v.faults = append(v.faults, err.Error())
	}
	return trial.Report(v.faults)
}
