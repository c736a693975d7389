package graph

import "github.com/m365backup/backupstorage/graph/internal/throttle"

// SharedThrottles is a store of what several replicas know together of throttles; see Options.Shared. Nothing of it
// waits longer than a fiftieth of a second for the store, and a store that is down costs nothing: then each replica
// takes its part of the pace.
type SharedThrottles = throttle.Shared

type (
	// ThrottleKey names the requests that are throttled together.
	ThrottleKey = throttle.Key
	// ThrottleOp is what a replica asks of the record of a key in the store.
	ThrottleOp = throttle.Op
	// ThrottleFact is what is known there.
	ThrottleFact = throttle.Fact
	// ThrottleVerb is what is done to a record.
	ThrottleVerb = throttle.Verb
)

// The verbs of a ThrottleOp.
const (
	ThrottleRead    = throttle.Read
	ThrottleBlock   = throttle.Block
	ThrottleClaim   = throttle.Claim
	ThrottleRelease = throttle.Release
	ThrottleOpen    = throttle.Open
	ThrottleLease   = throttle.Lease
	ThrottlePut     = throttle.Put
	ThrottleEnd     = throttle.End
)
