package redis

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

const (
	// failuresInARow is after how many failures Redis counts as down.
	failuresInARow = 3
	// askEvery is how often a Redis that is down is asked, with a random half of it more, so that the servers do not
	// ask at once.
	askEvery = 500 * time.Millisecond
	// sayEvery is how often the log says that Redis is down for the same cause.
	sayEvery = time.Minute
)

// availability is the breaker: whether Redis counts as up. Only its goroutine tries a Redis that is down, so that no
// call pays for it.
type availability struct {
	breaker circuitbreaker.CircuitBreaker[any]
	ping    func(context.Context) error
	logger  *slog.Logger
	// down wakes the goroutine.
	down chan struct{}

	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	onUp []func()
	last Cause
}

// watch starts the goroutine.
func watch(logger *slog.Logger, ping func(context.Context) error) *availability {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	a := &availability{ping: ping, logger: logger, down: make(chan struct{}, 1)}
	a.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(failuresInARow).
		// It never tries by itself.
		WithDelay(1 << 62).
		OnOpen(func(circuitbreaker.StateChangedEvent) { a.wake() }).
		Build()
	a.breaker.Open()
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.running.Go(func() { a.run(ctx) })
	return a
}

func (a *availability) stop() {
	a.cancel()
	a.running.Wait()
}

// Up reports whether commands are sent.
func (a *availability) Up() bool { return a.breaker.IsClosed() }

// LastCause is why Redis is down, or why the last ping failed; empty while it is up.
func (a *availability) LastCause() Cause {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// OnUp has a function called in a goroutine of its own each time that Redis comes up, and now if it is up.
func (a *availability) OnUp(call func()) {
	a.mu.Lock()
	a.onUp = append(a.onUp, call)
	a.mu.Unlock()
	if a.Up() {
		a.running.Go(call)
	}
}

func (a *availability) wake() {
	select {
	case a.down <- struct{}{}:
	default:
	}
}

// note counts how a command went. What a caller or a script did wrong is no failure of Redis.
func (a *availability) note(err error) {
	switch cause := CauseOf(err); cause {
	case CauseCanceled, CauseDown:
	case "", CauseOther:
		a.breaker.RecordSuccess()
	default:
		a.mu.Lock()
		a.last = cause
		a.mu.Unlock()
		a.breaker.RecordFailure()
	}
}

func (a *availability) run(ctx context.Context) {
	// It is down at first, and nobody has to hear of that.
	said := teller{logger: a.logger, told: true}
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-a.down:
		}
		if !first {
			said.down(a.LastCause(), nil)
		}
		for {
			err := a.ping(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				break
			}
			cause := CauseOf(err)
			a.mu.Lock()
			a.last = cause
			a.mu.Unlock()
			said.down(cause, err)
			if !pause(ctx, askEvery+rand.N(askEvery/2)) {
				return
			}
		}
		said.up()
		a.mu.Lock()
		a.last = ""
		calls := a.onUp
		a.mu.Unlock()
		a.breaker.Close()
		for _, call := range calls {
			a.running.Go(call)
		}
	}
}

// teller writes the lines of the log. A Redis that fails again and again for the same cause has one line in a minute.
type teller struct {
	logger *slog.Logger
	cause  Cause
	at     time.Time
	// told is set when the log says that Redis is down.
	told bool
}

func (t *teller) down(cause Cause, err error) {
	if cause == t.cause && time.Since(t.at) < sayEvery {
		return
	}
	t.cause, t.at, t.told = cause, time.Now(), true
	if err == nil {
		t.logger.Warn("Redis is down: what the replicas share stops until it is back", slog.String("cause", string(cause)))
		return
	}
	t.logger.Warn("Redis cannot be used", slog.String("cause", string(cause)), slog.String("error", err.Error()))
}

func (t *teller) up() {
	if t.told {
		t.logger.Info("Redis is up")
	}
	t.told = false
}

// pause waits, and reports false when the context ends first.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
