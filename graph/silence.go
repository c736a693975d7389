package graph

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"time"
)

const (
	// A read that gets no byte over a reused connection is silent after a quarter of the time that is left, but not
	// before minSilence and not after maxSilence. At least half of the time is left, also when the deadline is 2 s or
	// less.
	minSilence, maxSilence = time.Second, 5 * time.Second
	// slowPeriod is how long a tenant's silent reads count as slow after a scout was no faster.
	slowPeriod = 10 * time.Second
	// closeInterval is how often silence closes the idle connections at most: each one costs a handshake later.
	closeInterval = time.Second
	// forgetSilence is how long a tenant's silence is remembered: no read waits longer for its first byte.
	forgetSilence = time.Minute
	// maxSilences bounds the tenants whose silence is remembered.
	maxSilences = 10_000
)

// silences decide what becomes of silent reads. A connection that died without notice, since a NAT or a load balancer
// forgot it, and an upstream that takes long look the same. So the first silent read of a tenant sends itself a second
// time, as a scout, over a new connection:
//
//	what happens first                  it means             what follows
//	----------------------------------  -------------------  --------------------------------------------------
//	the scout gets a byte               the connection died  the tenant's other silent reads are repeated
//	the read itself gets a byte         Graph is slow        no other scout of the tenant for slowPeriod
//	neither does, within the deadline   unknown              the same, and idle connections are closed
//	the scout gets no connection        unknown              the next silent read is a scout
//
// So while Graph is slow, a tenant sends at most one more request in slowPeriod. What its scouts find out holds for it
// alone, since Graph may be slow for one tenant and not for others.
type silences struct {
	mu      sync.Mutex
	tenants map[string]*silence
}

// silence is what is known of a tenant's silent reads.
type silence struct {
	// scouting says that a scout is under way, waiting are the silent reads that wait for what it finds.
	scouting bool
	waiting  []*trip
	// dead is when a scout has found a connection dead: reads that began before it and are silent may have one as well.
	// Until slow there are no scouts.
	dead, slow time.Time
}

// report adds a silent read. scout says that it is to send a scout; verdict then has to follow.
func (s *silences) report(t *trip) (scout bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, now := s.tenants[t.request.Tenant], time.Now()
	switch {
	case one == nil && !s.makeRoom(now):
		return false
	case one == nil:
		one = new(silence)
		s.tenants[t.request.Tenant] = one
	case t.began.Before(one.dead):
		t.abandon(nil)
		return false
	case one.scouting:
		one.waiting = append(one.waiting, t)
		return false
	case now.Before(one.slow):
		return false
	}
	one.scouting = true
	return true
}

// finding is what a scout found.
type finding int

const (
	nothing finding = iota
	dead
	slow
)

// verdict ends the scouting of a tenant.
func (s *silences) verdict(tenant string, found finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, now := s.tenants[tenant], time.Now()
	waiting := one.waiting
	one.scouting, one.waiting = false, nil
	switch found {
	case nothing:
		delete(s.tenants, tenant)
	case slow:
		one.slow = now.Add(slowPeriod)
	case dead:
		one.dead = now
		for _, t := range waiting {
			t.abandon(nil)
		}
	}
}

// makeRoom reports whether another tenant can be remembered.
func (s *silences) makeRoom(now time.Time) bool {
	if len(s.tenants) < maxSilences {
		return true
	}
	for tenant, one := range s.tenants {
		if !one.scouting && now.After(one.slow) && now.Sub(one.dead) > forgetSilence {
			delete(s.tenants, tenant)
		}
	}
	return len(s.tenants) < maxSilences
}

// trip is one attempt to send a request, as net/http tells of it.
type trip struct {
	client  *Client
	request *Request
	// authorization is the value of that header.
	authorization []string
	way           way
	// ctx is the caller's, within that of this attempt.
	ctx, within context.Context
	cancel      func()
	began       time.Time
	trace       httptrace.ClientTrace

	mu sync.Mutex
	// sent says that there was a connection: from then on Graph may receive bytes and act on them. reused says that it had
	// been used before, heard that a byte came over it.
	sent, reused, heard bool
	// seated says that it counts among the reads under way.
	seated bool
	// timer fires when a read is silent, when it has waited long enough for the head of its response, and when the speed
	// of a body is to be measured: one after the other.
	timer *time.Timer
	// ended says that the round trip has ended, abandoned that it was given up since its connection is dead, late that it
	// was given up since there was no head in time.
	ended, abandoned, late bool
	// body is the body of the response, once there is one.
	body *watchedBody
	// scouted is what the scout got, stopScout ends it.
	scouted   *http.Response
	stopScout func()
}

// begin begins an attempt. It has to be closed.
func (c *Client) begin(ctx context.Context, request *Request, authorization []string, way way, now time.Time) *trip {
	t := &trip{client: c, request: request, authorization: authorization, way: way, ctx: ctx, began: now}
	within, cancel := context.WithCancel(ctx)
	t.trace = httptrace.ClientTrace{
		// Later hooks are too late to know what was sent: they run concurrently with RoundTrip, which a context can end
		// between the bytes and the hook.
		GotConn:              t.gotConnection,
		GotFirstResponseByte: t.gotByte,
	}
	t.within, t.cancel = httptrace.WithClientTrace(within, &t.trace), cancel
	if !request.sendBy.IsZero() {
		t.giveUpUnsent(cancel)
	}
	t.way.generation = c.connections.get(now)
	if t.seated = !way.write && !way.fresh && c.endpoint.Scheme == "https"; t.seated {
		t.way.bundle = c.connections.bundles.take(t.way.generation)
	}
	return t
}

// giveUpUnsent gives the attempt up when it is not sent in time: whoever asked for this may have told others that it
// never was.
func (t *trip) giveUpUnsent(cancel func()) {
	late := time.AfterFunc(time.Until(t.request.sendBy), func() {
		if !t.wasSent() {
			cancel()
		}
	})
	t.cancel = func() {
		late.Stop()
		cancel()
	}
}

// close ends everything that belongs to the attempt.
func (t *trip) close() {
	t.cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopScout != nil {
		t.stopScout()
	}
	if t.seated {
		t.seated = false
		t.client.connections.bundles.leave(t.way.bundle)
	}
}

func (t *trip) gotConnection(info httptrace.GotConnInfo) {
	if t.way.write && !t.way.fresh && !info.Reused {
		t.client.learnProtocol(info.Conn)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent, t.reused = true, info.Reused
	if t.timer != nil {
		// net/http tries another connection when one was closed before anything was sent.
		t.timer.Stop()
	}
	if t.way.write || t.way.fresh || t.ended {
		return
	}
	if wait, ok := silentAfter(t.ctx); ok && info.Reused {
		t.arm(wait)
		return
	}
	t.awaitHead(t.client.connections.headTime)
}

// arm has the timer fire. The caller holds the lock.
func (t *trip) arm(wait time.Duration) {
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, t.fire)
		return
	}
	t.timer.Reset(wait)
}

// awaitHead has the timer fire when there is no head in time, unless the deadline comes before. The caller holds the
// lock.
func (t *trip) awaitHead(wait time.Duration) {
	if deadline, ok := t.ctx.Deadline(); !ok || time.Until(deadline) > wait {
		t.arm(wait)
	}
}

func (t *trip) fire() {
	t.mu.Lock()
	body, wait := t.body, t.client.connections.headTime-time.Since(t.began)
	switch {
	case body != nil:
		t.mu.Unlock()
		body.measure()
		return
	case t.heard || t.ended:
		t.mu.Unlock()
		return
	case wait <= 0:
		t.late = true
		t.cancel()
		t.mu.Unlock()
		return
	}
	t.awaitHead(wait)
	reused := t.reused
	t.mu.Unlock()
	if reused {
		t.silent()
	}
}

func (t *trip) gotByte() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = true
	if t.reused {
		t.client.connections.heard(t.way)
	}
}

// silentAfter is how long a read may be without a byte. ok is false when there is no time for a repeat.
func silentAfter(ctx context.Context) (wait time.Duration, ok bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return maxSilence, true
	}
	left := time.Until(deadline)
	wait = min(max(left/4, min(minSilence, left/2)), maxSilence)
	return wait, left-wait >= minTime
}

// silent is called when a read got no byte in time.
func (t *trip) silent() {
	t.mu.Lock()
	over := t.heard || t.ended
	t.mu.Unlock()
	if over || t.client.throttles.Remaining(keyOf(t.request)) > 0 || !t.client.silences.report(t) {
		return
	}
	found := nothing
	defer func() { t.client.silences.verdict(t.request.Tenant, found) }()
	found = t.scout()
}

// scout sends the read a second time.
func (t *trip) scout() finding {
	c := t.client
	scout := c.begin(t.ctx, t.request, t.authorization, way{fresh: true}, time.Now())
	t.mu.Lock()
	if t.heard || t.ended {
		t.mu.Unlock()
		scout.cancel()
		return nothing
	}
	t.stopScout = scout.cancel
	t.mu.Unlock()
	httpRequest, err := c.outgoing.request(scout.within, t.request, t.authorization)
	if err != nil {
		return nothing
	}
	response, err := c.roundTrip(httpRequest, scout.way)
	if err == nil && t.abandon(response) {
		c.repeated(RepeatDeadConnection)
		if t.way.bundle == nil {
			c.connections.suspect(way{}, time.Now())
		}
		return dead
	}
	if err == nil {
		response.Body.Close()
	}
	scout.mu.Lock()
	defer scout.mu.Unlock()
	if scout.sent {
		return slow
	}
	return nothing
}

// abandon gives up the attempt, since its connection is dead: the given response replaces its own. Without one, the
// read is sent again. It reports false when the attempt got a byte or has ended.
func (t *trip) abandon(response *http.Response) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.heard || t.ended {
		return false
	}
	t.abandoned, t.scouted = true, response
	t.cancel()
	return true
}

// errNoHead is the error of a read that has waited long enough for the head of its response.
var errNoHead = fmt.Errorf("no head of a response: %w", os.ErrDeadlineExceeded)

// roundTrip sends the request. again says that it has to be sent again, over a new connection.
func (t *trip) roundTrip(httpRequest *http.Request) (response *http.Response, again bool, err error) {
	response, err = t.client.roundTrip(httpRequest, t.way)
	t.mu.Lock()
	t.ended = true
	if t.timer != nil {
		t.timer.Stop()
	}
	silent := err != nil && t.reused && !t.heard && time.Since(t.began) >= minSilence
	// A dial that hangs would hold up those that share it.
	silent = silent || err != nil && !t.sent && t.way.bundle != nil
	late := t.late
	t.mu.Unlock()
	switch {
	case t.abandoned:
		if t.way.bundle != nil {
			t.client.connections.suspect(t.way, t.began)
		}
		if err == nil {
			// It came in the moment in which it was given up.
			response.Body.Close()
		}
		return t.scouted, t.scouted == nil, nil
	case silent:
		t.client.connections.suspect(t.way, t.began)
	}
	if err != nil && late {
		err = errNoHead
	}
	return response, false, err
}

// wasSent reports whether Graph may have received a byte.
func (t *trip) wasSent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent
}
