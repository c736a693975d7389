package emulator_test

import (
	"math"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

func TestTheClockRunsAMinuteASecond(t *testing.T) {
	base := &handClock{now: start()}
	c := emulator.New(emulator.Options{Base: base.Now}).Clock()
	if got := c.Now(); !got.Equal(start()) {
		t.Fatalf("starts at %v, want the base clock's now", got)
	}
	base.Add(time.Second)
	if got := c.Now().Sub(start()); got != time.Minute {
		t.Errorf("after a second: %v, want 1m", got)
	}
	if err := c.SetSpeed(1); err != nil {
		t.Fatal(err)
	}
	base.Add(time.Second)
	if got := c.Now().Sub(start()); got != 61*time.Second {
		t.Errorf("after another at speed 1: %v, want 1m1s", got)
	}
	if err := c.SetSpeed(0); err != nil {
		t.Fatal(err)
	}
	base.Add(time.Hour)
	c.Advance(time.Second)
	if got := c.Now().Sub(start()); got != 62*time.Second {
		t.Errorf("stopped and stepped: %v, want 1m2s", got)
	}
	c.Set(start().Add(-time.Hour))
	if err := c.SetSpeed(2); err != nil {
		t.Fatal(err)
	}
	base.Add(time.Minute)
	if got := c.Now().Sub(start()); got != -58*time.Minute {
		t.Errorf("set back and run at speed 2: %v, want -58m", got)
	}
	if c.Speed() != 2 {
		t.Errorf("speed = %v", c.Speed())
	}
}

func TestTheClockRefusesSpeedsThatMakeNoSense(t *testing.T) {
	c := emulator.New(emulator.Options{}).Clock()
	for _, speed := range []float64{-1, math.NaN(), math.Inf(1), emulator.MaxSpeed + 1} {
		if err := c.SetSpeed(speed); err == nil {
			t.Errorf("speed %v was accepted", speed)
		}
	}
	if c.Speed() != emulator.DefaultSpeed {
		t.Errorf("speed = %v", c.Speed())
	}
}

func TestTheClockSurvivesAVeryLongRun(t *testing.T) {
	base := &handClock{now: start()}
	c := emulator.New(emulator.Options{Base: base.Now, Speed: emulator.MaxSpeed}).Clock()
	before := c.Now()
	base.Add(365 * 24 * time.Hour)
	if !c.Now().After(before) {
		t.Error("time ran over")
	}
}

func TestStepsKeepTheirOwnLengths(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) {
		o.Lengths = emulator.Lengths{Protect: time.Hour, Unprotect: time.Second, Remove: 3 * time.Hour}
	})
	id := w.policyWith(user(1), user(2))
	w.do("POST", "/protectionPolicies/"+id+"/activate", nil).want(202)
	w.pass(59 * time.Minute)
	w.wantPolicy(id, "updating")
	w.pass(time.Minute)
	w.wantPolicy(id, "active")
	w.patch(id, remove(mailboxUnit(1))).want(200)
	w.pass(3*time.Hour - 1)
	w.wantPolicy(id, "updating")
	w.pass(1)
	w.wantPolicy(id, "active")
	w.do("POST", "/protectionPolicies/"+id+"/deactivate", nil).want(202)
	w.pass(time.Second)
	w.wantPolicy(id, "inactive")
}

func TestAStepDoesNotComeBackWhenTheClockGoesBack(t *testing.T) {
	w := newWorld(t)
	id := w.activePolicyWith(user(1))
	w.wantPolicy(id, "active")
	w.e.Clock().Set(start())
	w.wantPolicy(id, "active")
}

func TestNewRefusesOptionsThatMakeNoSense(t *testing.T) {
	for name, opts := range map[string]emulator.Options{
		"a negative speed":       {Speed: -1},
		"a negative ledger":      {LedgerSize: -1},
		"a negative length":      {Lengths: emulator.Lengths{Protect: -1}},
		"a negative interval":    {Lengths: emulator.Lengths{Reevaluate: -1}},
		"a tenant that is none":  {DefaultTenant: "x"},
		"a seed without tenant":  {Seeds: []emulator.Seed{{}}},
		"a seed with few users":  {Seeds: []emulator.Seed{{Tenant: emulator.TenantA, Users: 3}}},
		"a seed of a lost state": {Seeds: []emulator.Seed{{Tenant: emulator.TenantA, ServiceStatus: "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			emulator.New(opts)
		})
	}
}
