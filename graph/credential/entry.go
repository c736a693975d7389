package credential

import (
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

// maxDemands is for how many different claims a key remembers that its token was renewed for them. With more of them in
// one renewalInterval, no token is requested.
const maxDemands = 8

// entry is what is known of a key: its token if there is one, and the failures of later attempts.
type entry struct {
	key key
	// token is shared by all callers, claims are those that it was requested with. It stays when a caller says that Graph
	// refused it: Graph may have refused it for that operation alone, and the authority may be slow or down.
	token  token
	claims hash
	// refresh is when to request the next token, while this one is still good.
	refresh time.Time
	// number is that of the flight that brought the token.
	number  uint64
	demands []*demand
}

// token is a token that a flight brought. The zero token is none.
type token struct {
	text    string
	hash    hash
	expires time.Time
}

func (t token) good(now time.Time) bool { return t.text != "" && now.Before(t.expires) }

// suits reports whether a caller to whom the given token was refused, or none, can use this one.
func (t token) suits(refused hash, now time.Time) bool { return t.good(now) && t.hash != refused }

// demand is what is remembered of the requests for tokens with certain claims, or with none. What one operation
// demands, and how the authority responds, does not affect the others.
type demand struct {
	claims hash
	// renewed is when a good token was last replaced to satisfy the demand, token the new one.
	renewed time.Time
	token   token
	failure *failure
}

// failure is cached, so that not every call sends a request to an authority that refuses.
type failure struct {
	err     *graph.TokenError
	until   time.Time
	version hash
}

// errorAt is the error for a caller, with the time left.
func (f *failure) errorAt(now time.Time) *graph.TokenError {
	failed := *f.err
	failed.RetryAfter = max(0, f.until.Sub(now))
	return &failed
}

// demand returns what is remembered of a demand, nil when there are too many others. The one without claims always has
// room.
func (e *entry) demand(claims hash, now time.Time) *demand {
	for _, d := range e.demands {
		if d.claims == claims {
			return d
		}
	}
	if claims != (hash{}) && len(e.demands) >= maxDemands {
		e.demands = slices.DeleteFunc(e.demands, func(d *demand) bool { return !d.renewedRecently(now) && !d.failed(now) })
		if len(e.demands) >= maxDemands {
			return nil
		}
	}
	d := &demand{claims: claims}
	e.demands = append(e.demands, d)
	return d
}

func (d *demand) renewedRecently(now time.Time) bool { return now.Sub(d.renewed) < renewalInterval }

func (d *demand) failed(now time.Time) bool { return d.failure != nil && now.Before(d.failure.until) }

// fits reports whether the shared token has the claims and is not the refused one.
func (e *entry) fits(claims, refused hash, now time.Time) bool {
	return e.token.suits(refused, now) && (claims == hash{} || claims == e.claims)
}

// useful reports whether the entry has a token or a failure that is not over yet.
func (e *entry) useful(now time.Time) bool {
	return e.token.good(now) || slices.ContainsFunc(e.demands, func(d *demand) bool { return d.failed(now) })
}

// failed returns the cached failure of the last attempt to satisfy a demand, nil when there is none.
func (e *entry) failed(claims hash, now time.Time) *failure {
	for _, d := range e.demands {
		if d.claims == claims && d.failed(now) {
			return d.failure
		}
	}
	return nil
}

// mayRenew reports whether another token may be requested to satisfy a demand, although there is a good one.
func (e *entry) mayRenew(claims hash, now time.Time) bool {
	d := e.demand(claims, now)
	return d != nil && !d.renewedRecently(now)
}

// instead returns a token for a demand for which none is requested now: the last one that came for it, else the shared
// one, which may suit as well. There is none when both are refused.
func (e *entry) instead(claims, refused hash, now time.Time) (string, bool) {
	if d := e.demand(claims, now); d != nil && d.token.suits(refused, now) {
		return d.token.text, true
	}
	return e.token.text, e.token.suits(refused, now)
}

// succeed takes a token that a flight brought. It becomes the shared one unless that came from a newer flight.
func (e *entry) succeed(number uint64, came azcore.AccessToken, claims hash, now time.Time) {
	lifetime := came.ExpiresOn.Sub(now)
	t := token{came.Token, hashOf(came.Token), came.ExpiresOn.Add(-min(expiryMargin, lifetime/5))}
	for _, d := range e.demands {
		if d.claims == claims {
			d.token, d.failure = t, nil
		}
	}
	if number < e.number {
		return
	}
	e.number, e.token, e.claims = number, t, claims
	e.refresh = came.RefreshOn
	if e.refresh.IsZero() || e.refresh.After(t.expires) {
		e.refresh = now.Add(lifetime * 4 / 5)
	}
	// Replicas that started together do not refresh together.
	e.refresh = e.refresh.Add(-jitter(lifetime / 20))
	// An authority that asks for a refresh at once would get a request with every call.
	if soonest := now.Add(min(renewalInterval, lifetime/2)); e.refresh.Before(soonest) {
		e.refresh = soonest
	}
}

// fail caches a failure of a demand and returns it.
func (e *entry) fail(err *graph.TokenError, claims, version hash, now time.Time) *failure {
	f := &failure{err: err, until: now.Add(failureTime(err)), version: version}
	if d := e.demand(claims, now); d != nil {
		// Nothing was renewed, and the failure has its own time.
		d.renewed, d.failure = time.Time{}, f
	}
	if claims == (hash{}) && e.refresh.Before(f.until) {
		// A token that is still good stays in use.
		e.refresh = f.until
	}
	return f
}

// failureTime is how long a failure is cached:
//
//	a refusal                                        30 s to 60 s
//	an authority that names a time with Retry-After  that time, an hour at most
//	any other response, a connection that failed     5 s
//	a time-out                                       not at all: the next request may get its response
//
// A second is added at random to all but the first and the last.
func failureTime(err *graph.TokenError) time.Duration {
	if err.Kind != graph.TokenUnavailable {
		return minRefusalTime + jitter(minRefusalTime)
	}
	if named := retryAfter(err); named > 0 {
		return named + jitter(time.Second)
	}
	if timedOut(err) {
		return 0
	}
	return unavailableTime + jitter(time.Second)
}
