package trial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// changeLimit is how long a failover may take, on a machine that has much else to do.
const changeLimit = 30 * time.Second

// Master is the node that most Sentinels take for the master, and the other one.
func (r *Redis) Master(ctx context.Context) (master, other *Node, err error) {
	var votes [len(r.Nodes)]int
	for _, s := range r.sentinels {
		c := s.sentinel()
		address, err := c.GetMasterAddrByName(ctx, masterName).Result()
		_ = c.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", s.name, err)
		}
		for i, n := range r.Nodes {
			if n.Address == net.JoinHostPort(address[0], address[1]) {
				votes[i]++
			}
		}
	}
	switch {
	case votes[0] >= 2:
		return r.Nodes[0], r.Nodes[1], nil
	case votes[1] >= 2:
		return r.Nodes[1], r.Nodes[0], nil
	}
	return nil, nil, errors.New("the Sentinels do not agree who is the master")
}

// WaitWhole waits until all Sentinels name the same master, which says so itself, and know its replica, which has
// caught up. A failover that begins earlier would lose more than the last second.
func (r *Redis) WaitWhole(ctx context.Context) error {
	return r.until(ctx, func(ctx context.Context) error {
		master, other, err := r.Master(ctx)
		if err != nil {
			return err
		}
		for _, s := range r.sentinels {
			if err := s.knows(ctx, master); err != nil {
				return err
			}
		}
		if about, err := master.Command(ctx, "INFO", "replication"); err != nil || !strings.Contains(about, "state=online") {
			return errors.Join(err, fmt.Errorf("%s has no replica online", master.name))
		}
		about, err := other.Command(ctx, "INFO", "replication")
		if err != nil || !strings.Contains(about, "role:slave") || !strings.Contains(about, "master_link_status:up") {
			return errors.Join(err, fmt.Errorf("%s is not a replica that has caught up", other.name))
		}
		return nil
	})
}

// knows returns an error unless a Sentinel sees a master that is well, with a replica and two other Sentinels.
func (n *Node) knows(ctx context.Context, master *Node) error {
	c := n.sentinel()
	defer func() { _ = c.Close() }()
	about, err := c.Master(ctx, masterName).Result()
	if err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	if net.JoinHostPort(about["ip"], about["port"]) != master.Address || about["flags"] != "master" || about["num-other-sentinels"] != "2" {
		return fmt.Errorf("%s says master %s:%s with flags %s, and %s other Sentinels", n.name, about["ip"], about["port"], about["flags"], about["num-other-sentinels"])
	}
	known, err := c.Replicas(ctx, masterName).Result()
	if err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	// It asks for the state of the link every 10 s only: the replica itself says that.
	if len(known) != 1 || known[0]["flags"] != "slave" {
		return fmt.Errorf("%s says of the replicas: %v", n.name, known)
	}
	return nil
}

// until asks until there is no error.
func (r *Redis) until(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not in %v: %w", changeLimit, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// promoted waits until the Sentinels have made a node the master.
func (r *Redis) promoted(ctx context.Context, next *Node) error {
	return r.until(ctx, func(ctx context.Context) error {
		about, err := next.Command(ctx, "ROLE")
		if err != nil {
			return err
		}
		if !strings.HasPrefix(about, "[master ") {
			return fmt.Errorf("%s is still %s", next.name, about)
		}
		if master, _, err := r.Master(ctx); err != nil || master != next {
			return errors.Join(err, fmt.Errorf("%s is not yet the master for all", next.name))
		}
		return nil
	})
}

// Failover has the Sentinels promote the replica, while all nodes are well. They would need ten seconds until they make
// the old master its replica, so this does it.
func (r *Redis) Failover(ctx context.Context) error {
	master, next, err := r.Master(ctx)
	if err != nil {
		return err
	}
	err = r.until(ctx, func(ctx context.Context) error {
		c := r.sentinels[0].sentinel()
		defer func() { _ = c.Close() }()
		return c.Failover(ctx, masterName).Err()
	})
	if err == nil {
		err = r.promoted(ctx, next)
	}
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(next.Address)
	if err != nil {
		return err
	}
	_, err = master.Command(ctx, "REPLICAOF", host, port)
	return err
}

// KillMaster kills the master, waits until the replica is promoted, and starts the dead one as its replica.
func (r *Redis) KillMaster(ctx context.Context) error {
	master, next, err := r.Master(ctx)
	if err != nil {
		return err
	}
	master.Kill()
	if err := r.promoted(ctx, next); err != nil {
		return err
	}
	return master.start(next.Address)
}

// Flush deletes all that master and replica hold.
func (r *Redis) Flush(ctx context.Context) error {
	master, _, err := r.Master(ctx)
	if err != nil {
		return err
	}
	_, err = master.Command(ctx, "FLUSHALL")
	return err
}

// Hang stops master and replica until the function that it returns lets them go on: they accept connections and answer
// nothing.
func (r *Redis) Hang() (goOn func() error, err error) {
	for _, n := range r.Nodes {
		if err := n.Signal(syscall.SIGSTOP); err != nil {
			return nil, err
		}
	}
	return func() error {
		return errors.Join(r.Nodes[0].Signal(syscall.SIGCONT), r.Nodes[1].Signal(syscall.SIGCONT))
	}, nil
}

// Down kills master and replica until the function that it returns starts them, empty: connections are refused.
func (r *Redis) Down(ctx context.Context) (up func() error, err error) {
	master, other, err := r.Master(ctx)
	if err != nil {
		return nil, err
	}
	other.Kill()
	master.Kill()
	return func() error { return errors.Join(master.start(""), other.start(master.Address)) }, nil
}

// Set changes a setting of master and replica.
func (r *Redis) Set(ctx context.Context, name, value string) error {
	for _, n := range r.Nodes {
		if _, err := n.Command(ctx, "CONFIG", "SET", name, value); err != nil {
			return err
		}
	}
	return nil
}

// ChangePassword gives master and replica another password, and tells the Sentinels. Who knows the old one keeps his
// connections, and gets no new ones.
func (r *Redis) ChangePassword(ctx context.Context, password string) error {
	for _, n := range r.Nodes {
		if _, err := n.Command(ctx, "CONFIG", "SET", "requirepass", password, "masterauth", password); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.password = password
	r.mu.Unlock()
	for _, s := range r.sentinels {
		c := s.sentinel()
		err := c.Set(ctx, masterName, "auth-pass", password).Err()
		_ = c.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}
