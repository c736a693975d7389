// Command replicas proves what README.md beside it says: that three replicas with one Redis behave like one.
//
// Usage, at the root of the repository, with redis-server 7 on PATH:
//
//	go run ./deploy/replicas chaos    [-keys 10000] [-seed 1] [-rate 100] [-stops] [-plant double,loss,error]
//	go run ./deploy/replicas gap
//	go run ./deploy/replicas outage   [-for 60s]
//	go run ./deploy/replicas throttle [-for 2m]
//	go run ./deploy/replicas rolling  [-old PROGRAM]
//
// All have -server for a program that is built already. chaos has -idempotency memory, with which it must fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/m365backup/backupstorage/internal/trial"
)

type options struct {
	keys, rate  int
	seed        uint64
	stops       bool
	plant       string
	server, old string
	idempotency string
	length      time.Duration
}

var proofs = map[string]func(context.Context, string, options) error{
	"chaos": proveChaos, "gap": proveGap, "outage": proveOutage, "throttle": proveThrottle, "rolling": proveRolling,
}

func main() {
	var o options
	flags := flag.NewFlagSet("replicas", flag.ExitOnError)
	flags.IntVar(&o.keys, "keys", 10000, "number of keys, of which each is sent three times")
	flags.IntVar(&o.rate, "rate", 50, "keys a second")
	flags.Uint64Var(&o.seed, "seed", 1, "which keys, events and losses")
	flags.BoolVar(&o.stops, "stops", false, "also freeze replicas for longer than a lease")
	flags.StringVar(&o.plant, "plant", "", "faults that must be found: double, loss, error, with commas")
	flags.DurationVar(&o.length, "for", time.Minute, "how long Redis is stopped, or the throttled load lasts")
	flags.StringVar(&o.server, "server", "", "the server's program; without it, it is built")
	flags.StringVar(&o.old, "old", "", "the program of version N-1; without it, that of -server with another version")
	flags.StringVar(&o.idempotency, "idempotency", "redis", "--idempotency of the servers in chaos: with memory it must fail")
	if len(os.Args) < 2 || proofs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: replicas chaos|gap|outage|throttle|rolling [FLAGS]")
		os.Exit(2)
	}
	// It exits by itself.
	_ = flags.Parse(os.Args[2:])
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := prove(ctx, os.Args[1], o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "replicas:", err)
		os.Exit(1)
	}
}

func prove(ctx context.Context, what string, o options) (err error) {
	folder, err := os.MkdirTemp("", "replicas")
	if err != nil {
		return err
	}
	// The logs are worth reading only if something failed.
	defer func() {
		if err == nil {
			_ = os.RemoveAll(folder)
		} else {
			err = fmt.Errorf("%w\nlogs in %s", err, folder)
		}
	}()
	if o.server == "" {
		o.server = filepath.Join(folder, "server")
		if err := trial.BuildServer(o.server); err != nil {
			return err
		}
	}
	return proofs[what](ctx, folder, o)
}

// losses are rules of the emulator that lose the answers to creates: at five points, one in 25 each. Each has a seed of
// its own, or all would draw alike, and only the first one would ever act.
func losses(seed uint64, held bool) string {
	points := []string{
		`"id":"before","cut":"before"`, `"id":"after","cut":"after"`, `"id":"within","cut":"within"`,
		`"id":"gateway","status":504,"afterWork":true`,
	}
	if held {
		points = append(points, `"id":"held","delay":"40s","afterWork":true`)
	}
	for i, point := range points {
		points[i] = fmt.Sprintf(`{"operation":"POST *","probability":0.04,"probabilitySeed":%d,%s}`, seed*uint64(len(points))+uint64(i), point)
	}
	return "[" + strings.Join(points, ",") + "]"
}

// ruleLate is the rule that holds a request up for longer than a lease.
const ruleLate = "late"

// proveChaos sends keys while replicas and Redis die.
func proveChaos(ctx context.Context, folder string, o options) error {
	f, err := startFleet(ctx, folder, o.server, "--idempotency", o.idempotency)
	if err != nil {
		return err
	}
	defer f.stop()
	l := &load{fleet: f, tenants: max(50, o.keys/10)}
	if err := f.seed(ctx, l.tenants); err != nil {
		return err
	}
	// Graph's clock goes as the servers' own: they look for what was created a short time ago.
	if err := errors.Join(f.clockAsReal(ctx), f.faults(ctx, losses(o.seed, true))); err != nil {
		return err
	}
	kinds := []what{replicaKilled, failover, masterKilled, flushed}
	if o.stops {
		kinds = append(kinds, replicaFrozen)
	}
	happening, stopEvents := context.WithCancel(ctx)
	defer stopEvents()
	ledger := trial.NewLedger()
	following, stopFollowing := context.WithCancel(ctx)
	defer stopFollowing()
	followed := make(chan error, 1)
	go func() { followed <- ledger.Follow(following, f.emulator, 5*time.Second) }()
	var events []event
	happened := make(chan error, 1)
	go func() {
		var err error
		events, err = f.happen(happening, schedule(o.seed, kinds, lease), os.Stdout)
		happened <- err
	}()
	l.run(ctx, o.keys, o.rate, rand.New(rand.NewPCG(o.seed, 0)), lease)
	stopEvents()
	err = <-happened
	stopFollowing()
	err = errors.Join(err, <-followed)
	if err == nil {
		err = f.plant(ctx, o.plant, l.results)
	}
	if err = errors.Join(err, ledger.Read(ctx, f.emulator)); err != nil {
		return err
	}
	v := judge(l.results, append(events, f.fresh), book{ledger.Created, ledger.Removed, ledger.Faults}, lease)
	return v.report()
}

// report prints a verdict, and returns an error if it has faults.
func (v *verdict) report() error {
	fmt.Println(v)
	return trial.Report(v.faults)
}
