package credential

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

const (
	// maxTenants and maxUsers bound the cached tokens, and as many failures besides. The least recently used are evicted,
	// by tenant; see recent.
	maxTenants = 10_000
	maxUsers   = 10_000
	// maxFetches is how many token requests may be under way. Further callers get an error at once; see shares.
	maxFetches = 2_000
	// fetchTime is how long a flight may take. Its callers may be gone long before.
	fetchTime = 30 * time.Second
	// renewalInterval is the minimum time between two new tokens of one key for one demand when the first was refused as
	// well. Without it, an operation to which Graph always responds 401 would cost a token request for every call.
	renewalInterval = 30 * time.Second
	// minRefusalTime is how long a refusal of the authority is cached at least. Jitter adds up to as much again.
	minRefusalTime = 30 * time.Second
	// unavailableTime is how long an authority that is unavailable is left alone when it names no time itself. The time is
	// short, so that a short outage costs the tenants little. While the authority is down, each key costs one request in
	// that time, for any number of calls. While it hangs, each key costs two requests in fetchTime.
	unavailableTime = 5 * time.Second
	// expiryMargin is how long before it expires a token is no longer used, since a call takes time.
	expiryMargin = time.Minute
)

// hash stands for a token, an assertion or claims where they are compared, so that these are no keys and are not held
// longer than needed. The zero hash stands for none.
type hash [sha256.Size]byte

func hashOf(s string) hash {
	if s == "" {
		return hash{}
	}
	return sha256.Sum256([]byte(s))
}

// key says whose token it is: that of the application in a tenant, or that of a user of the tenant.
type key struct {
	tenant string
	// user is the hash of the user's assertion.
	user hash
}

func (k key) isUsers() bool { return k.user != hash{} }

// fetchFunc requests a token. The request's Refused is the refused token of the first caller.
type fetchFunc func(ctx context.Context, request graph.TokenRequest) (azcore.AccessToken, error)

// cache holds tokens and the failures to get them. A token is requested in the background, once for all callers that
// need the same one, so that each caller keeps its own deadline.
type cache struct {
	fetch fetchFunc
	// versions says when the file of the credential has changed: a cached refusal is then void.
	versions versions

	background context.Context
	stop       context.CancelFunc
	running    sync.WaitGroup

	mu      sync.Mutex
	tenants *recent
	users   *recent
	flights map[wanted]*flight
	shares  *shares
	started uint64
	closed  bool

	// hedgeTime is the constant, except in tests over real connections.
	hedgeTime time.Duration
}

// wanted identifies a flight: one with claims brings another token than one without.
type wanted struct {
	key
	claims hash
}

// flight brings a token, by a token request that is under way, or by two; see hedged. token and err are set before done
// is closed.
type flight struct {
	// number grows with every flight, so that the token of an older one does not replace that of a newer one.
	number uint64
	// refused is the token that the flight knows to be refused. Some sources would return it again.
	refused string
	done    chan struct{}
	token   string
	err     error
}

func newCache(fetch fetchFunc, version func() hash) *cache {
	c := &cache{
		fetch: fetch, versions: versions{read: version},
		tenants: newRecent(maxTenants), users: newRecent(maxUsers), flights: make(map[wanted]*flight), shares: newShares(maxFetches), hedgeTime: hedgeTime,
	}
	c.background, c.stop = context.WithCancel(context.Background())
	return c
}

// close cancels the requests under way and waits for them.
func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
	c.versions.close()
}

var (
	errClosed  = &graph.TokenError{Kind: graph.TokenUnavailable, Err: errors.New("token source is closed")}
	errClaims  = &graph.TokenError{Kind: graph.TokenClaimsRefused, Cause: graph.CausePolicy, Err: errors.New("a token with the claims was refused")}
	errTooMany = unavailable(errors.New("too many token requests are under way"))
)

// noOther is the error when a token was refused and no other one can be had. For a user, the fault is with the user's
// assertion.
func noOther(request graph.TokenRequest) *graph.TokenError {
	const text = "there is no other token than the refused one"
	if request.UserAssertion != "" {
		return assertionRefused(graph.CauseUserAssertion, text)
	}
	return &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseOther, Err: errors.New(text)}
}

// token returns a token for the request, a cached one if there is one that suits. When the context ends first, it
// returns the context's error, and the token request goes on for the other callers.
func (c *cache) token(ctx context.Context, request graph.TokenRequest) (string, error) {
	token, f, err := c.wait(ctx, request)
	if err == nil && token == request.Refused && f != nil && f.refused != request.Refused {
		// The flight was started for others, to whom the token had not been refused.
		token, _, err = c.wait(ctx, request)
	}
	if err == nil && token == request.Refused {
		return "", noOther(request)
	}
	return token, err
}

// wait returns a token, which may be the refused one again, and the flight that brought it if it waited for one.
func (c *cache) wait(ctx context.Context, request graph.TokenRequest) (string, *flight, error) {
	found := c.lookUp(request)
	if f := found.failure; f != nil && f.err.Kind == graph.TokenRefused {
		version, err := c.versions.recent(ctx)
		if err != nil {
			return "", nil, err
		}
		if version != f.version {
			c.forget(f)
			found = c.lookUp(request)
		}
	}
	if found.flight == nil {
		return found.token, nil, found.err
	}
	select {
	case <-found.flight.done:
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	return found.flight.token, found.flight, found.flight.err
}

// lookup is what the cache has for a request: a token, the flight that will bring one, or an error. failure is set when
// the error is a cached one.
type lookup struct {
	token   string
	flight  *flight
	err     error
	failure *failure
}

// lookUp returns what the cache has for a request, and starts a flight when it has nothing.
func (c *cache) lookUp(request graph.TokenRequest) lookup {
	want := wanted{key{request.Tenant, hashOf(request.UserAssertion)}, hashOf(request.Claims)}
	refused := hashOf(request.Refused)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return lookup{err: errClosed}
	}
	now := time.Now()
	e := c.entry(want.key)
	if e.fits(want.claims, refused, now) {
		c.refreshAhead(e, request, now)
		return lookup{token: e.token.text}
	}
	if f := e.failed(want.claims, now); f != nil {
		return lookup{err: f.errorAt(now), failure: f}
	}
	if f := c.flights[want]; f != nil {
		return lookup{flight: f}
	}
	renews := e.token.good(now)
	if renews && !e.mayRenew(want.claims, now) {
		if token, ok := e.instead(want.claims, refused, now); ok {
			return lookup{token: token}
		}
		if request.Claims != "" {
			return lookup{err: errClaims}
		}
		return lookup{err: noOther(request)}
	}
	f, err := c.start(want, request)
	if err != nil {
		return lookup{err: err}
	}
	if renews {
		e.demand(want.claims, now).renewed = now
	}
	return lookup{flight: f}
}

// forget makes a cached failure expire now.
func (c *cache) forget(f *failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.until = time.Time{}
}

// refreshAhead requests the next shared token when it is time. If no flight can be started, the present token stays
// good.
func (c *cache) refreshAhead(e *entry, request graph.TokenRequest, now time.Time) {
	want := wanted{key: e.key}
	if now.Before(e.refresh) || c.flights[want] != nil {
		return
	}
	request.Claims, request.Refused = "", ""
	_, _ = c.start(want, request)
}

func (c *cache) entry(k key) *entry { return c.entries(k).entry(k) }

func (c *cache) entries(k key) *recent {
	if k.isUsers() {
		return c.users
	}
	return c.tenants
}

// start starts the flight for what is wanted. There must be none yet.
func (c *cache) start(want wanted, request graph.TokenRequest) (*flight, error) {
	if !c.shares.take(want.tenant, c.reserved(want.key)) {
		return nil, errTooMany
	}
	c.started++
	f := &flight{number: c.started, refused: request.Refused, done: make(chan struct{})}
	c.flights[want] = f
	c.running.Go(func() { c.fly(want, f, request) })
	return f, nil
}

// reserved is how many requests a request for a key leaves to others. Tenants and users without a token may be
// invented, in any number. They leave a quarter to those that have had one.
func (c *cache) reserved(k key) int {
	if c.entry(k).token.text == "" {
		return c.shares.max / 4
	}
	return 0
}

func (c *cache) fly(want wanted, f *flight, request graph.TokenRequest) {
	r := c.hedged(want, request)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, want)
	e := c.entry(want.key)
	if r.err != nil {
		failed := *r.err
		failed.RequestID = request.RequestID
		f.err = e.fail(&failed, want.claims, r.version, now).errorAt(now)
	} else {
		f.token = r.token.Token
		e.succeed(f.number, r.token, want.claims, now)
		c.entries(want.key).promote(e)
	}
	close(f.done)
}

// fetched is what fetch returns, and the version of the credential before it. A panic becomes an error: it must not end
// the process, which serves other tenants.
func (c *cache) fetched(ctx context.Context, request graph.TokenRequest) (token azcore.AccessToken, version hash, err error) {
	defer func() {
		if value := recover(); value != nil {
			// The value may hold anything.
			err = fmt.Errorf("panic of type %T while a token was fetched", value)
		}
	}()
	version = c.versions.now()
	token, err = c.fetch(ctx, request)
	return token, version, err
}

// jitter returns a duration from 0 up to the limit.
func jitter(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return rand.N(limit)
}
