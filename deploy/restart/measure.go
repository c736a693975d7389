package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/m365backup/backupstorage/internal/trial"
)

// sizing is what one replica needs; deploy/kubernetes holds its requests and limits against it.
type sizing struct {
	IdleBytes   int64   `json:"idleBytes"`
	PeakBytes   int64   `json:"peakBytes"`
	CallsPerSec float64 `json:"callsPerSecond"`
	CPUPerCall  float64 `json:"cpuMillisecondsPerCall"`
	StartMillis int64   `json:"startMilliseconds"`
}

// measured is how long the load lasts.
const measured = 30 * time.Second

// measure starts one replica anew, and prints what it used until then and under load.
func (f *fleet) measure(ctx context.Context, l *load, rate int) error {
	r := f.replicas[0]
	r.Kill()
	begin := time.Now()
	if err := r.start(ctx); err != nil {
		return err
	}
	s := sizing{StartMillis: time.Since(begin).Milliseconds(), CallsPerSec: float64(rate)}
	pid := r.Process().PID()
	pause(ctx, 2*time.Second)
	var err error
	if s.IdleBytes, err = trial.Memory(pid, "VmRSS"); err != nil {
		return err
	}
	before, err := trial.CPU(pid)
	if err != nil {
		return err
	}
	loading, stop := context.WithTimeout(ctx, measured)
	defer stop()
	l.run(loading, rate)
	after, err := trial.CPU(pid)
	if err != nil {
		return err
	}
	if s.PeakBytes, err = trial.Memory(pid, "VmHWM"); err != nil {
		return err
	}
	calls := l.seen()
	for _, call := range calls {
		if call.status.Err() != nil {
			return fmt.Errorf("a call failed: %w", call.status.Err())
		}
	}
	s.CPUPerCall = float64((after-before).Microseconds()/int64(len(calls))) / 1000
	return json.NewEncoder(os.Stdout).Encode(s)
}
