package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// remote makes calls by a client program of another language, which reads calls from its standard input and writes how
// they ended. It is a connection like any other for those who call.
type remote struct {
	program *exec.Cmd
	ended   chan struct{}

	mu      sync.Mutex
	in      io.WriteCloser
	last    int
	waiting map[int]chan answer
}

type question struct {
	ID       int               `json:"id"`
	Method   string            `json:"method"`
	Request  []byte            `json:"request"`
	Metadata map[string]string `json:"metadata"`
	Deadline float64           `json:"deadline"`
}

type answer struct {
	ID       int        `json:"id"`
	Code     codes.Code `json:"code"`
	Message  string     `json:"message"`
	Details  bool       `json:"details"`
	Peer     string     `json:"peer"`
	Response []byte     `json:"response"`
}

// startRemote starts a program with addresses and service config as its last arguments.
func startRemote(ctx context.Context, f *fleet, log string, command ...string) (*remote, error) {
	var addresses []string
	for _, r := range f.replicas {
		addresses = append(addresses, r.Address)
	}
	config, err := filepath.Abs("proto/service_config_replicas.json")
	if err != nil {
		return nil, err
	}
	r := &remote{ended: make(chan struct{}), waiting: map[int]chan answer{}}
	r.program = exec.CommandContext(ctx, command[0], append(command[1:], strings.Join(addresses, ","), config)...)
	if r.program.Stderr, err = os.Create(log); err != nil {
		return nil, err
	}
	if r.in, err = r.program.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.program.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.program.Start(); err != nil {
		return nil, err
	}
	go r.read(out)
	return r, nil
}

func (r *remote) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			fmt.Fprintf(os.Stderr, "restart: the client wrote %q\n", lines.Text())
			continue
		}
		r.mu.Lock()
		waiting := r.waiting[a.ID]
		delete(r.waiting, a.ID)
		r.mu.Unlock()
		if waiting != nil {
			waiting <- a
		}
	}
	close(r.ended)
}

// Invoke makes a unary call.
func (r *remote) Invoke(ctx context.Context, method string, in, out any, options ...grpc.CallOption) error {
	request, err := proto.Marshal(in.(proto.Message))
	if err != nil {
		return err
	}
	q := question{Method: method, Request: request, Metadata: map[string]string{}}
	if at, bounded := ctx.Deadline(); bounded {
		q.Deadline = time.Until(at).Seconds()
	}
	sent, _ := metadata.FromOutgoingContext(ctx)
	for key, values := range sent {
		q.Metadata[key] = values[0]
	}
	a, err := r.ask(q)
	if err != nil {
		return err
	}
	for _, option := range options {
		if peer, ok := option.(grpc.PeerCallOption); ok {
			peer.PeerAddr.Addr = address(a.Peer)
		}
	}
	if a.Code == codes.OK {
		return proto.Unmarshal(a.Response, out.(proto.Message))
	}
	s := status.New(a.Code, a.Message).Proto()
	if a.Details {
		// What they say does not matter here.
		s.Details = []*anypb.Any{{}}
	}
	return status.ErrorProto(s)
}

func (r *remote) ask(q question) (answer, error) {
	waiting := make(chan answer, 1)
	r.mu.Lock()
	r.last++
	q.ID = r.last
	r.waiting[q.ID] = waiting
	line, err := json.Marshal(q)
	if err == nil {
		_, err = r.in.Write(append(line, '\n'))
	}
	r.mu.Unlock()
	if err != nil {
		return answer{}, err
	}
	select {
	case a := <-waiting:
		return a, nil
	case <-r.ended:
		return answer{}, errors.New("the client program has ended")
	}
}

// NewStream is there for the interface: the load has no streams.
func (r *remote) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("the client programs make unary calls")
}

func (r *remote) stop() {
	_ = r.in.Close()
	select {
	case <-r.ended:
	case <-time.After(stopLimit):
		_ = r.program.Process.Kill()
	}
	_ = r.program.Wait()
}

// address makes an address of host and port as text; nil if it is none.
func address(text string) net.Addr {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return nil
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil
	}
	return &net.TCPAddr{IP: net.ParseIP(host), Port: number}
}
