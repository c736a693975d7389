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
	// maxTenants and maxUsers are how many tenants and users of them tokens are kept for, and failures for as many. Those
	// used longest ago go.
	maxTenants = 10_000
	maxUsers   = 10_000
	// maxFetches is how many requests for tokens may be under way. With more, calls are answered at once; see hasRoom.
	maxFetches = 2_000
	// fetchTime is how long a request for a token may take. Its callers may be gone long before.
	fetchTime = 30 * time.Second
	// renewalPace is how often one and the same key gets a new token for one demand because the last new one was refused
	// as well. An operation that Graph always answers with 401 would otherwise cost a token request a call.
	renewalPace = 30 * time.Second
	// refusedTime is for how long at least, and twice that for how long at most, a refusal of the authority is kept.
	refusedTime = 30 * time.Second
	// unavailableTime is for how long an authority that did not answer is left alone, when it does not say itself, and
	// maxFailureTime for how long at most when it does. It is short, as an authority that blinks shall not cost its tenants
	// half a minute: one that is down is asked by one request a key meanwhile, however many calls there are, and one that
	// hangs costs fetchTime besides.
	unavailableTime = 5 * time.Second
	maxFailureTime  = time.Minute
	// expiryMargin is how long before its end a token is not used any more: a call takes its time.
	expiryMargin = time.Minute
)

// hash stands for tokens, assertions and claims wherever they are compared: none of them is a key or is kept longer
// than it has to be. The zero hash stands for none.
type hash [sha256.Size]byte

func hashOf(s string) hash {
	if s == "" {
		return hash{}
	}
	return sha256.Sum256([]byte(s))
}

// key says whose token it is: that of the application in a tenant, or that of a user of it.
type key struct {
	tenant string
	// user is the hash of the user's assertion.
	user hash
}

func (k key) isUsers() bool { return k.user != hash{} }

// fetchFunc asks for a token. Refused of the request is what the caller was refused who came first.
type fetchFunc func(ctx context.Context, request graph.TokenRequest) (azcore.AccessToken, error)

// cache keeps tokens and the failures to get them. A token is asked for in the background, once for all callers that
// want the same, so that each caller keeps its own deadline.
type cache struct {
	fetch fetchFunc
	// versions change when a refusal of the credential has to be forgotten, because its file has changed.
	versions versions

	background context.Context
	stop       context.CancelFunc
	running    sync.WaitGroup

	mu            sync.Mutex
	tenants       *recent
	users         *recent
	flights       map[wanted]*flight
	ofUsers       map[string]int // How many flights are for users of a tenant.
	started       uint64
	closed        bool
	maxConcurrent int
}

// wanted tells flights apart: those with claims get other tokens than those without.
type wanted struct {
	key
	claims hash
}

// flight is a request for a token that is under way. token and err are there when done is closed.
type flight struct {
	// number grows with every flight, so that the answer of an older one does not replace that of a newer one.
	number uint64
	// refused is the token that the flight knows to be refused, which some sources would else give again.
	refused string
	done    chan struct{}
	token   string
	err     error
}

func newCache(fetch fetchFunc, version func() hash) *cache {
	c := &cache{
		fetch: fetch, versions: versions{read: version},
		tenants: newRecent(maxTenants), users: newRecent(maxUsers), flights: make(map[wanted]*flight), ofUsers: make(map[string]int), maxConcurrent: maxFetches,
	}
	c.background, c.stop = context.WithCancel(context.Background())
	return c
}

// close ends the requests under way and waits for them.
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

// noOther is the error of a request for another token than a refused one, when there is none to be had. Of a user it is
// the user's token that is of no use.
func noOther(request graph.TokenRequest) *graph.TokenError {
	const text = "there is no other token than the refused one"
	if request.UserAssertion != "" {
		return assertionRefused(graph.CauseUserAssertion, text)
	}
	return &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseOther, Err: errors.New(text)}
}

// token returns a token for the request, a cached one if there is one that will do. It returns with the context's
// error when that ends first; the request for the token then goes on for the others.
func (c *cache) token(ctx context.Context, request graph.TokenRequest) (string, error) {
	token, f, err := c.wait(ctx, request)
	if err == nil && token == request.Refused && f != nil && f.refused != request.Refused {
		// The flight was under way for others, who had not been refused the token.
		token, _, err = c.wait(ctx, request)
	}
	if err == nil && token == request.Refused {
		return "", noOther(request)
	}
	return token, err
}

// wait returns a token, which may be the refused one again, and the flight that brought it, if it had to wait for one.
func (c *cache) wait(ctx context.Context, request graph.TokenRequest) (string, *flight, error) {
	found := c.look(request)
	if f := found.failure; f != nil && f.err.Kind == graph.TokenRefused {
		version, err := c.versions.lately(ctx)
		if err != nil {
			return "", nil, err
		}
		if version != f.version {
			c.forget(f)
			found = c.look(request)
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

// finding is what there is for a request: a token, the flight that will bring one, or an error, which may be that of a
// failure that was kept.
type finding struct {
	token   string
	flight  *flight
	err     error
	failure *failure
}

// look finds what there is for a request, and starts a flight when there is nothing else.
func (c *cache) look(request graph.TokenRequest) finding {
	want := wanted{key{request.Tenant, hashOf(request.UserAssertion)}, hashOf(request.Claims)}
	refused := hashOf(request.Refused)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return finding{err: errClosed}
	}
	now := time.Now()
	e := c.entry(want.key)
	if e.fits(want.claims, refused, now) {
		c.refreshAhead(e, request, now)
		return finding{token: e.token.text}
	}
	if f := e.failed(want.claims, now); f != nil {
		return finding{err: f.told(now), failure: f}
	}
	if f := c.flights[want]; f != nil {
		return finding{flight: f}
	}
	renews := e.token.good(now)
	if renews && !e.mayRenew(want.claims, now) {
		if token, ok := e.instead(want.claims, refused, now); ok {
			return finding{token: token}
		}
		if request.Claims != "" {
			return finding{err: errClaims}
		}
		return finding{err: noOther(request)}
	}
	f, err := c.start(want, request)
	if err != nil {
		return finding{err: err}
	}
	if renews {
		e.demand(want.claims, now).renewed = now
	}
	return finding{flight: f}
}

// forget ends a failure before its time.
func (c *cache) forget(f *failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.until = time.Time{}
}

// refreshAhead asks for the next token of everybody when it is time. Without a flight the token is good all the same.
func (c *cache) refreshAhead(e *entry, request graph.TokenRequest, now time.Time) {
	want := wanted{key: e.key}
	if now.Before(e.refresh) || c.flights[want] != nil {
		return
	}
	request.Claims, request.Refused = "", ""
	_, _ = c.start(want, request)
}

func (c *cache) entry(k key) *entry { return c.kept(k).entry(k) }

func (c *cache) kept(k key) *recent {
	if k.isUsers() {
		return c.users
	}
	return c.tenants
}

// start begins the flight that brings what is wanted. There must be none yet.
func (c *cache) start(want wanted, request graph.TokenRequest) (*flight, error) {
	if !c.hasRoom(want.key) {
		return nil, errTooMany
	}
	c.started++
	f := &flight{number: c.started, refused: request.Refused, done: make(chan struct{})}
	c.flights[want] = f
	if want.isUsers() {
		c.ofUsers[want.tenant]++
	}
	c.running.Go(func() { c.fly(want, f, request) })
	return f, nil
}

// hasRoom tells whether one more request for a token may be under way. Requests that hang must not take the place of all
// others: those for tenants and users that have had no token, and may be invented, leave a quarter free, and those for the
// users of one tenant leave as many free as they take.
func (c *cache) hasRoom(k key) bool {
	free := c.maxConcurrent - len(c.flights)
	if c.entry(k).token.text == "" {
		free -= c.maxConcurrent / 4
	}
	if k.isUsers() {
		return c.ofUsers[k.tenant] < free
	}
	return free > 0
}

func (c *cache) fly(want wanted, f *flight, request graph.TokenRequest) {
	ctx, cancel := context.WithTimeout(c.background, fetchTime)
	token, version, err := c.fetched(ctx, request)
	cancel()
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, want)
	if want.isUsers() {
		if c.ofUsers[want.tenant]--; c.ofUsers[want.tenant] == 0 {
			delete(c.ofUsers, want.tenant)
		}
	}
	e := c.entry(want.key)
	if err != nil {
		f.err = e.fail(asTokenError(err), want.claims, version, now).told(now)
	} else {
		f.token = token.Token
		e.succeed(f.number, token, want.claims, now)
		c.kept(want.key).promote(e)
	}
	close(f.done)
}

// fetched is what fetch returns, and the version of the credential before. A panic must not end the process, which has
// other tenants.
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
