package redis

import (
	"context"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// minVersion is the first major version that the scripts run on.
const minVersion = 7

// Facts are what INFO says of a Redis.
type Facts struct {
	// Known is false when the user may not use INFO: then the others are empty.
	Known bool
	// Version is such as "7.0.15". That of Valkey is the one of Redis that it stands for.
	Version string
	// RunID changes with each start of a Redis, and from one to the other.
	RunID string
	// Role is "master" or "slave".
	Role string
	// MaxMemoryPolicy is what is deleted when memory runs out, such as "noeviction".
	MaxMemoryPolicy string
	// MaxMemory is the bound of the memory in bytes, 0 for none.
	MaxMemory int64
	// Replicas is how many replicas of Redis are connected.
	Replicas int
}

// readFacts reads the text of INFO.
func readFacts(info string) Facts {
	f := Facts{Known: true}
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch key {
		case "redis_version":
			f.Version = value
		case "run_id":
			f.RunID = value
		case "role":
			f.Role = value
		case "maxmemory_policy":
			f.MaxMemoryPolicy = value
		case "maxmemory":
			f.MaxMemory, _ = strconv.ParseInt(value, 10, 64)
		case "connected_slaves":
			f.Replicas, _ = strconv.Atoi(value)
		}
	}
	return f
}

// fit is the error of a Redis that the server cannot use.
func (f *Facts) fit() error {
	if !f.Known {
		return nil
	}
	major, _, _ := strings.Cut(f.Version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < minVersion {
		return errVersion
	}
	if f.Role != "" && f.Role != "master" {
		return errReadOnly
	}
	return nil
}

// Facts asks Redis what it is now.
func (c *Client) Facts(ctx context.Context) (Facts, error) {
	text, err := c.Do(ctx, "info")
	if CauseOf(err) == CausePermission {
		return Facts{}, nil
	}
	if err != nil {
		return Facts{}, err
	}
	info, _ := text.(string)
	return readFacts(info), nil
}

// RunID is that of the Redis to which a connection was made last; empty while it is unknown. A Redis that starts anew
// closes all connections, so no command reaches it before its id stands here.
func (c *Client) RunID() string {
	id, _ := c.runID.Load().(string)
	return id
}

// look asks a new connection what it leads to, and refuses it if that is unfit.
func (c *Client) look(ctx context.Context, conn *goredis.Conn) error {
	info, err := conn.Info(ctx).Result()
	if goredis.IsPermissionError(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f := readFacts(info)
	if err := f.fit(); err != nil {
		return err
	}
	c.runID.Store(f.RunID)
	return nil
}
