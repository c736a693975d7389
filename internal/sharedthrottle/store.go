// Package sharedthrottle keeps in Redis what the replicas of a server know together of throttles of Graph. Package
// graph decides what is done with it.
//
// A throttle is a hash under `{namespace}:throttle:{tenant}:r` or `…:w`, or with `application` in place of the tenant:
//
//	field    what it is
//	-------  ------------------------------------------------------------------------
//	v        the version of the record
//	e, n     epoch and change
//	s, u     "b" for blocked or "p" for paced; blocked until
//	r, p, t  requests a second; how that changes, as package graph encodes it; since when
//	k, x     which replica probes, and until when that holds
//	a        when the next slot is free (GCRA)
//	w, g, b  the window in which slots are counted, how many, and the rate of the one before
//	c        how many replicas listened
//
// The records are in the sorted set `{namespace}:throttles`, by when they are forgotten. Changes are published in the
// channel `{namespace}:throttle`.
//
// Servers of two versions share records: each reads the fields that it knows, and leaves the others as they are.
package sharedthrottle

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/redis"
)

const (
	// keptFor is how long after its last throttle response a record is kept.
	keptFor = 5 * time.Minute
	// probeFor is how long a claim holds.
	probeFor = 10 * time.Second
	// leaseAhead is how far ahead slots are leased, and maxSlots how many at once.
	leaseAhead = 500 * time.Millisecond
	maxSlots   = 10
	// atOnce is how many records are read at once by a replica that begins to listen.
	atOnce = 200
	// againIn is when reading all is tried again.
	againIn = 200 * time.Millisecond
	// application stands for the tenant of the throttles of the application.
	application = "application"
)

//go:embed record.lua
var recordText string

//go:embed all.lua
var allText string

var (
	// recordScripts do the same. Each verb has a name of its own in metrics.
	recordScripts = func() map[graph.ThrottleVerb]*redis.Script {
		scripts := make(map[graph.ThrottleVerb]*redis.Script)
		for _, verb := range Verbs {
			scripts[verb] = redis.NewScript("throttle-"+string(verb), recordText)
		}
		return scripts
	}()
	allScript = redis.NewScript("throttle-all", allText)
)

// Verbs are all verbs.
var Verbs = []graph.ThrottleVerb{
	graph.ThrottleRead, graph.ThrottleBlock, graph.ThrottleClaim, graph.ThrottleRelease, graph.ThrottleOpen, graph.ThrottleLease,
	graph.ThrottlePut, graph.ThrottleEnd,
}

// errRecord is the error of a record that cannot be read.
var errRecord = errors.New("the record of a throttle cannot be read")

// Store is a graph.SharedThrottles in Redis.
type Store struct {
	client *redis.Client
	// sender tells this replica from the others.
	sender                 string
	prefix, index, channel string
	slots                  atomic.Uint64
}

// New returns the store of a Redis.
func New(client *redis.Client) *Store {
	return &Store{
		client: client, sender: rand.Text(),
		prefix: client.Key("throttle", ""), index: client.Key("throttles"), channel: client.Key("throttle"),
	}
}

// Slots returns how many slots this replica got by leases.
func (s *Store) Slots() uint64 { return s.slots.Load() }

// Up reports whether Redis is up.
func (s *Store) Up() bool { return s.client.Up() }

// Do does what graph.SharedThrottles says.
func (s *Store) Do(ctx context.Context, key graph.ThrottleKey, op graph.ThrottleOp) (graph.ThrottleFact, error) {
	scope := scopeOf(key)
	reply, err := s.client.Run(ctx, recordScripts[op.Verb], []string{s.prefix + scope, s.index},
		string(op.Verb), s.channel, s.sender, scope, op.Epoch, op.Change, ms(op.Wait), bit(op.Fresh), bit(op.Paced),
		strconv.FormatFloat(op.Rate, 'g', 9, 64), op.Pace, op.Want, ms(keptFor), ms(probeFor), ms(leaseAhead), maxSlots)
	if err != nil {
		return graph.ThrottleFact{}, err
	}
	list, _ := reply.([]any)
	fields := make([]string, len(list))
	for i, one := range list {
		fields[i], _ = one.(string)
	}
	f, err := readFact(fields)
	if op.Verb == graph.ThrottleLease && err == nil && f.Slots > 0 {
		s.slots.Add(uint64(f.Slots))
	}
	return f, err
}

// Listen does what graph.SharedThrottles says.
func (s *Store) Listen(news func(graph.ThrottleKey, graph.ThrottleFact), began func()) (stop func()) {
	tell := func(scope, text string) {
		key, ok := keyOf(scope)
		if f, err := readFact(strings.Split(text, "|")); ok && err == nil {
			news(key, f)
		}
	}
	// What was published before Redis was up is read when it is.
	load := make(chan struct{}, 1)
	again := func() {
		select {
		case load <- struct{}{}:
		default:
		}
	}
	unsubscribe := s.client.Subscribe(s.channel, func(message string) {
		if sender, scope, text, ok := readMessage(message); ok && sender != s.sender {
			tell(scope, text)
		}
	}, again)
	s.client.OnUp(again)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-load:
			}
			for s.client.Up() {
				if s.all(ctx, tell) == nil {
					began()
					break
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(againIn):
				}
			}
		}
	}()
	return func() {
		cancel()
		unsubscribe()
		<-ended
	}
}

// all tells of all records.
func (s *Store) all(ctx context.Context, tell func(scope, text string)) error {
	for from := 0; ; from += atOnce {
		reply, err := s.client.Run(ctx, allScript, []string{s.index}, s.prefix, from, atOnce, s.channel)
		if err != nil {
			return err
		}
		list, _ := reply.([]any)
		for i := 0; i+1 < len(list); i += 2 {
			scope, _ := list[i].(string)
			text, _ := list[i+1].(string)
			tell(scope, text)
		}
		if len(list) < 2*atOnce {
			return nil
		}
	}
}

// readMessage reads what was published: version, sender, scope, the fields of a fact, how long a probe may take, and
// whose it is. A later version may add to its end.
func readMessage(text string) (sender, scope, fact string, ok bool) {
	parts := strings.Split(text, "|")
	const before, of = 3, 8
	if len(parts) < before+of+1 || parts[0] == "" {
		return "", "", "", false
	}
	return parts[1], parts[2], strings.Join(parts[before:before+of+1], "|"), true
}

// readFact reads the fields of a record in the order of record.lua.
func readFact(fields []string) (f graph.ThrottleFact, err error) {
	if len(fields) > 0 && fields[0] == "0" {
		return f, nil
	}
	const least = 9
	if len(fields) < least {
		return f, errRecord
	}
	fail := func(e error) {
		if e != nil {
			err = errRecord
		}
	}
	whole := func(i int) uint64 {
		n, e := strconv.ParseUint(fields[i], 10, 64)
		fail(e)
		return n
	}
	fraction := func(i int) float64 {
		n, e := strconv.ParseFloat(fields[i], 64)
		fail(e)
		return n
	}
	long := func(i int) time.Duration { return time.Duration(fraction(i) * float64(time.Millisecond)) }
	f = graph.ThrottleFact{
		Known: true, Epoch: whole(1), Change: whole(2), Paced: fields[3] == "p", Wait: long(4), Pace: fields[5], PaceAge: long(6),
		Replicas: int(whole(7)), Probing: long(8),
	}
	const full = 15
	if len(fields) >= full {
		f.Claimed, f.Slots = fields[9] == "1", int(whole(10))
		f.First, f.Interval, f.AskIn, f.Measured = long(11), long(12), long(13), fraction(14)
	}
	return f, err
}

// scopeOf is a key as it stands in Redis.
func scopeOf(key graph.ThrottleKey) string {
	tenant, kind := key.Tenant, "r"
	if tenant == "" {
		tenant = application
	}
	if key.Write {
		kind = "w"
	}
	return tenant + ":" + kind
}

// keyOf reads what scopeOf writes.
func keyOf(scope string) (key graph.ThrottleKey, ok bool) {
	tenant, kind, ok := strings.Cut(scope, ":")
	if !ok || kind != "r" && kind != "w" {
		return key, false
	}
	if tenant == application {
		tenant = ""
	}
	return graph.ThrottleKey{Tenant: tenant, Write: kind == "w"}, true
}

func ms(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64)
}

func bit(set bool) string {
	if set {
		return "1"
	}
	return "0"
}
