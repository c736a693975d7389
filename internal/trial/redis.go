package trial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/m365backup/backupstorage/internal/freeport"
)

// masterName is what the Sentinels call the master.
const masterName = "main"

const (
	// silentFor is how long the Sentinels wait before they take a silent master for dead. They ask once a second, and a
	// busy machine can take as long for the answer.
	silentFor = 2 * time.Second
	// commandLimit is how long a command may take.
	commandLimit = 5 * time.Second
)

// Redis is a master with one replica, and three Sentinels that watch them, on loopback, in a folder. It needs
// redis-server of version 7 on PATH.
type Redis struct {
	// Context of the processes: they die with it.
	life   context.Context
	folder string
	// Nodes are the master and its replica, of which a failover changes the parts.
	Nodes     [2]*Node
	sentinels [3]*Node

	mu       sync.Mutex
	password string
}

// Node is one process of Redis, which keeps its address.
type Node struct {
	Address string

	redis   *Redis
	name    string
	process *Process
}

// StartRedis starts all and waits until the replica has caught up and each Sentinel knows it.
func StartRedis(ctx context.Context, folder, password string) (_ *Redis, err error) {
	r := &Redis{life: ctx, folder: folder, password: password}
	node := func(name string) *Node {
		address, failed := freeport.Address()
		err = errors.Join(err, failed)
		return &Node{redis: r, name: name, Address: address}
	}
	for i := range r.Nodes {
		r.Nodes[i] = node(fmt.Sprintf("redis-%d", i))
	}
	for i := range r.sentinels {
		r.sentinels[i] = node(fmt.Sprintf("sentinel-%d", i))
	}
	if err == nil {
		err = r.startAll(ctx)
	}
	if err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

func (r *Redis) startAll(ctx context.Context) error {
	if err := r.Nodes[0].start(""); err != nil {
		return err
	}
	if err := r.Nodes[1].start(r.Nodes[0].Address); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(r.Nodes[0].Address)
	if err != nil {
		return err
	}
	for _, s := range r.sentinels {
		// Two of three must agree. A failed attempt at a failover is tried again after twice the timeout.
		err := s.launch("--sentinel",
			"protected-mode no",
			fmt.Sprintf("sentinel monitor %s %s %s 2", masterName, host, port),
			fmt.Sprintf("sentinel auth-pass %s %s", masterName, r.Password()),
			fmt.Sprintf("sentinel down-after-milliseconds %s %d", masterName, silentFor.Milliseconds()),
			fmt.Sprintf("sentinel failover-timeout %s 3000", masterName))
		if err != nil {
			return err
		}
	}
	return r.WaitWhole(ctx)
}

// Password is the one of master and replica. The Sentinels have none.
func (r *Redis) Password() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.password
}

// URL is the address for go-redis, by way of the Sentinels. It has no password.
func (r *Redis) URL() string {
	query := url.Values{"master_name": {masterName}}
	for _, s := range r.sentinels[1:] {
		query.Add("addr", s.Address)
	}
	return (&url.URL{Scheme: "redis", Host: r.sentinels[0].Address, RawQuery: query.Encode()}).String()
}

// Stop ends all processes.
func (r *Redis) Stop() {
	for _, n := range append(r.sentinels[:], r.Nodes[:]...) {
		n.Kill()
	}
}

// start starts a master, or a replica of the master at an address. What it held before is gone: nothing is on the disk.
func (n *Node) start(of string) error {
	password := n.redis.Password()
	lines := []string{
		`save ""`, "appendonly no", "maxmemory-policy noeviction", "repl-diskless-sync-delay 0",
		"requirepass " + password, "masterauth " + password,
	}
	if of != "" {
		lines = append(lines, "replicaof "+strings.Replace(of, ":", " ", 1))
	}
	return n.launch("", lines...)
}

// launch writes the configuration and starts the program on it. Sentinels, and a promoted replica, write into theirs.
func (n *Node) launch(flag string, lines ...string) error {
	host, port, err := net.SplitHostPort(n.Address)
	if err != nil {
		return err
	}
	folder := filepath.Join(n.redis.folder, n.name)
	// A replica that is killed can leave what it got from its master.
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	file := folder + ".conf"
	lines = append([]string{"bind " + host, "port " + port, "dir " + folder}, lines...)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	arguments := []string{file}
	if flag != "" {
		arguments = append(arguments, flag)
	}
	n.process, err = Launch(n.redis.life, folder+".log", "redis-server", arguments...)
	return err
}

// Command sends one command, and returns the answer as text. It takes at most 5 s.
func (n *Node) Command(ctx context.Context, arguments ...any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	c := redis.NewClient(&redis.Options{
		Addr: n.Address, Password: n.redis.Password(), MaxRetries: -1, DisableIdentity: true, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer func() { _ = c.Close() }()
	answer, err := c.Do(ctx, arguments...).Result()
	if err != nil {
		return "", fmt.Errorf("%s: %v: %w", n.name, arguments[0], err)
	}
	return fmt.Sprint(answer), nil
}

// sentinel opens a connection to a Sentinel, which the caller closes.
func (n *Node) sentinel() *redis.SentinelClient {
	return redis.NewSentinelClient(&redis.Options{
		Addr: n.Address, MaxRetries: -1, DisableIdentity: true,
		DialTimeout: commandLimit, ReadTimeout: commandLimit, WriteTimeout: commandLimit,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// Signal sends a signal: SIGSTOP has it hang, SIGCONT lets it go on.
func (n *Node) Signal(s syscall.Signal) error { return n.process.Signal(s) }

// Kill ends the process, which loses all that it holds.
func (n *Node) Kill() {
	if n != nil && n.process != nil {
		n.process.Kill()
	}
}
