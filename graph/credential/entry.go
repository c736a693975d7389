package credential

import (
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/m365backup/backupstorage/graph"
)

// maxDemands is of how many different claims it is remembered that a key's token was renewed for them. With more in one
// renewalPace, no token is asked for.
const maxDemands = 8

// entry is what is known of a key. Its token may be there, and the failures of later attempts as well.
type entry struct {
	key key
	// token is the one for everybody, claims those that it was asked for with. It stays when somebody says that Graph
	// refused it: that may be Graph's answer to his operation alone, and the authority may be slow or down.
	token  token
	claims hash
	// refresh is when to ask for the next token while this one is still good.
	refresh time.Time
	// number is that of the flight that brought the token.
	number  uint64
	demands []*demand
}

// token is a token that was brought. The zero token is none.
type token struct {
	text    string
	hash    hash
	expires time.Time
}

func (t token) good(now time.Time) bool { return t.text != "" && now.Before(t.expires) }

// suits tells whether a token can be given to somebody who was refused another one, or none.
func (t token) suits(refused hash, now time.Time) bool { return t.good(now) && t.hash != refused }

// demand is what is remembered of the requests for tokens with certain claims, or with none. Each has its own: what one
// operation demands, and what the authority says to that, is not the others' concern.
type demand struct {
	claims hash
	// renewed is when a good token was replaced last to satisfy the demand, and token the one that came.
	renewed time.Time
	token   token
	failure *failure
}

// failure is kept so that not every call asks an authority that says no.
type failure struct {
	err     *graph.TokenError
	until   time.Time
	version hash
}

// told is the error for a caller, with the time left.
func (f *failure) told(now time.Time) *graph.TokenError {
	told := *f.err
	told.RetryAfter = max(0, f.until.Sub(now))
	return &told
}

// demand returns what is remembered of a demand, nil when there are too many others. There is always room for the one
// without claims.
func (e *entry) demand(claims hash, now time.Time) *demand {
	for _, d := range e.demands {
		if d.claims == claims {
			return d
		}
	}
	if claims != (hash{}) && len(e.demands) >= maxDemands {
		e.demands = slices.DeleteFunc(e.demands, func(d *demand) bool { return !d.renewedLately(now) && !d.failed(now) })
		if len(e.demands) >= maxDemands {
			return nil
		}
	}
	d := &demand{claims: claims}
	e.demands = append(e.demands, d)
	return d
}

func (d *demand) renewedLately(now time.Time) bool { return now.Sub(d.renewed) < renewalPace }

func (d *demand) failed(now time.Time) bool { return d.failure != nil && now.Before(d.failure.until) }

// fits tells whether the token for everybody is one with the claims, and not the refused one.
func (e *entry) fits(claims, refused hash, now time.Time) bool {
	return e.token.suits(refused, now) && (claims == hash{} || claims == e.claims)
}

// failed returns the failure of the last attempt to satisfy a demand, nil when there was none lately.
func (e *entry) failed(claims hash, now time.Time) *failure {
	for _, d := range e.demands {
		if d.claims == claims && d.failed(now) {
			return d.failure
		}
	}
	return nil
}

// mayRenew tells whether another token may be asked for to satisfy a demand, although there is a good one.
func (e *entry) mayRenew(claims hash, now time.Time) bool {
	d := e.demand(claims, now)
	return d != nil && !d.renewedLately(now)
}

// instead returns a token for a demand for which no other is asked for now: the one that came for it last, else the one
// for everybody, which may do as well. There is none when both are refused.
func (e *entry) instead(claims, refused hash, now time.Time) (string, bool) {
	if d := e.demand(claims, now); d != nil && d.token.suits(refused, now) {
		return d.token.text, true
	}
	return e.token.text, e.token.suits(refused, now)
}

// succeed takes a token that a flight brought. An older flight's does not replace a newer one's for everybody.
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
	// Replicas that started together do not ask together.
	e.refresh = e.refresh.Add(-jitter(lifetime / 20))
	// An authority that wants the next one at once would be asked with every call.
	if soonest := now.Add(min(renewalPace, lifetime/2)); e.refresh.Before(soonest) {
		e.refresh = soonest
	}
}

// fail keeps a failure of a demand and returns it.
func (e *entry) fail(err *graph.TokenError, claims, version hash, now time.Time) *failure {
	f := &failure{err: err, until: now.Add(failureTime(err)), version: version}
	if d := e.demand(claims, now); d != nil {
		// Nothing was renewed, and the failure has a time of its own.
		d.renewed, d.failure = time.Time{}, f
	}
	if claims == (hash{}) && e.refresh.Before(f.until) {
		// A token that is still good is used on.
		e.refresh = f.until
	}
	return f
}

// failureTime is for how long a failure is kept.
func failureTime(err *graph.TokenError) time.Duration {
	if err.Kind != graph.TokenUnavailable {
		return refusedTime + jitter(refusedTime)
	}
	if told := retryAfter(err); told > 0 {
		return min(told, maxFailureTime) + jitter(time.Second)
	}
	return unavailableTime + jitter(time.Second)
}
