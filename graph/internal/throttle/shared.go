package throttle

import (
	"context"
	"time"
)

// Shared is a store of what the replicas of a server know together of throttles: one record for each key that is
// blocked or paced. Nothing is sent to it about other keys. Its clock is its own: all times are relative to now.
//
// A record has
//
//	epoch     how often the throttle was blocked for the pace that it then had
//	change    a number that grows with each change, so that old news are told from new ones
//	blocked   until when nobody sends, and which replica probes then
//	pace      how many requests all replicas together may send, once a probe got its response
//	slots     when the next slot is free
//
// It is forgotten 5 minutes after the last throttle response.
type Shared interface {
	// Up reports whether the store can be asked. While it cannot, Do is not called.
	Up() bool
	// Do changes or reads the record of a key. It returns within a twentieth of a second.
	Do(ctx context.Context, key Key, op Op) (Fact, error)
	// Listen has news called with what other replicas changed, one after another. Each time that it begins to hear
	// them, at first and after a loss of the connection, it calls news with every record there is, and then began.
	Listen(news func(Key, Fact), began func()) (stop func())
}

// Verb is what is done to a record.
type Verb string

const (
	// Read changes nothing.
	Read Verb = "read"
	// Block notes a throttle response. If the epoch is the one of the record, or there is none, it begins the next
	// epoch, with the pace of the Op, when the Op is fresh. So the pace falls once in an epoch.
	Block Verb = "block"
	// Claim asks to be the one who probes, for 10 s. One replica gets it.
	Claim Verb = "claim"
	// Release gives the claim back.
	Release Verb = "release"
	// Open notes that the probe got its response: from then on the throttle is paced.
	Open Verb = "open"
	// Lease asks for slots, at most those of half a second and at most 10. Those that are not used are lost.
	Lease Verb = "lease"
	// Put adds what one replica knows: a record that is not there gets it, else the later block and the higher epoch
	// win, and in the same epoch the lower pace.
	Put Verb = "put"
	// End removes a record whose pace holds nobody up, unless it was changed since the change of the Op and has a lower
	// pace than that: then the fact has the pace.
	End Verb = "end"
)

// Op is what a replica asks of the record of a key.
type Op struct {
	Verb Verb
	// Epoch and Change are those of the newest fact that the replica knows, 0 for none.
	Epoch, Change uint64
	// Wait is how long the key is blocked from now.
	Wait time.Duration
	// Fresh is set in Block for a throttle response that says something of the pace, and in End for a record that goes
	// whatever it has.
	Fresh bool
	// Paced is set in Put when the throttle is paced.
	Paced bool
	// Rate is how many requests a second all replicas may send now, and Pace how it is going to change: opaque, without
	// the character "|".
	Rate float64
	Pace string
	// Want is how many slots Lease asks for.
	Want int
}

// Fact is a record as it is now. The zero value is one that does not exist.
type Fact struct {
	Known         bool
	Epoch, Change uint64
	// Paced is set when the throttle is paced; otherwise it is blocked, for Wait, and then for its probe.
	Paced bool
	Wait  time.Duration
	// Probing is how long the probe of another replica may still take, 0 when there is none.
	Probing time.Duration
	// Pace is as it was PaceAge ago.
	Pace    string
	PaceAge time.Duration
	// Replicas is how many replicas listen.
	Replicas int

	// Claimed is set when Claim was granted.
	Claimed bool
	// Slots is how many slots Lease got: the first one is in First, the others follow in Interval. When it got none,
	// the next one can be asked for in AskIn.
	Slots                  int
	First, Interval, AskIn time.Duration
	// Measured is how many slots a second all replicas got lately, below 0 when it is too early to say.
	Measured float64
}
