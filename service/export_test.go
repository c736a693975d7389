package service

import (
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// NewWithoutChance is New with Statuses that have no jitter, and one id for all incidents.
func NewWithoutChance(options Options, incident string) (*Server, error) {
	c, err := contract.Read()
	if err != nil {
		return nil, err
	}
	return newServer(options, c, apierror.NewWithChance(c.Reasons, apierror.Chance{
		Jitter: func() float64 { return 0 }, Incident: func() string { return incident },
	}))
}

// NewTimed is New with other times: of the longest wait and stream, and between two looks at a caller's right. A time
// that is 0 stays as it is.
func NewTimed(options Options, wait, stream, look time.Duration) (*Server, error) {
	s, err := New(options)
	if err != nil {
		return nil, err
	}
	for _, one := range []struct {
		of *time.Duration
		to time.Duration
	}{{&s.core.times.wait, wait}, {&s.core.times.stream, stream}, {&s.core.times.look, look}} {
		if one.to > 0 {
			*one.of = one.to
		}
	}
	return s, nil
}

// NewAged is NewTimed with connections of another age, that end after another grace.
func NewAged(options Options, age, grace, wait, stream time.Duration) (*Server, error) {
	s, err := NewTimed(options, wait, stream, 0)
	if err == nil {
		s.keepalive.MaxConnectionAge, s.keepalive.MaxConnectionAgeGrace = age, grace
	}
	return s, err
}

// GraceOfConnections is what calls have to end when the age of their connection is reached.
var GraceOfConnections = keepaliveParameters.MaxConnectionAgeGrace

// NewCallersAt is NewCallers with a clock.
var NewCallersAt = newCallers

// NewWithPlant is NewWithoutChance with a fault that a test plants: beforeSeal is called with Graph's response to a
// list before its nextLink is sealed.
func NewWithPlant(options Options, beforeSeal func(*graph.Response)) (*Server, error) {
	s, err := NewWithoutChance(options, "incident")
	if err == nil {
		s.core.beforeSeal = beforeSeal
	}
	return s, err
}
