package emulator

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// DefaultSpeed is how many emulated seconds pass in a real one: a minute a
// second.
const DefaultSpeed = 60

// MaxSpeed is the fastest a [Clock] runs, in emulated seconds per real second.
const MaxSpeed = 1e6

// Clock is the emulated time of one [Emulator]. It derives from a base clock
// (real time unless [Options.Base] says otherwise) and may be set, stepped, sped
// up and stopped at any moment. It is safe for concurrent use.
type Clock struct {
	base func() time.Time

	mu       sync.Mutex
	anchor   time.Time // emulated time at anchorAt
	anchorAt time.Time // base time of the last change
	speed    float64
}

func newClock(base func() time.Time, start time.Time, speed float64) *Clock {
	at := base()
	if start.IsZero() {
		start = at
	}
	return &Clock{base: base, anchor: start.UTC(), anchorAt: at, speed: speed}
}

// Now returns the emulated time, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

func (c *Clock) nowLocked() time.Time {
	if c.speed == 0 {
		return c.anchor
	}
	passed := float64(c.base().Sub(c.anchorAt)) * c.speed
	if passed > math.MaxInt64/2 {
		passed = math.MaxInt64 / 2
	}
	return c.anchor.Add(time.Duration(passed))
}

func (c *Clock) moveLocked(to time.Time) {
	c.anchor, c.anchorAt = to.UTC(), c.base()
}

// Set makes it the given time now. Going back is allowed; a step that has
// already happened stays happened.
func (c *Clock) Set(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveLocked(to)
}

// Advance moves the clock by d, backwards when d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveLocked(c.nowLocked().Add(d))
}

// Speed returns how many emulated seconds pass in a real one.
func (c *Clock) Speed() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.speed
}

// SetSpeed changes how fast the clock runs from now on; 0 stops it. It refuses a
// negative speed, one above [MaxSpeed], and what is not a number.
func (c *Clock) SetSpeed(speed float64) error {
	if err := checkSpeed(speed); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveLocked(c.nowLocked())
	c.speed = speed
	return nil
}

func checkSpeed(speed float64) error {
	if math.IsNaN(speed) || speed < 0 || speed > MaxSpeed {
		return fmt.Errorf("clock speed %v is not between 0 and %v", speed, float64(MaxSpeed))
	}
	return nil
}

// graphTime prints t the way the service does: RFC 3339 in UTC with the seven
// fraction digits of .NET.
func graphTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.0000000Z")
}

type clockView struct {
	Now   time.Time `json:"now"`
	Speed float64   `json:"speed"`
	Own   bool      `json:"ownOfTenant,omitempty"`
}

func viewClock(c *Clock) clockView { return clockView{Now: c.Now(), Speed: c.Speed()} }

func (e *Emulator) controlClock(in controlRequest) (any, error) {
	c := e.clockOf(in.tenant())
	v := viewClock(c)
	v.Own = c != e.clock
	return v, nil
}

// controlSetClock sets the speed, then the time, then advances: each as far as it
// is given.
func (e *Emulator) controlSetClock(in controlRequest) (any, error) {
	var set struct {
		Now     *time.Time `json:"now"`
		Speed   *float64   `json:"speed"`
		Advance Duration   `json:"advance"`
	}
	if err := in.read(&set); err != nil {
		return nil, fmt.Errorf("clock: %w", err)
	}
	if set.Speed == nil && set.Now == nil && set.Advance == 0 {
		return nil, errors.New("clock: give it at least one of \"now\", \"speed\" and \"advance\"")
	}
	if set.Speed != nil {
		if err := checkSpeed(*set.Speed); err != nil {
			return nil, err
		}
	}
	c := e.clock
	if in.tenant() != "" {
		var err error
		if c, err = e.TenantClock(in.tenant()); err != nil {
			return nil, err
		}
	}
	if set.Speed != nil {
		if err := c.SetSpeed(*set.Speed); err != nil {
			return nil, err
		}
	}
	if set.Now != nil {
		c.Set(*set.Now)
	}
	c.Advance(time.Duration(set.Advance))
	return e.controlClock(in)
}

func (e *Emulator) controlResetClock(in controlRequest) (any, error) {
	if in.tenant() == "" {
		e.ResetClock()
	} else if err := e.ResetTenantClock(in.tenant()); err != nil {
		return nil, err
	}
	return e.controlClock(in)
}
