package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/m365backup/backupstorage/internal/idempotency"
	"github.com/m365backup/backupstorage/internal/redis"
)

const (
	// patience is how long a call waits for Redis. A command goes on behind it, so that the breaker hears of it.
	patience = 45 * time.Millisecond
	// waitForReplicas is how long Redis waits for its replicas.
	waitForReplicas = 30 * time.Millisecond
	// RemembersFor is how long a server remembers its records, to write them again.
	RemembersFor = 10 * time.Minute
	// watchEvery is how often a server that has records looks whether Redis has lost them.
	watchEvery = 500 * time.Millisecond
	// grace is how long after a loss the servers that live have all written their records again: they notice it within
	// watchEvery, or some time after Redis is up again. Until then nobody sends a write whose key Redis does not know.
	grace = 3 * time.Second
	// LooksFor is how long after a loss a key that Redis does not know is looked for.
	LooksFor = 4 * time.Minute
	// maxRemembered bounds what a server remembers. A server writes far fewer records in RemembersFor: Graph allows less.
	maxRemembered = 200_000
	// restoreAtOnce is how many records one command writes again.
	restoreAtOnce = 100
	// markerSize is the size of the UUID of a marker.
	markerSize = 36
	// fitFor is how long an answer of INFO counts.
	fitFor = 10 * time.Second
)

// Options say what is asked of Redis.
type Options struct {
	// MinReplicas is how many replicas of Redis must have a record before its write is sent; 0 asks for none.
	MinReplicas int
	// NoEviction says that Redis never evicts, where INFO is closed to the server.
	NoEviction bool
	// Logger gets a line when Redis has lost records, and when it is unfit.
	Logger *slog.Logger
}

// Store is an idempotency.Store.
type Store struct {
	client  *redis.Client
	options Options

	mu sync.Mutex
	// marker is the marker that this server knows, runID the Redis that it was read of. Both are empty at first.
	marker, runID string
	// unsure says that Redis may not have a record of this server.
	unsure bool
	// restoring is closed when a restore that is under way has ended; nil when there is none.
	restoring chan struct{}
	// fit says since when Redis is known to be fit, unfit why it is not. asked is closed when the question that is under
	// way has its answer; nil when there is none.
	fit   time.Time
	unfit error
	asked chan struct{}
	// own are the records of this server, in the order of queue.
	own   map[idempotency.ID]*remembered
	queue []idempotency.ID
	// watching runs watch. It is nil while there is nothing to lose, and after Close.
	watching *time.Timer
	closed   bool
}

// remembered is a record that this server wrote.
type remembered struct {
	record []byte
	claim  idempotency.ID
	began  time.Time
	lease  time.Time
}

// New returns the store of a Redis.
func New(client *redis.Client, o Options) *Store {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{client: client, options: o, own: make(map[idempotency.ID]*remembered)}
	client.OnUp(s.watch)
	return s
}

// Close ends what the store does beside calls.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.watching != nil {
		s.watching.Stop()
		s.watching = nil
	}
}

// unavailable is an error of a store that has written nothing.
func unavailable(err error) error {
	return idempotency.NotWritten(fmt.Errorf("%w: %w", idempotency.ErrUnavailable, err))
}

var (
	errSlow     = errors.New("no response of Redis in time")
	errEviction = errors.New("maxmemory-policy of Redis is not noeviction: it would forget records")
	errInfo     = errors.New("INFO is closed to the user of Redis: say --redis-noeviction if it never evicts")
	errReplicas = errors.New("too few replicas of Redis have the record")
	errAnswer   = errors.New("a response of Redis has another form")
)

// within runs a command, and waits for it no longer than patience.
func within[T any](ctx context.Context, command func(ctx context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := command(context.WithoutCancel(ctx))
		done <- answer{value, err}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a := <-done:
		return a.value, a.err
	case <-timer.C:
		return *new(T), fmt.Errorf("%w: %w", idempotency.ErrUnavailable, errSlow)
	}
}

func (s *Store) recordKey(id idempotency.ID) string { return s.client.Key("idempotency", id.String()) }
func (s *Store) markerKey() string                  { return s.client.Key("idempotency-marker") }

// Read returns the record of a key.
func (s *Store) Read(ctx context.Context, key idempotency.ID) (idempotency.Stored, error) {
	for range 2 {
		marker, err := s.ready(ctx)
		if err != nil {
			return idempotency.Stored{}, err
		}
		answer, err := within(ctx, func(ctx context.Context) (any, error) {
			return s.client.Run(ctx, readScript, []string{s.recordKey(key), s.markerKey()}, marker)
		})
		if err != nil {
			return idempotency.Stored{}, unavailable(err)
		}
		reply, err := parse(answer)
		if err != nil || reply.what != "lost" {
			return reply.stored, err
		}
		s.lost(marker)
	}
	return idempotency.Stored{}, unavailable(errAnswer)
}

// reply is the reply of a script: ok, other, claimed, look or lost.
type reply struct {
	what   string
	stored idempotency.Stored
	// age is that of the marker, when the key has to be looked for.
	age time.Duration
}

// parse reads the reply of a script.
func parse(answer any) (r reply, err error) {
	parts, ok := answer.([]any)
	if !ok || len(parts) == 0 {
		return r, unavailable(errAnswer)
	}
	r.what, _ = parts[0].(string)
	number := func(i int) (n time.Duration) {
		if ok = ok && len(parts) == i+1; !ok {
			return 0
		}
		value, isNumber := parts[i].(int64)
		ok = isNumber
		return time.Duration(value) * time.Millisecond
	}
	switch r.what {
	case "look":
		r.age = number(1)
	case "other":
		left := number(2)
		if ok && parts[1] != "" {
			var record string
			record, ok = parts[1].(string)
			r.stored = idempotency.Stored{Record: []byte(record), Lease: left}
		}
	}
	if !ok {
		return reply{}, unavailable(errAnswer)
	}
	return r, nil
}

// Swap takes a step.
func (s *Store) Swap(ctx context.Context, step idempotency.Swap) (idempotency.Swapped, error) {
	for range 2 {
		marker, err := s.ready(ctx)
		if err != nil {
			return idempotency.Swapped{}, err
		}
		swapped, lost, err := s.swap(ctx, step, marker)
		if !lost {
			return swapped, err
		}
		s.lost(marker)
	}
	return idempotency.Swapped{}, unavailable(errAnswer)
}

func (s *Store) swap(ctx context.Context, step idempotency.Swap, marker string) (swapped idempotency.Swapped, lost bool, err error) {
	keys := []string{s.recordKey(step.Key), s.markerKey()}
	if step.Claim != (idempotency.ID{}) {
		keys = append(keys, s.client.Key("idempotency-claim", step.Claim.String()))
	}
	arguments := []any{
		marker, step.Old, step.New, step.Lease.Milliseconds(), idempotency.Kept.Milliseconds(), flag(step.Looked == marker), LooksFor.Milliseconds(), flag(step.Sure),
	}
	type written struct {
		answer   any
		replicas int
	}
	durable := step.Durable && s.options.MinReplicas > 0
	w, err := within(ctx, func(ctx context.Context) (w written, err error) {
		if durable {
			w.answer, w.replicas, err = s.client.RunAndWait(ctx, stepScript, s.options.MinReplicas, waitForReplicas, keys, arguments...)
		} else {
			w.answer, err = s.client.Run(ctx, stepScript, keys, arguments...)
		}
		return w, err
	})
	if err != nil {
		if redis.CauseOf(err) == redis.CauseDown {
			// It was not sent.
			return swapped, false, unavailable(err)
		}
		if !step.Durable {
			// It knows better than Redis what became of its write, and writes it when Redis is back.
			s.remember(step, true)
		}
		return swapped, false, fmt.Errorf("%w: %w", idempotency.ErrUnavailable, err)
	}
	reply, err := parse(w.answer)
	if err != nil {
		return swapped, false, err
	}
	switch reply.what {
	case "ok":
		if durable && w.replicas < s.options.MinReplicas {
			return swapped, false, fmt.Errorf("%w: %w: %d", idempotency.ErrUnavailable, errReplicas, w.replicas)
		}
		s.remember(step, false)
		swapped.OK = true
	case "lost":
		return swapped, true, nil
	case "claimed":
		swapped.Claimed = true
	case "look":
		swapped.Loss = &idempotency.Loss{ID: marker, Grace: grace - reply.age}
	default:
		swapped.Stored = reply.stored
	}
	return swapped, false, nil
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// remember keeps a record of this server, to write it again. unsure says that Redis may not have it.
func (s *Store) remember(step idempotency.Swap, unsure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.forgetOld(now, maxRemembered-1)
	if step.New == nil || step.Passing {
		delete(s.own, step.Key)
		return
	}
	r := s.own[step.Key]
	if r == nil {
		r = &remembered{began: now}
		s.own[step.Key] = r
		s.queue = append(s.queue, step.Key)
	}
	r.record, r.lease = step.New, now.Add(step.Lease)
	if step.Claim != (idempotency.ID{}) {
		r.claim = step.Claim
	}
	s.unsure = s.unsure || unsure
	s.watchLater()
}

// forgetOld forgets what is older than RemembersFor, and the oldest beyond a number. The mutex is held.
func (s *Store) forgetOld(now time.Time, most int) {
	for len(s.queue) > 0 {
		if r := s.own[s.queue[0]]; r != nil && len(s.queue) <= most && now.Sub(r.began) <= RemembersFor {
			return
		}
		delete(s.own, s.queue[0])
		s.queue = s.queue[1:]
	}
}

// watchLater has watch run, while there is something to lose. The mutex is held.
func (s *Store) watchLater() {
	if s.watching == nil && !s.closed && len(s.own) > 0 {
		s.watching = time.AfterFunc(watchEvery, s.watch)
	}
}

// watch looks whether Redis has lost records, and writes them again: a server whose write is under way has no other
// call that would notice it.
func (s *Store) watch() {
	ctx := context.Background()
	if marker, err := s.ready(ctx); err == nil {
		is, err := s.client.Do(ctx, "get", s.markerKey())
		if text, _ := is.(string); err == nil && !strings.HasPrefix(text, marker) {
			s.lost(marker)
			_, _ = s.ready(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetOld(time.Now(), maxRemembered)
	if s.watching != nil {
		s.watching.Stop()
		s.watching = nil
	}
	s.watchLater()
}

// lost notes that the marker is another one.
func (s *Store) lost(marker string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marker == marker {
		s.marker = ""
	}
}

// ready returns the marker when keys can be served. It restores what Redis has lost.
func (s *Store) ready(ctx context.Context) (marker string, err error) {
	if !s.client.Up() {
		return "", unavailable(&redis.Error{Cause: redis.CauseDown})
	}
	s.mu.Lock()
	if err := s.fitness(ctx); err != nil {
		s.mu.Unlock()
		return "", err
	}
	if s.marker != "" && s.runID == s.client.RunID() && !s.unsure {
		defer s.mu.Unlock()
		return s.marker, nil
	}
	if s.restoring == nil {
		s.restoring = make(chan struct{})
		go s.restore(context.WithoutCancel(ctx), s.restoring)
	}
	restored := s.restoring
	s.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-restored:
	case <-timer.C:
		return "", unavailable(errSlow)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marker == "" || s.unsure {
		return "", unavailable(errAnswer)
	}
	return s.marker, nil
}

// fitness says whether Redis may keep records. It asks beside the calls; only those that come before the first answer
// wait for it. The mutex is held.
func (s *Store) fitness(ctx context.Context) error {
	if s.options.NoEviction {
		return nil
	}
	if time.Since(s.fit) > fitFor && s.asked == nil {
		s.asked = make(chan struct{})
		go s.askFitness(context.WithoutCancel(ctx), s.asked)
	}
	if asked := s.asked; asked != nil && s.fit.IsZero() && s.unfit == nil {
		s.mu.Unlock()
		select {
		case <-asked:
		case <-time.After(patience):
		}
		s.mu.Lock()
	}
	if s.unfit != nil {
		return unavailable(s.unfit)
	}
	if s.fit.IsZero() {
		return unavailable(errSlow)
	}
	return nil
}

func (s *Store) askFitness(ctx context.Context, asked chan struct{}) {
	facts, err := s.client.Facts(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
	close(asked)
	switch {
	case err != nil:
		// The breaker says when Redis is down.
		return
	case !facts.Known:
		err = errInfo
	case facts.MaxMemoryPolicy != "noeviction":
		err = errEviction
	}
	if err != nil && s.unfit == nil {
		s.options.Logger.Error("idempotency keys are refused", slog.String("error", err.Error()))
	}
	s.fit, s.unfit = time.Now(), err
}

// restore reads the marker, writes the records of this server again, and says that it is done.
func (s *Store) restore(ctx context.Context, done chan struct{}) {
	marker, runID, err := s.restoreAll(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.marker, s.runID = marker, runID
	} else {
		s.unsure = true
		s.options.Logger.Warn("idempotency keys are refused until their records are back in Redis", slog.String("error", err.Error()))
	}
	s.restoring = nil
	close(done)
}

func (s *Store) restoreAll(ctx context.Context) (marker, runID string, err error) {
	s.mu.Lock()
	s.unsure = false
	type one struct {
		key idempotency.ID
		remembered
	}
	all := make([]one, 0, len(s.own))
	for _, key := range s.queue {
		if r := s.own[key]; r != nil && time.Since(r.began) <= RemembersFor {
			all = append(all, one{key, *r})
		}
	}
	s.mu.Unlock()
	runID = s.client.RunID()
	answer, err := s.client.Run(ctx, markScript, []string{s.markerKey()}, uuid.NewString(), runID)
	if err != nil {
		return "", "", err
	}
	text, _ := answer.(string)
	if len(text) < markerSize {
		return "", "", errAnswer
	}
	now := time.Now()
	for len(all) > 0 {
		batch := all[:min(len(all), restoreAtOnce)]
		all = all[len(batch):]
		var keys []string
		var arguments []any
		for _, r := range batch {
			key := s.recordKey(r.key)
			claim := key
			if r.claim != (idempotency.ID{}) {
				claim = s.client.Key("idempotency-claim", r.claim.String())
			}
			keys = append(keys, key, claim)
			lease := strconv.FormatInt(r.lease.UnixMilli(), 10)
			arguments = append(arguments, (idempotency.Kept - now.Sub(r.began)).Milliseconds(), lease+" "+string(r.record))
		}
		if _, err := s.client.Run(ctx, restoreScript, keys, arguments...); err != nil {
			return "", "", err
		}
	}
	return text[:markerSize], runID, nil
}
