package trial

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"syscall"
	"time"
)

// Order is what a client process is told on a line of its standard input.
type Order struct {
	Path            string `json:"path"` // Below the version.
	InFlight, Count int
}

// Result is its answer: what the calls cost it.
type Result struct {
	CPU   time.Duration
	Error string
}

// Obey carries out orders, and tells what each has cost this process.
func Obey(do func(Order) error) error {
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var o Order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		before, err := used()
		if err != nil {
			return err
		}
		var r Result
		if err := do(o); err != nil {
			r.Error = err.Error()
		}
		after, err := used()
		if err != nil {
			return err
		}
		r.CPU = after - before
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
	return lines.Err()
}

// used is the processor time of this process.
func used() (time.Duration, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}

// InFlight makes a number of calls, of which so many are under way. It returns the first error.
func InFlight(width, count int, call func(n int) error) error {
	var (
		mu     sync.Mutex
		next   int
		failed error
		done   sync.WaitGroup
	)
	for range width {
		done.Go(func() {
			for {
				mu.Lock()
				n := next
				next++
				stop := n >= count || failed != nil
				mu.Unlock()
				if stop {
					return
				}
				if err := call(n); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	done.Wait()
	return failed
}
