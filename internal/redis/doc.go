// Package redis is the connection to the Redis (or Valkey) that several replicas of the server share. It adds to
// go-redis what the server needs: bounds on what Redis can cost a call, errors that name what is wrong, and keys that
// two servers never share by accident.
//
//	Redis is                         what a command costs            what happens
//	-------------------------------  ------------------------------  ---------------------------------------------
//	up                               one round trip                  nothing
//	refused, hanging, slow, unfit    at most Timeout each            it is down after 3 failures in a row
//	down                             nothing: it fails at once       a goroutine asks it every half a second: when it
//	                                                                 answers, it counts as up again
//
// Unfit is one that is older than version 7, that is a read-only replica, or that refuses the password. A Client is
// down at first, until its goroutine has reached Redis.
//
// Nothing is tried a second time. A command that failed may have been carried out, unless its cause is CauseDown.
package redis
