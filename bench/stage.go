package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/m365backup/backupstorage/internal/freeport"
	"github.com/m365backup/backupstorage/internal/trial"
)

// stage has all processes that are measured.
type stage struct {
	folder, self, server string
	plant                bool // Servers collect garbage all the time.
	ctx                  context.Context
	stop                 context.CancelFunc
	endpoint             string // Of the stub, with its version.
	roots                string // File with the authorities that servers trust.
	raw, sdk             *client
	targets              []*target
	bareTLS, barePlain   *target
	slow                 []slowReads
}

// target is a gRPC server that is measured.
type target struct {
	name        string
	process     *trial.Process
	address     string
	secure      bool
	token       string
	connections []*grpc.ClientConn
	start       time.Duration // Until it was ready; 0 for those that are not ours.
	idle        int64         // Resident bytes before a call.
	pages       int64         // Resident bytes right after pages in flight, the most of all rounds.
	floor       *target       // What grpc-go alone costs over the same kind of connection.
	cost        map[work][]time.Duration
}

// client is a program that obeys orders.
type client struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	cost    map[work][]time.Duration
}

const tenants = 16

func tenant(n int) string { return fmt.Sprintf("aaaaaaaa-0000-4000-9000-%012x", n%tenants) }

const rights = `version: 1
issuers:
  - {issuer: https://issuer.desk.example, audience: backupstorage, principalClaim: sub, jwksFile: jwks.json}
tenantSets:
  customers: {file: tenants.txt}
callers:
  - {principal: spiffe://desk.example/operator, tenants: [set:customers], role: admin}
  - {principal: "oidc:https://issuer.desk.example#operator", tenants: [set:customers], role: admin}
`

func (s *stage) at(name string) string { return filepath.Join(s.folder, name) }

// startStage starts the stub, both bare servers, the raw client, and the server in each way that is measured.
func startStage(ctx context.Context, o options) (s *stage, err error) {
	s = &stage{server: o.server, plant: o.plant}
	if s.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.server == "" {
		s.server = s.at("server")
		if err := buildServer(s.ctx, s.server); err != nil {
			return nil, err
		}
	}
	if output, err := exec.CommandContext(s.ctx, s.server, "dev-ca", s.at("desk")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("dev-ca: %w: %s", err, output)
	}
	var list strings.Builder
	for n := range tenants {
		fmt.Fprintln(&list, tenant(n))
	}
	if err := errors.Join(os.WriteFile(s.at("desk/tenants.txt"), []byte(list.String()), 0o600), os.WriteFile(s.at("desk/rights.yaml"), []byte(rights), 0o600)); err != nil {
		return nil, err
	}
	if err := s.startParts(o); err != nil {
		return nil, err
	}
	return s, s.startServers()
}

// buildServer builds the server as the image has it.
func buildServer(ctx context.Context, to string, environment ...string) error {
	command := exec.CommandContext(ctx, "go", "build", "-C", "..", "-trimpath", "-o", to, "./cmd/server")
	command.Env = append(append(os.Environ(), "CGO_ENABLED=0"), environment...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// startParts starts what is not ours.
func (s *stage) startParts(o options) error {
	address, err := freeport.Address()
	if err != nil {
		return err
	}
	s.endpoint = "https://" + address + "/v1.0"
	if _, err := trial.Launch(s.ctx, s.at("stub.log"), s.self, "stub", "-listen", address, "-certificate", s.at("desk/server.crt"), "-key", s.at("desk/server.key")); err != nil {
		return err
	}
	if err := s.listens(address); err != nil {
		return err
	}
	for _, secure := range []bool{true, false} {
		t := &target{name: "bare", secure: secure}
		if t.address, err = freeport.Address(); err != nil {
			return err
		}
		arguments := []string{"bare", "-listen", t.address}
		if secure {
			arguments = append(arguments, "-certificate", s.at("desk/server.crt"), "-key", s.at("desk/server.key"))
			s.bareTLS = t
		} else {
			s.barePlain = t
		}
		if t.process, err = trial.Launch(s.ctx, s.at("bare.log"), s.self, arguments...); err != nil {
			return err
		}
		if err := errors.Join(s.listens(t.address), s.connect(t)); err != nil {
			return err
		}
	}
	if s.raw, err = s.startClient(s.self, "raw", "-endpoint", s.endpoint, "-ca", s.at("desk/ca.crt")); err != nil {
		return err
	}
	s.roots = s.at("desk/ca.crt")
	if o.sdk != "" {
		s.sdk, err = s.startClient(o.sdk, "-endpoint", s.endpoint, "-ca", s.at("desk/ca.crt"))
	}
	return err
}

// startServers starts the server with everything on, with everything off, and on the old way if it has another one.
func (s *stage) startServers() error {
	everything := s.everything()
	if err := s.startServer("everything on", true, everything...); err != nil {
		return err
	}
	help, err := exec.CommandContext(s.ctx, s.server, "--help").CombinedOutput()
	if err != nil {
		return err
	}
	if strings.Contains(string(help), "--wire-path") {
		if err := s.startServer("everything on, --wire-path=off", true, append(everything, "--wire-path=off")...); err != nil {
			return err
		}
	}
	return s.startServer("everything off", false)
}

// everything are the flags of a server that has all that production has.
func (s *stage) everything() []string {
	return []string{
		"--tls-certificate-file", s.at("desk/server.crt"), "--tls-key-file", s.at("desk/server.key"),
		"--tls-client-ca-file", s.at("desk/ca.crt"), "--tls-client-auth", "optional", "--rights-file", s.at("desk/rights.yaml"), "--audit", "required",
	}
}

// startServer starts one server, and reads its memory before a call.
func (s *stage) startServer(name string, on bool, flags ...string) (err error) {
	t := &target{name: name, secure: on, floor: s.barePlain}
	if t.address, err = freeport.Address(); err != nil {
		return err
	}
	admin := ""
	if on {
		t.floor = s.bareTLS
		if admin, err = freeport.Address(); err != nil {
			return err
		}
		flags = append(flags, "--audit-file", s.at(fmt.Sprintf("audit-%d.log", len(s.targets))))
	}
	command := []string{s.server}
	if s.plant {
		command = []string{"env", "GOGC=2", s.server}
	}
	begin := time.Now()
	t.process, err = trial.Launch(s.ctx, s.at(fmt.Sprintf("server-%d.log", len(s.targets))), command[0], append(append(command[1:],
		"--listen", t.address, "--admin-listen="+admin, "--graph-endpoint", s.endpoint, "--graph-ca-file", s.roots,
	), flags...)...)
	if err != nil {
		return err
	}
	if err := s.listens(t.address); err != nil {
		return err
	}
	t.start = time.Since(begin)
	// What it does only once, after its start.
	time.Sleep(time.Second)
	if t.idle, err = trial.Memory(t.process.PID(), "VmRSS"); err != nil {
		return err
	}
	if admin != "" {
		go s.scrape(admin)
	}
	s.targets = append(s.targets, t)
	return s.connect(t)
}

// scrape reads the metrics each five seconds, as a Prometheus does.
func (s *stage) scrape(admin string) {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
		request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://"+admin+"/metrics", http.NoBody)
		if err != nil {
			return
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	}
}

// listens waits until a process accepts connections.
func (s *stage) listens(address string) error {
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		c, err := new(net.Dialer).DialContext(s.ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		if time.Since(begin) > 30*time.Second {
			return fmt.Errorf("%w: logs in %s", err, s.folder)
		}
	}
}

// connections is how many connections the clients of a server have; each other one is of a caller with a token.
const connections = 4

func (s *stage) connect(t *target) error {
	token, err := os.ReadFile(s.at("desk/operator.token"))
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(s.at("desk/operator.crt"), s.at("desk/operator.key"))
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(s.at("desk/ca.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	t.cost, t.token = map[work][]time.Duration{}, "Bearer "+strings.TrimSpace(string(token))
	for n := range connections {
		way := insecure.NewCredentials()
		if t.secure {
			config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
			if n%2 == 0 {
				config.Certificates = []tls.Certificate{pair}
			}
			way = credentials.NewTLS(config)
		}
		c, err := grpc.NewClient("passthrough:///"+t.address, grpc.WithDisableRetry(), grpc.WithTransportCredentials(way),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
		if err != nil {
			return err
		}
		t.connections = append(t.connections, c)
	}
	return nil
}

func (s *stage) startClient(program string, arguments ...string) (*client, error) {
	c := &client{command: exec.CommandContext(s.ctx, program, arguments...), cost: map[work][]time.Duration{}}
	c.command.Stderr = os.Stderr
	var err error
	if c.in, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	return c, c.command.Start()
}

// order has the client make calls, and returns what they cost it.
func (c *client) order(o trial.Order) (time.Duration, error) {
	if err := json.NewEncoder(c.in).Encode(o); err != nil {
		return 0, err
	}
	if !c.out.Scan() {
		return 0, errors.New("a client program has ended")
	}
	var r trial.Result
	if err := json.Unmarshal(c.out.Bytes(), &r); err != nil {
		return 0, err
	}
	if r.Error != "" {
		return 0, errors.New(r.Error)
	}
	return r.CPU, nil
}

func (s *stage) end(err error) error {
	s.stop()
	for _, t := range append(s.targets, s.bareTLS, s.barePlain) {
		<-t.process.Ended
	}
	if err != nil {
		return fmt.Errorf("%w\nfiles in %s", err, s.folder)
	}
	return os.RemoveAll(s.folder)
}
