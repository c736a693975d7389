package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a program that runs.
type Process struct {
	command *exec.Cmd
	log     string
	// Ended is closed when the program has ended, with Err.
	Ended chan struct{}
	// Err is how it ended.
	Err error
}

// Launch starts a program whose output goes to a file of the folder. It dies with the context.
func Launch(ctx context.Context, log string, name string, arguments ...string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &Process{command: exec.CommandContext(ctx, name, arguments...), log: log, Ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = out, out
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.Err = p.command.Wait()
		close(p.Ended)
	}()
	return p, nil
}

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.command.Process.Signal(s) }

// Kill ends the process, also a stopped one, and waits for its end.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.Ended
}

// WaitEnd returns how the process ended.
func (p *Process) WaitEnd(limit time.Duration) error {
	select {
	case <-p.Ended:
		return p.Err
	case <-time.After(limit):
		return fmt.Errorf("still runs after %v", limit)
	}
}

// LastWords is where the log of the process is and how it ends, for an error about it.
func (p *Process) LastWords() string {
	const most = 2000
	content, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("the log %s ends with\n%s", p.log, content[max(0, len(content)-most):])
}

// PID is the number of the process.
func (p *Process) PID() int { return p.command.Process.Pid }

// BuildServer builds the server as the image has it.
func BuildServer(to string) error {
	command := exec.Command("go", "build", "-trimpath", "-o", to, "./cmd/server")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return errors.New(string(output))
	}
	return nil
}
