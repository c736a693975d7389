// Package hub asks for the state of resources on behalf of all who wait for them.
//
// There is one poller for each resource, tenant and identity at Graph, however many readers it has:
//
//	a reader comes                 the resource is read at once, but not more often than once a second. What it gets is
//	                               from a read that began after it came
//	the state changes              every reader gets it, and the next read comes after a second
//	nothing changes                the time between two reads grows by half, up to a minute
//	the read fails for a while     the next one comes when Graph wants it (Again), and no reader is told; Reader.Latest
//	                               has the error
//	the read fails for good        every reader gets the error
//	more than five resources of    one read of the list takes the place of theirs. Only those are read whose item in the
//	one collection have readers    list is another one than before
//	nobody reads                   nothing is asked. What was seen is kept for a minute, so that a reader who comes back
//	                               costs no more than one who stayed
//
// A reader has one slot: one that is slow finds the newest state there, and those between are gone.
//
// The package knows neither HTTP nor gRPC.
package hub
