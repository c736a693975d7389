package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/m365backup/backupstorage/internal/idempotency"
	"github.com/m365backup/backupstorage/internal/trial"
)

const (
	// lease is how long a call owns its record.
	lease = idempotency.Lease
	// over is by how much a replica is frozen for longer than that.
	over = 5 * time.Second
)

// gapCalls are two calls of one key, the first of which is in a replica that is frozen.
var gapCalls = plan{thing: exchangePolicy, replica: [tries]int{0, 1, 2}}

// proveGap provokes the one gap that is known, and wants to see it: what a process has handed to the network, or would
// hand to it next, cannot be called back. A replica is frozen when it has just sent a create, whose bytes come late; it
// alone could write its record again, and Redis loses that. Another replica looks, finds nothing, and sends.
func proveGap(ctx context.Context, folder string, o options) error {
	f, err := startFleet(ctx, folder, o.server)
	if err != nil {
		return err
	}
	defer f.stop()
	if err := errors.Join(f.seed(ctx, 1), f.clockAsReal(ctx)); err != nil {
		return err
	}
	if err := f.faults(ctx, fmt.Sprintf(`[{"id":%q,"operation":"POST *","delay":"%ds","late":true,"times":1}]`, ruleLate, (lease+over)/time.Second)); err != nil {
		return err
	}
	l := &load{fleet: f, tenants: 1}
	r := result{key: newGUID(), tenant: tenantID(0), plan: gapCalls, tries: make([]try, tries)}
	first := make(chan struct{})
	go func() {
		r.tries[0] = l.try(ctx, &r, 0)
		close(first)
	}()
	ledger := trial.NewLedger()
	if err := f.arrived(ctx, ledger); err != nil {
		return err
	}
	frozen := event{what: replicaFrozen, begin: time.Now()}
	stopped := f.servers[0].Process()
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := f.redis.Flush(ctx); err != nil {
		return err
	}
	// The servers have to see that Redis has lost records, and then take keys again.
	for try := range 20 {
		if r.tries[1] = l.try(ctx, &r, 1); !r.tries[1].failed {
			break
		}
		fmt.Printf("call 2, attempt %d: %s\n", try+1, r.tries[1].reason())
		pause(ctx, time.Second)
	}
	pause(ctx, time.Until(frozen.begin.Add(lease+over+2*time.Second)))
	if err := stopped.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	<-first
	frozen.end = time.Now()
	pause(ctx, time.Second)
	r.tries[2] = l.try(ctx, &r, 2)
	if err := ledger.Read(ctx, f.emulator); err != nil {
		return err
	}
	b := book{ledger.Created, ledger.Removed, ledger.Faults}
	v := judge([]result{r}, []event{frozen}, b, lease)
	fmt.Println(v)
	fmt.Println(r.story(b))
	if v.gaps != 1 || v.doubled > 0 || v.lost > 0 {
		return errors.New("the gap was not seen: if it is closed, the docs must not say that it is there")
	}
	return nil
}

// arrived waits until a create has reached the emulator.
func (f *fleet) arrived(ctx context.Context, l *trial.Ledger) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for l.Writes() == 0 {
		if err := l.Read(ctx, f.emulator); err != nil {
			return err
		}
		pause(ctx, 20*time.Millisecond)
	}
	return nil
}
