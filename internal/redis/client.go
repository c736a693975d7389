package redis

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// waitStep is how much longer WAIT can take than it was told to.
const waitStep = 100 * time.Millisecond

// Client is the connection to one Redis. It is safe for concurrent use. All its errors are *Error.
type Client struct {
	options Options
	prefix  string
	raw     *goredis.Client
	runID   atomic.Value
	counts  counts
	*availability
}

// Open returns a client, which is down until its goroutine has reached Redis. Nothing waits for that: a server starts
// without its Redis. The error is that of the URL.
func Open(o Options) (*Client, error) {
	c := &Client{options: o, prefix: strings.Join(o.Namespace, ":") + ":", counts: newCounts()}
	raw, err := o.connect(c.look)
	if err != nil {
		return nil, err
	}
	c.raw = raw
	if c.options.Patience == 0 {
		c.options.Patience = Timeout
	}
	c.availability = watch(o.Logger, c.ping)
	return c, nil
}

// Close ends the goroutine and closes the connections. Subscriptions have to be stopped before.
func (c *Client) Close() {
	c.stop()
	_ = c.raw.Close()
}

// Key returns the key, or the name of the channel, for these parts: each of them is preceded by the namespace.
func (c *Client) Key(parts ...string) string { return c.prefix + strings.Join(parts, ":") }

// Script is a Lua script that Redis knows by its digest.
type Script struct {
	name string
	lua  *goredis.Script
}

// NewScript returns the script with a text. The name, such as "throttle-block", stands in metrics.
func NewScript(name, lua string) *Script { return &Script{name, goredis.NewScript(lua)} }

// Run runs a script, within Timeout. A Redis that does not know the script gets its text. The result is that of Lua: an
// int64, a string, nil, or a []any of these.
func (c *Client) Run(ctx context.Context, s *Script, keys []string, args ...any) (any, error) {
	return c.send(ctx, s.name, 0, func(ctx context.Context) (any, error) {
		result, err := c.raw.EvalSha(ctx, s.lua.Hash(), keys, args...).Result()
		if goredis.HasErrorPrefix(err, "NOSCRIPT") {
			result, err = s.lua.Eval(ctx, c.raw, keys, args...).Result()
		}
		return result, err
	})
}

// RunAndWait is Run, followed by a WAIT on the same connection: it returns how many replicas of Redis have what the
// script wrote. It waits for as many as min, for up to the given time, which comes on top of Timeout. A Redis that does
// nothing else looks at the clock ten times a second, so that it can take a tenth of a second longer.
func (c *Client) RunAndWait(ctx context.Context, s *Script, minReplicas int, wait time.Duration, keys []string, args ...any) (result any, replicas int, err error) {
	// A Redis that does not know the script waits twice.
	result, err = c.send(ctx, s.name, 2*(wait+waitStep), func(ctx context.Context) (any, error) {
		run := func(eval func(goredis.Pipeliner) *goredis.Cmd) (any, error) {
			pipe := c.raw.Pipeline()
			evaluated := eval(pipe)
			waited := pipe.Do(ctx, "wait", minReplicas, wait.Milliseconds())
			_, _ = pipe.Exec(ctx)
			value, err := evaluated.Result()
			if err == nil || errors.Is(err, goredis.Nil) {
				var failed error
				if replicas, failed = waited.Int(); failed != nil {
					err = failed
				}
			}
			return value, err
		}
		value, err := run(func(p goredis.Pipeliner) *goredis.Cmd { return p.EvalSha(ctx, s.lua.Hash(), keys, args...) })
		if goredis.HasErrorPrefix(err, "NOSCRIPT") {
			value, err = run(func(p goredis.Pipeliner) *goredis.Cmd { return s.lua.Eval(ctx, p, keys, args...) })
		}
		return value, err
	})
	return result, replicas, err
}

// Do sends one command, such as `Do(ctx, "get", key)`, within Timeout. A value that is not there is nil, without error.
func (c *Client) Do(ctx context.Context, args ...any) (any, error) {
	name, _ := args[0].(string)
	return c.send(ctx, name, 0, func(ctx context.Context) (any, error) { return c.raw.Do(ctx, args...).Result() })
}

// Publish sends a message to those who subscribe to a channel now.
func (c *Client) Publish(ctx context.Context, channel, message string) error {
	_, err := c.Do(ctx, "publish", channel, message)
	return err
}

// send sends a command when Redis is up, and notes how that went. It may take more than the timeout.
func (c *Client) send(ctx context.Context, name string, more time.Duration, command func(context.Context) (any, error)) (any, error) {
	if !c.Up() {
		c.observe(name, 0, CauseDown)
		return nil, &Error{Cause: CauseDown}
	}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, c.options.Patience+more)
	defer cancel()
	result, err := command(bounded)
	if errors.Is(err, goredis.Nil) {
		err = nil
	}
	err = wrap(ctx, err)
	c.note(err)
	c.observe(name, time.Since(began), CauseOf(err))
	return result, err
}

func (c *Client) observe(name string, took time.Duration, cause Cause) {
	c.counts.add(took, cause)
	if c.options.Observer != nil {
		c.options.Observer.RedisCommand(name, took, cause)
	}
}

// ping asks Redis whether it is there and fit: whether this user can write and publish.
func (c *Client) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	began := time.Now()
	err := c.try(ctx)
	c.observe("ping", time.Since(began), CauseOf(err))
	return err
}

// try writes a key that is gone a second later, and publishes what nobody listens to.
func (c *Client) try(ctx context.Context) error {
	err := c.raw.Set(ctx, c.Key("try"), "", time.Second).Err()
	if err == nil {
		err = c.raw.Publish(ctx, c.Key("try"), "").Err()
	}
	if err != nil {
		return &Error{classify(err), err}
	}
	return nil
}

// Check connects, and says what is wrong with the Redis, or what it is. It is for a command that an operator runs: it
// takes up to a second, and does not need Redis to be up.
func (c *Client) Check(ctx context.Context) (Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := c.try(ctx); err != nil {
		return Facts{}, err
	}
	info, err := c.raw.Info(ctx).Result()
	if goredis.IsPermissionError(err) {
		return Facts{}, nil
	}
	if err != nil {
		return Facts{}, &Error{classify(err), err}
	}
	return readFacts(info), nil
}
