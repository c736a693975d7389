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
		answer, err := s.Command(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName)
		if err != nil {
			return nil, nil, err
		}
		host, port, _ := strings.Cut(answer, "\n")
		for i, n := range r.Nodes {
			if n.Address == net.JoinHostPort(host, port) {
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
			about, err := s.Command(ctx, "SENTINEL", "MASTER", masterName)
			if err != nil {
				return err
			}
			_, port, err := net.SplitHostPort(master.Address)
			if err != nil {
				return err
			}
			f := pairs(about)
			if f["port"] != port || f["flags"] != "master" || f["num-slaves"] != "1" || f["num-other-sentinels"] != "2" {
				return fmt.Errorf("%s says port %s, flags %s, %s replicas, %s other Sentinels", s.name, f["port"], f["flags"], f["num-slaves"], f["num-other-sentinels"])
			}
			about, err = s.Command(ctx, "SENTINEL", "REPLICAS", masterName)
			if err != nil {
				return err
			}
			if f = pairs(about); f["flags"] != "slave" || f["master-link-status"] != "ok" {
				return fmt.Errorf("%s says of the replica: flags %s, link %s", s.name, f["flags"], f["master-link-status"])
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

// pairs reads lines of which each second one is the value of the one before.
func pairs(text string) map[string]string {
	found := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		found[lines[i]] = lines[i+1]
	}
	return found
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
		if role, _, _ := strings.Cut(about, "\n"); role != "master" {
			return fmt.Errorf("%s is still a %s", next.name, role)
		}
		if master, _, err := r.Master(ctx); err != nil || master != next {
			return errors.Join(err, fmt.Errorf("%s is not yet the master for all", next.name))
		}
		return nil
	})
}

// Failover has the Sentinels promote the replica, while all nodes are well.
func (r *Redis) Failover(ctx context.Context) error {
	_, next, err := r.Master(ctx)
	if err != nil {
		return err
	}
	err = r.until(ctx, func(ctx context.Context) error {
		_, err := r.sentinels[0].Command(ctx, "SENTINEL", "FAILOVER", masterName)
		return err
	})
	if err != nil {
		return err
	}
	return r.promoted(ctx, next)
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
		if _, err := s.Command(ctx, "SENTINEL", "SET", masterName, "auth-pass", password); err != nil {
			return err
		}
	}
	return nil
}
