package redis

import (
	"context"
	"math/rand/v2"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// Subscribe has message called with each message of a channel, and subscribed each time that the subscription begins:
// at first, and again after each loss of the connection, since what was published meanwhile is lost. Both are called by
// one goroutine, one after another. stop ends it.
//
// The subscription has a connection of its own, and does not care whether Redis counts as up.
func (c *Client) Subscribe(channel string, message func(string), subscribed func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			c.listen(ctx, channel, message, subscribed)
			pause(ctx, askEvery/2+rand.N(askEvery/2))
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// listen listens until the connection is lost or the context ends.
func (c *Client) listen(ctx context.Context, channel string, message func(string), subscribed func()) {
	subscription := c.raw.Subscribe(ctx)
	// A receive looks at no context: the end of the connection ends it.
	defer context.AfterFunc(ctx, func() { _ = subscription.Close() })()
	defer func() { _ = subscription.Close() }()
	began, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if subscription.Subscribe(began, channel) != nil {
		return
	}
	for {
		received, err := subscription.ReceiveTimeout(ctx, 0)
		if err != nil {
			return
		}
		switch received := received.(type) {
		case *goredis.Subscription:
			subscribed()
		case *goredis.Message:
			message(received.Payload)
		}
	}
}
