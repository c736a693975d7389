package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/m365backup/backupstorage/internal/freeport"
	"github.com/m365backup/backupstorage/internal/trial"
)

// replicas is how many servers there are.
const replicas = 3

// drains are short: SIGTERM under load is what deploy/restart is about. A call whose client has just chosen a replica
// must still reach it.
var drains = []string{"--drain-wait", "1s", "--drain-timeout", "10s"}

// What the replicas share besides Redis itself: its password, and a key of 32 bytes for page tokens.
const (
	password     = "of-redis"
	pageTokenKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
)

// fleet is an emulator, Redis with its Sentinels, and the servers that share both. The emulator runs in a server of its
// own, which nothing happens to.
type fleet struct {
	folder      string
	emulator    trial.Emulator
	host        *trial.Server
	servers     []*trial.Server
	redis       *trial.Redis
	connections []*grpc.ClientConn

	// fresh is the start of Redis, which is as a loss of all records: the servers cannot tell one from the other.
	fresh event

	mu   sync.Mutex
	away [replicas]bool // Those that get no new calls.
}

// startFleet starts all. Keys of page tokens are shared, as the manifests have it.
func startFleet(ctx context.Context, folder, program string, flags ...string) (_ *fleet, err error) {
	f := &fleet{folder: folder, fresh: event{what: flushed, begin: time.Now()}}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	if f.redis, err = trial.StartRedis(ctx, folder, password); err != nil {
		return nil, err
	}
	secret := filepath.Join(folder, "redis-password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return nil, err
	}
	addresses := make([]string, replicas+2)
	for i := range addresses {
		if addresses[i], err = freeport.Address(); err != nil {
			return nil, err
		}
	}
	f.emulator = trial.Emulator("http://" + addresses[1])
	f.host = &trial.Server{
		Program: program, Address: addresses[0], Log: filepath.Join(folder, "emulator.log"),
		Flags: []string{"--listen", addresses[0], "--emulator-listen", addresses[1], "--emulator-scenario", "tests"},
	}
	if err := f.host.Start(ctx); err != nil {
		return nil, err
	}
	for i, address := range addresses[2:] {
		s := &trial.Server{Program: program, Address: address, Log: filepath.Join(folder, fmt.Sprintf("replica-%d.log", i))}
		s.Flags = append([]string{
			"--listen", address, "--graph-endpoint", string(f.emulator) + "/v1.0", "--redis-url", f.redis.URL(), "--redis-password-file", secret,
		}, slices.Concat(drains, flags)...)
		f.servers = append(f.servers, s)
		if err := s.Start(ctx); err != nil {
			return nil, err
		}
		c, err := dial(address)
		if err != nil {
			return nil, err
		}
		f.connections = append(f.connections, c)
	}
	f.fresh.end = time.Now()
	return f, nil
}

// dial opens a connection that repeats nothing, and comes back soon to a server that was gone.
func dial(address string) (*grpc.ClientConn, error) {
	soon := backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1, MaxDelay: 100 * time.Millisecond}
	return grpc.NewClient("passthrough:///"+address, grpc.WithDisableRetry(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: soon, MinConnectTimeout: time.Second}))
}

// use returns the connection to a replica, or to another one while that is away, and which one it is.
func (f *fleet) use(i int) (*grpc.ClientConn, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.away[i] {
		i = (i + 1) % replicas
	}
	return f.connections[i], i
}

// setAway says whether a replica gets no new calls.
func (f *fleet) setAway(i int, away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away[i] = away
}

func (f *fleet) stop() {
	for _, c := range f.connections {
		_ = c.Close()
	}
	for _, s := range f.servers {
		s.Kill()
	}
	if f.host != nil {
		f.host.Kill()
	}
	if f.redis != nil {
		f.redis.Stop()
	}
}

// seed makes tenants in which the service is enabled.
func (f *fleet) seed(ctx context.Context, count int) error {
	for n := range count {
		if err := f.emulator.Control(ctx, http.MethodPost, "seed", map[string]any{"tenant": tenantID(n), "serviceStatus": "enabled"}, nil); err != nil {
			return err
		}
	}
	return nil
}

// faults replaces all fault rules.
func (f *fleet) faults(ctx context.Context, rules string) error {
	return errors.Join(f.emulator.Control(ctx, http.MethodDelete, "faults", nil, nil),
		f.emulator.Control(ctx, http.MethodPost, "faults", json.RawMessage(rules), nil))
}

func tenantID(n int) string { return fmt.Sprintf("aaaaaaaa-0000-4000-9000-%012x", n) }
