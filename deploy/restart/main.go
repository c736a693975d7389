// Command restart proves what README.md beside it says: that replicas can be stopped, killed and frozen under load.
//
// Usage, at the root of the repository:
//
//	go run ./deploy/restart envoy   [-events 8] [-seed 1] [-rate 250] [-policy RING_HASH] [-envoy PROGRAM]
//	go run ./deploy/restart grpc-go [-events 8] [-seed 1] [-rate 250]
//	go run ./deploy/restart program -client COMMAND [-events 8] [-seed 1] [-rate 250]
//	go run ./deploy/restart kubelet -numbers FILE [-events 1]
//	go run ./deploy/restart measure [-rate 250] >deploy/kubernetes/sizing.json
//
// All have -server for a program that is built already. The first three have -drain-wait and -drain-timeout for the
// servers; kubelet gets them from the manifests, and -drain-wait or -grace overrule those.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/m365backup/backupstorage/internal/trial"
)

type options struct {
	events, rate            int
	seed                    uint64
	policy, envoy, server   string
	numbers, client         string
	drainWait, drainTimeout time.Duration
	grace                   time.Duration
	given                   map[string]bool // The flags of the command line.
}

func main() {
	var o options
	flags := flag.NewFlagSet("restart", flag.ExitOnError)
	flags.IntVar(&o.events, "events", 8, "number of events")
	flags.IntVar(&o.rate, "rate", 250, "calls a second")
	flags.Uint64Var(&o.seed, "seed", 1, "which events, and when")
	flags.StringVar(&o.policy, "policy", "RING_HASH", "how Envoy balances: RING_HASH or ROUND_ROBIN")
	flags.StringVar(&o.envoy, "envoy", "envoy", "Envoy's program")
	flags.StringVar(&o.server, "server", "", "the server's program; without it, it is built")
	flags.DurationVar(&o.drainWait, "drain-wait", 3*time.Second, "--drain-wait of the servers")
	flags.DurationVar(&o.drainTimeout, "drain-timeout", 15*time.Second, "--drain-timeout of the servers")
	flags.StringVar(&o.numbers, "numbers", "", "file with the numbers of the manifests")
	flags.StringVar(&o.client, "client", "", "command of a client program, which gets addresses and service config as arguments")
	flags.DurationVar(&o.grace, "grace", 0, "grace period, in place of the manifest's")
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: restart envoy|grpc-go|program|kubelet|measure [FLAGS]")
		os.Exit(2)
	}
	// It exits by itself.
	_ = flags.Parse(os.Args[2:])
	o.given = map[string]bool{}
	flags.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := prove(ctx, os.Args[1], o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "restart:", err)
		os.Exit(1)
	}
}

func prove(ctx context.Context, by string, o options) (err error) {
	folder, err := os.MkdirTemp("", "restart")
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
	n, err := o.kubeletNumbers(by)
	if err != nil {
		return err
	}
	// A call that outlasts --drain-wait is one that GracefulStop has to wait for.
	slow := o.drainWait + time.Second
	var p *pods
	if by == "kubelet" {
		slow = longCall
		if p, err = newPods(folder, o.server, n); err != nil {
			return err
		}
	}
	f, err := startFleet(ctx, folder, o.server, slow, p, "--drain-wait", o.drainWait.String(), "--drain-timeout", o.drainTimeout.String())
	if err != nil {
		return err
	}
	defer f.stop()
	l := &load{tenants: f.tenants}
	var w *way
	switch by {
	case "envoy":
		w, err = byEnvoy(ctx, f, o.envoy, o.policy, folder)
	case "grpc-go":
		w, err = byGRPC(f, l)
	case "program":
		w, err = byProgram(ctx, f, l, folder, o.client)
	case "measure":
		w, err = byOne(f)
	case "kubelet":
		return f.playKubelet(ctx, l, p, o.events, o.rate)
	default:
		err = fmt.Errorf("there is no %q: envoy, grpc-go, program, kubelet and measure are there", by)
	}
	if err != nil {
		return err
	}
	defer w.stop()
	l.connection = func() (grpc.ClientConnInterface, func(), error) { return w.connection, func() {}, nil }
	if by == "measure" {
		return f.measure(ctx, l, o.rate)
	}
	return f.proveUnderLoad(ctx, l, w, o)
}

// proveUnderLoad runs the load while the events happen, and judges.
func (f *fleet) proveUnderLoad(ctx context.Context, l *load, w *way, o options) error {
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	book := trial.NewLedger()
	loaded, followed := make(chan struct{}), make(chan error, 1)
	begin := time.Now()
	go func() {
		l.run(loading, o.rate)
		close(loaded)
	}()
	go func() { followed <- book.Follow(loading, f.emulator, 5*time.Second) }()
	events, err := f.happen(ctx, schedule(o.seed, o.events), o.drainWait+o.drainTimeout, w.takesCalls, os.Stdout)
	stopLoad()
	<-loaded
	err = errors.Join(err, <-followed, book.Read(ctx, f.emulator))
	v := judge(l.seen(), events, book.Created)
	fmt.Printf("%.0f calls/s\n", float64(v.calls)/time.Since(begin).Seconds())
	return errors.Join(err, report(v))
}

// kubeletNumbers returns the numbers of the manifests with those of the command line in their place.
func (o *options) kubeletNumbers(by string) (n numbers, err error) {
	if by != "kubelet" {
		return n, nil
	}
	if n, err = readNumbers(o.numbers); err != nil {
		return n, err
	}
	if o.given["drain-wait"] {
		n.DrainWait = o.drainWait
	}
	if o.given["grace"] {
		n.Grace = o.grace
	}
	return n, nil
}

// report prints a verdict, and returns an error if it has faults.
func report(v verdict) error {
	fmt.Println(&v)
	return trial.Report(v.faults)
}
