// Package redisstore keeps the records of idempotency keys in Redis, for several replicas of the server.
//
// A record is a text `LEASE RECORD`: when its lease is over in milliseconds of Redis' own clock, and the bytes of the
// record. It is there for idempotency.Kept. Each step is one script, so one round trip; that to SENT is followed by a
// WAIT on the same connection, and counts only when enough replicas of Redis have it.
//
// Redis can lose what it was told last, or everything. The marker tells: a key without end that whoever finds none
// writes, with a random value. A script that does not see the marker that its server knows does nothing.
//
//	what happens                     what the script sees   what each server does before it goes on
//	-------------------------------  ---------------------  --------------------------------------------------
//	FLUSHALL, a new and empty Redis  no marker, or another  writes its records of the last 10 min again
//	Redis starts anew, a failover    another run id         the same
//
// A server that has records looks for the marker each half second, so that a write which is under way is written again
// although no call comes. For 4 min after a loss a key that Redis does not know is looked for before its write is sent:
// the server that knew it may have died as well. The first 3 s nobody looks: the servers that live need them.
package redisstore
