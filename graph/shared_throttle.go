package graph

import "github.com/m365backup/backupstorage/graph/internal/throttle"

// SharedThrottles is a store of what several replicas know together of throttles; see Options.Shared. Nothing of it
// waits longer than a fiftieth of a second for the store, and a store that is down costs nothing: then each replica
// takes its part of the pace.
type SharedThrottles = throttle.Shared

// ThrottleKey names the requests that are throttled together, ThrottleOp is what a replica asks of their record in the
// store, and ThrottleFact what is known there.
type (
	ThrottleKey  = throttle.Key
	ThrottleOp   = throttle.Op
	ThrottleFact = throttle.Fact
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
