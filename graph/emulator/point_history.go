package emulator

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// When restore points come and how long they are kept, as the retention
// settings of every policy say.
const (
	firstPointAfter = 15 * time.Minute
	pointEvery      = 10 * time.Minute
	pointsPerWeek   = int(7 * day / pointEvery)
	pointsPerFast   = 6 // an hour
	shortDays       = 14
	longDays        = 365
	day             = 24 * time.Hour
)

// Tags of a restore point.
const (
	tagNone = "none"
	tagFast = "fastRestore"
)

// span is a time during which a unit was protected; to is zero while it lasts.
type span struct{ from, to time.Time }

// keepBackups notes the end of a unit's protection before the unit moves to
// another state: what was backed up until then stays, until it is offboarded.
func (u *unit) keepBackups(to string, at time.Time) {
	switch {
	case to == unitOffboarded:
		u.past = nil
	case !u.protectedSince.IsZero():
		// Clipped, since seeded units begin as copies that share this list.
		u.past = append(slices.Clip(u.past), span{u.protectedSince, at})
	}
}

// spans are the times of protection that points are left of, in order.
func (u *unit) spans() []span {
	switch {
	case u.status == unitOffboarded:
		return nil
	case u.protectedSince.IsZero():
		return u.past
	}
	return append(slices.Clip(u.past), span{from: u.protectedSince})
}

// restorePoint is one point in time that a unit can go back to. Points are not
// stored: number and the span's start say all.
type restorePoint struct {
	unit   *unit
	number int // within its span, from 0
	at     time.Time
}

// base is the time of the span's point 0. Ids carry whole seconds.
func (s span) base() time.Time {
	at := s.from.Add(firstPointAfter)
	if whole := at.Truncate(time.Second); !whole.Equal(at) {
		return whole.Add(time.Second)
	}
	return at
}

// last is the number of the newest point by now; -1 when there is none.
func (s span) last(now time.Time) int {
	if !s.to.IsZero() && s.to.Before(now) {
		now = s.to
	}
	return periods(now.Sub(s.base()))
}

// periods is how many whole periods between points a time has, rounded down.
func periods(a time.Duration) int {
	q := a / pointEvery
	if a%pointEvery < 0 {
		q--
	}
	return int(q)
}

func (s span) point(u *unit, number int) restorePoint {
	return restorePoint{unit: u, number: number, at: s.base().Add(time.Duration(number) * pointEvery)}
}

// weekly points are kept for a year, all others for two weeks.
func (p restorePoint) weekly() bool { return p.number%pointsPerWeek == 0 }

// fast tells whether the point is tagged fastRestore: one an hour is.
func (p restorePoint) fast() bool { return p.number%pointsPerFast == 0 }

func (p restorePoint) days() int {
	if p.weekly() {
		return longDays
	}
	return shortDays
}

func (p restorePoint) expires() time.Time { return p.at.Add(time.Duration(p.days()) * day) }

// kept tells whether the point can be used at now.
func (p restorePoint) kept(now time.Time) bool { return p.expires().After(now) }

func (p restorePoint) tags() string {
	if p.fast() {
		return tagFast
	}
	return tagNone
}

// id is `<unit id>_<epoch seconds>_<days kept>_<1 with fastRestore, else 2>`.
func (p restorePoint) id() string {
	n := 2
	if p.fast() {
		n = 1
	}
	return fmt.Sprintf("%s_%d_%d_%d", p.unit.id, p.at.Unix(), p.days(), n)
}

// points are the points that a unit has at now, between from and to, both
// included and open when zero; in order of time, or the newest first.
func (u *unit) points(now, from, to time.Time, newestFirst bool) iter.Seq[restorePoint] {
	if to.IsZero() || to.After(now) {
		to = now
	}
	return func(yield func(restorePoint) bool) {
		spans := slices.Clone(u.spans())
		if newestFirst {
			slices.Reverse(spans)
		}
		for _, s := range spans {
			low, high := 0, min(s.last(now), periods(to.Sub(s.base())))
			if !from.IsZero() {
				low = max(low, -periods(s.base().Sub(from)))
			}
			if !s.walk(u, low, high, now, newestFirst, yield) {
				return
			}
		}
	}
}

// walk yields the points low to high that are still kept. Where only weekly
// points are left, it jumps from one to the next.
func (s span) walk(u *unit, low, high int, now time.Time, newestFirst bool, yield func(restorePoint) bool) bool {
	dense := periods(now.Add(-shortDays*day).Sub(s.base())) + 1 // from here on all are kept
	if newestFirst {
		for n := high; n >= low; n-- {
			if n < dense {
				n -= n % pointsPerWeek
			}
			if p := s.point(u, n); n >= low && p.kept(now) && !yield(p) {
				return false
			}
		}
		return true
	}
	for n := low; n <= high; n++ {
		if rest := n % pointsPerWeek; n < dense && rest != 0 {
			if n = min(dense, n-rest+pointsPerWeek); n > high {
				return true
			}
		}
		if p := s.point(u, n); p.kept(now) && !yield(p) {
			return false
		}
	}
	return true
}

// findPoint finds a point by its id: nil when the id is malformed or names no
// point that the unit ever had. A point past its retention is still found, so
// that a restore can fail for it.
func (t *tenant) findPoint(id string, now time.Time) *restorePoint {
	parts := strings.Split(id, "_")
	if len(parts) != 4 || !isUnitID(parts[0]) {
		return nil
	}
	seconds, err := strconv.ParseInt(parts[1], 10, 64)
	u := t.findUnit(canonicalUnitID(parts[0]))
	if err != nil || u == nil {
		return nil
	}
	for _, s := range u.spans() {
		since := time.Unix(seconds, 0).Sub(s.base())
		p := s.point(u, int(since/pointEvery))
		if since >= 0 && since%pointEvery == 0 && p.number <= s.last(now) && strings.EqualFold(p.id(), id) {
			return &p
		}
	}
	return nil
}

// pointView is a restore point on the wire.
type pointView struct {
	Type    string     `json:"@odata.type,omitempty"`
	ID      string     `json:"id"`
	At      string     `json:"protectionDateTime"`
	Expires string     `json:"expirationDateTime"`
	Tags    string     `json:"tags"`
	Unit    *pointUnit `json:"protectionUnit,omitempty"`
}

// pointUnit is as much of its unit as a restore point shows.
type pointUnit struct {
	Type string `json:"@odata.type"`
	ID   string `json:"id"`
	protectedID
	PolicyID string `json:"policyId,omitempty"`
}

func (p restorePoint) view() pointView {
	return pointView{ID: p.id(), At: graphTime(p.at), Expires: graphTime(p.expires()), Tags: p.tags()}
}

// expandedView is the point together with its unit.
func (p restorePoint) expandedView() pointView {
	v := p.view()
	v.Type = odataType("restorePoint")
	w := p.unit.workload
	v.Unit = &pointUnit{Type: odataType(w.info().unitType), ID: p.unit.id, protectedID: w.protectedID(p.unit.object)}
	if p.unit.policy != nil {
		v.Unit.PolicyID = p.unit.policy.id
	}
	return v
}
