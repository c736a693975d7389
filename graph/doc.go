// Package graph sends requests to Microsoft Graph's Backup Storage API over HTTP.
//
// It reads responses within bounds, and reports every failure as an *Error that keeps all that Graph said. Package
// service decides what a failure means to a caller.
//
// # Repeats
//
// A request is repeated at most twice, and only where that cannot do anything twice:
//
//	failure                                     read  DELETE  other write
//	------------------------------------------  ----  ------  -----------
//	429, 509, 503 with Retry-After              yes   yes     yes
//	409 Directory_ConcurrencyViolation          yes   yes     yes
//	503 without Retry-After                     yes   yes     no
//	408, 502, 504, response cut                 yes   yes     no
//	nothing was sent, or HTTP/2 says so         yes   yes     yes
//	any other response                          no    no      no
//
// The wait is Graph's Retry-After. Without one it is random, up to 0.5 s for the first repeat and 1 s for the second. A
// wait that is longer than 10 s, or that does not fit the deadline, ends the request with its error at once. The
// repeats of a tenant are at most a tenth of its requests, and 20 in a burst. All tenants together have 200 in a burst.
// Of these a tenant gets another one while it has used fewer than are left. The repeat after a 503 gets a new
// connection. A 401, or a 403 that demands claims, gets one new token and one attempt with it, for any request.
//
// # Throttling
//
// A throttle response (429, 509, or 503 with a throttle scope) blocks its tenant and kind of request, reads or writes,
// until its Retry-After, at most an hour, or for 10 s without one. Meanwhile such requests fail at once with
// KindThrottled, and nothing is sent. Then one request is sent as the probe. When Graph responds, the others follow at
// a pace that is learned. The pace grows with time until it holds nobody up: within seconds when requests come one at a
// time or not at all, within half a minute when they come together. While far more come than Graph allows it stays just
// below the limit for minutes.
//
// The header x-ms-throttle-scope can widen the block to both kinds, or to all tenants of the application. Then one
// request of each tenant waits until a short block has passed, and slots go to the tenants in turn. A tenant that is
// blocked takes no slots of the others. Package internal/throttle has the states, and how the pace is learned.
//
// Several replicas share this by Options.Shared: the first throttle response blocks all of them, one sends the probe,
// and slots come out of one queue, a few at a time. Nothing is asked of it while nobody is throttled, no request waits
// for it longer than 20 ms, and without it each replica takes its part of the pace. The type throttle.Shared has the
// rules.
//
// Options.Logger gets a line when a tenant's requests begin to be held up, and one when they no longer are.
//
// # Connections
//
// The first 128 reads under way use HTTP/1.1. Further reads, and all writes, use HTTP/2 where the server has it: the
// reads in bundles of 100, each with its own connection. A write with a body over 16 KiB has a connection of its own,
// so that it fills nobody's window. Connections are renewed every 10 to 15 minutes. A body of which less than 10
// KiB arrives in 10 s is cut.
//
// At most 512 reads are under way (Options.MaxReads). A tenant gets another one while it has fewer than are free, so
// that one tenant whose reads hang leaves half to the others. Further reads wait for an earlier one of their tenant.
// Package internal/share has the rule, which holds for writes as well.
//
// A connection can die without notice, when a NAT or a load balancer forgets it. A read that gets no byte over a reused
// connection is therefore sent a second time over a new one, after a quarter of the time that is left: not before 1 s
// (or half of the time, if that is less) and not after 5 s. The type silences says how that differs from an upstream
// that is slow. A write is never sent twice for it. When it got no byte, the idle connections are closed, so that the
// next write opens a new one. HTTP/2 connections with writes under way end by pings, within 25 s.
package graph
