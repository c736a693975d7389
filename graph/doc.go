// Package graph talks HTTP to Microsoft Graph's Backup Storage API.
//
// It reads what comes back within bounds, and reports every failure as an *Error that keeps all that Graph said. What a
// failure means to a caller is decided elsewhere, in package service.
//
// # Repeats
//
// A call is repeated at most twice, and only where that cannot do anything twice:
//
//	what happened                               read  DELETE  other write
//	------------------------------------------  ----  ------  -----------
//	429, 509, 503 with Retry-After              yes   yes     yes
//	503 without                                 yes   yes     no
//	408, 502, 504, answer cut                   yes   yes     no
//	nothing was sent, or HTTP/2 says so         yes   yes     yes
//	any other answer                            no    no      no
//
// The wait is Graph's Retry-After, else random up to 0.5 s and then 1 s. Longer than 10 s, or longer than the deadline
// leaves room for, and the error is returned at once. All repeats of a client together are at most a tenth of its calls,
// and 20 in a burst. The repeat after a 503 goes over a connection of its own. A 401, or a 403 that demands claims, gets
// one new token and one attempt with it, whatever the call.
//
// # Throttling
//
// After a throttle answer Graph is left alone until its Retry-After, 10 s when there is none: calls of that tenant, and
// of that kind, reads or writes, get KindThrottled at once. Then one goes ahead, and when it is answered the others follow
// at a pace that is learnt. The header x-ms-throttle-scope widens that to both kinds or to all tenants; a tenant that is
// refused takes no turn of the others. Lane has the states, pace how it is learnt.
//
// # Connections
//
// Reads go over HTTP/1.1, writes over HTTP/2 where the server has it. Connections are renewed every 10 to 15 minutes. A
// body of which less than 10 KiB comes in 10 s is cut.
package graph
