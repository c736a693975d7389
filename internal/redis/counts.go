package redis

import (
	"sync/atomic"
	"time"
)

// counts are the commands by cause, empty for success, and the time that they took.
type counts struct {
	commands map[Cause]*atomic.Uint64
	took     *atomic.Int64
}

func newCounts() counts {
	c := counts{make(map[Cause]*atomic.Uint64), new(atomic.Int64)}
	for _, cause := range append(Causes(), "") {
		c.commands[cause] = new(atomic.Uint64)
	}
	return c
}

func (c *counts) add(took time.Duration, cause Cause) {
	c.commands[cause].Add(1)
	c.took.Add(int64(took))
}

// Commands returns how many commands there were, by the cause of their failure; empty for success.
func (c *Client) Commands() map[Cause]uint64 {
	all := make(map[Cause]uint64)
	for cause, n := range c.counts.commands {
		all[cause] = n.Load()
	}
	return all
}

// Took returns the time that all commands took together.
func (c *Client) Took() time.Duration { return time.Duration(c.counts.took.Load()) }
