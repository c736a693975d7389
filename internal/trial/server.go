package trial

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// StartLimit is how long a process may take until it serves, on a machine that has much else to do.
const StartLimit = 30 * time.Second

// Server is a server that keeps its address when it starts anew.
type Server struct {
	Program, Address, Log string
	Flags                 []string

	mu      sync.Mutex
	process *Process
}

// Launch starts the program, and does not wait until it serves.
func (s *Server) Launch(ctx context.Context) error {
	p, err := Launch(ctx, s.Log, s.Program, s.Flags...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	return nil
}

// Process is the one that was started last; nil before.
func (s *Server) Process() *Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// Start starts the program and waits until its health says SERVING.
func (s *Server) Start(ctx context.Context) error {
	if err := s.Launch(ctx); err != nil {
		return err
	}
	return s.WaitServing(ctx)
}

// WaitServing asks for the server's health over gRPC until it says SERVING.
func (s *Server) WaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StartLimit)
	defer cancel()
	p := s.Process()
	for !Serving(ctx, s.Address) {
		select {
		case <-p.Ended:
			return fmt.Errorf("%s ended at its start (%w): %s", s.Address, p.Err, p.LastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w: %s", s.Address, ctx.Err(), p.LastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Kill ends the process if one was started, and waits for its end.
func (s *Server) Kill() {
	if p := s.Process(); p != nil {
		p.Kill()
	}
}

// Serving asks a server for its health over a connection of its own.
func Serving(ctx context.Context, address string) bool {
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
