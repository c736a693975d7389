package main

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/typederror"
)

// tries is how often each key is sent.
const tries = 3

// deadline of a call: longer than a call waits for another one with its key.
const deadline = 30 * time.Second

// thing is what a key creates.
type thing int

const (
	exchangePolicy thing = iota
	drivePolicy
	sitePolicy
	session // Has no name, so what a lost call has created is never adopted.
	things
)

func (t thing) String() string {
	return [...]string{"Exchange policy", "OneDrive policy", "SharePoint policy", "restore session"}[t]
}

// try is what a client saw of one call.
type try struct {
	id         string // x-request-id
	replica    int
	begin, end time.Time
	failed     bool
	err        typederror.Error
	made       string // Id of the thing that a good answer has.
	replayed   bool   // Trailer x-idempotent-replay.
}

// plan is what the seed says of a key.
type plan struct {
	thing   thing
	replica [tries]int
	// after is how long a try begins after the end of the one before; at once with both set.
	atOnce bool
	after  [tries]time.Duration
}

// result is a key and what became of it.
type result struct {
	number int
	key    string
	tenant string
	plan   plan
	tries  []try
}

// newPlan plans one key: in one of three the first two calls are under way at once, and in one of eight the last one
// comes when a lease of the first one is over.
func newPlan(random *mathrand.Rand, lease time.Duration) plan {
	p := plan{thing: thing(random.IntN(int(things))), atOnce: random.IntN(3) == 0}
	for i := range p.replica {
		p.replica[i] = random.IntN(replicas)
	}
	p.after[1], p.after[2] = time.Duration(random.IntN(500))*time.Millisecond, time.Duration(random.IntN(3000))*time.Millisecond
	if p.atOnce {
		p.after[1] = time.Duration(random.IntN(5)) * time.Millisecond
	}
	if random.IntN(8) == 0 {
		p.after[2] += lease
	}
	return p
}

// load sends keys.
type load struct {
	fleet   *fleet
	tenants int

	mu      sync.Mutex
	results []result
	running sync.WaitGroup
}

// run begins one key after the other, so many a second, and waits for all.
func (l *load) run(ctx context.Context, keys, perSecond int, random *mathrand.Rand, lease time.Duration) {
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for n := range keys {
		p := newPlan(random, lease)
		l.running.Go(func() { l.key(ctx, n, p) })
		select {
		case <-ticker.C:
		case <-ctx.Done():
			l.running.Wait()
			return
		}
	}
	l.running.Wait()
}

func (l *load) key(ctx context.Context, n int, p plan) {
	r := result{number: n, key: newGUID(), tenant: tenantID(n % l.tenants), plan: p, tries: make([]try, tries)}
	var first sync.WaitGroup
	for i := range r.tries {
		if i > 0 {
			pause(ctx, p.after[i])
		}
		one := func() { r.tries[i] = l.try(ctx, &r, i) }
		switch {
		case i == 0 && p.atOnce:
			first.Go(one)
			continue
		case i == 2:
			first.Wait()
		}
		one()
	}
	l.mu.Lock()
	l.results = append(l.results, r)
	l.mu.Unlock()
}

func (l *load) try(ctx context.Context, r *result, i int) try {
	t := try{id: newGUID(), begin: time.Now()}
	var c grpc.ClientConnInterface
	c, t.replica = l.fleet.use(r.plan.replica[i])
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", r.tenant, "x-request-id", t.id)
	var trailer metadata.MD
	made, err := create(ctx, c, r.plan.thing, fmt.Sprintf("Key %d", r.number), &r.key, grpc.Trailer(&trailer))
	t.end = time.Now()
	if t.failed = err != nil; t.failed {
		t.err = typederror.Of(err)
	}
	replay := trailer.Get("x-idempotent-replay")
	t.made, t.replayed = made, len(replay) == 1 && replay[0] == "true"
	return t
}

// create sends one create, with a key unless that is nil, and returns the id of what was created.
func create(ctx context.Context, c grpc.ClientConnInterface, what thing, name string, key *string, options ...grpc.CallOption) (string, error) {
	policies := pb.NewProtectionPolicyServiceClient(c)
	switch what {
	case exchangePolicy:
		answer, err := policies.CreateExchangeProtectionPolicy(ctx,
			&pb.CreateExchangeProtectionPolicyRequest{DisplayName: name, IdempotencyKey: key}, options...)
		return answer.GetProtectionPolicy().GetId(), err
	case drivePolicy:
		answer, err := policies.CreateOneDriveForBusinessProtectionPolicy(ctx,
			&pb.CreateOneDriveForBusinessProtectionPolicyRequest{DisplayName: name, IdempotencyKey: key}, options...)
		return answer.GetProtectionPolicy().GetId(), err
	case sitePolicy:
		answer, err := policies.CreateSharePointProtectionPolicy(ctx,
			&pb.CreateSharePointProtectionPolicyRequest{DisplayName: name, IdempotencyKey: key}, options...)
		return answer.GetProtectionPolicy().GetId(), err
	default:
		answer, err := pb.NewRestoreSessionServiceClient(c).CreateExchangeRestoreSession(ctx,
			&pb.CreateExchangeRestoreSessionRequest{IdempotencyKey: key}, options...)
		return answer.GetRestoreSession().GetId(), err
	}
}

// pause lets real time pass, for other processes. It reports whether the whole of it has passed.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func newGUID() string {
	var b [16]byte
	// It never fails.
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
