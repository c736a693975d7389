package service

import (
	"google.golang.org/grpc"
)

// named is an interceptor and the name under which tests check its place.
type named struct {
	name      string
	intercept grpc.UnaryServerInterceptor
}

// interceptors returns the chain around every call, outermost first. The order is part of the contract: what is
// outside translation must not fail, and what is inside may return any error.
func (s *Server) interceptors() []named {
	return []named{
		// A panic in the chain itself still ends as a typed Status.
		{"recovery", s.recoverOuter},
		// Ids first, so that every later line and Status has them.
		{"ids", s.identify},
		{"log", s.logCall},
		// From here on inwards errors are of any kind; outwards they are Statuses.
		{"translation", s.translate},
		// A panic in a handler is translated, logged and counted like any error.
		{"inner recovery", s.recoverInner},
		// Shed before any work.
		{"overload", s.limitCalls},
		{"deadline", s.limitTime},
	}
}
