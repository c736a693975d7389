package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
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
	r.process.kill()
	begin := time.Now()
	if err := r.start(ctx); err != nil {
		return err
	}
	s := sizing{StartMillis: time.Since(begin).Milliseconds(), CallsPerSec: float64(rate)}
	pid := r.process.command.Process.Pid
	pause(ctx, 2*time.Second)
	var err error
	if s.IdleBytes, err = memory(pid, "VmRSS"); err != nil {
		return err
	}
	before, err := cpu(pid)
	if err != nil {
		return err
	}
	loading, stop := context.WithTimeout(ctx, measured)
	defer stop()
	l.run(loading, rate)
	after, err := cpu(pid)
	if err != nil {
		return err
	}
	if s.PeakBytes, err = memory(pid, "VmHWM"); err != nil {
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

// memory reads a line of /proc/PID/status, in bytes.
func memory(pid int, name string) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name+":" {
			kibibytes, err := strconv.ParseInt(fields[1], 10, 64)
			return kibibytes << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, name)
}

// cpu reads how long a process has used a processor, in steps of 10 ms.
func cpu(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name of the program, in brackets, can have spaces.
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is too short")
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err
}
