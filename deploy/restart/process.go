package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// startLimit is how long a process may take until it serves, on a machine that has much else to do.
const startLimit = 30 * time.Second

// process is a program that runs, and everything that it wrote to standard error.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	err     error // Of Wait, once ended is closed.
}

// launch starts a program whose output goes to a file of the folder. It dies with the context.
func launch(ctx context.Context, log string, name string, arguments ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{command: exec.CommandContext(ctx, name, arguments...), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = out, out
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) signal(s syscall.Signal) error { return p.command.Process.Signal(s) }

// kill ends the process, also a stopped one, and waits for its end.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL)
	<-p.ended
}

// waitEnd returns how the process ended.
func (p *process) waitEnd(limit time.Duration) error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(limit):
		return fmt.Errorf("still runs after %v", limit)
	}
}

// replica is one server, which keeps its address when it starts anew.
type replica struct {
	server, address, log string
	flags                []string
	// admin and probes are those of a pod. Without them health is asked for over gRPC.
	admin     string
	probes    map[string]probe
	stopsLife context.CancelFunc

	mu      sync.Mutex
	process *process
}

// start starts the server and waits until its health says SERVING.
func (r *replica) start(ctx context.Context) error {
	p, err := launch(ctx, r.log, r.server, r.flags...)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.process = p
	r.mu.Unlock()
	return r.waitServing(ctx)
}

func (r *replica) waitServing(ctx context.Context) error {
	if r.probes != nil {
		if !r.probes[startup].untilSucceeds(ctx, r.admin) {
			return fmt.Errorf("%s did not start in the time of its startup probe: see %s", r.address, r.log)
		}
		if !r.probes[readiness].untilSucceeds(ctx, r.admin) {
			return fmt.Errorf("%s is not ready: see %s", r.address, r.log)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if serving(ctx, r.address) {
			return nil
		}
		select {
		case <-r.process.ended:
			return fmt.Errorf("%s ended at its start (%w): see %s", r.address, r.process.err, r.log)
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w", r.address, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// serving asks a server for its health over a connection of its own.
func serving(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false
	}
	defer func() { _ = connection.Close() }()
	answer, err := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{})
	return err == nil && answer.GetStatus() == healthpb.HealthCheckResponse_SERVING
}

// freeAddress returns an address of loopback that nothing listens on.
func freeAddress() (string, error) { return freeAddressOf("127.0.0.1") }

// freeAddressOf returns an address of an IP address that nothing listens on.
func freeAddressOf(ip string) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// buildServer builds the server as the image has it.
func buildServer(to string) error {
	command := exec.Command("go", "build", "-trimpath", "-o", to, "./cmd/server")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return errors.New(string(output))
	}
	return nil
}
