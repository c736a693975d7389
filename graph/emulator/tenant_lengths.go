package emulator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// named are the lengths by the names that programs and files have for them.
func (l *Lengths) named() map[string]*time.Duration {
	return map[string]*time.Duration{
		"protect": &l.Protect, "unprotect": &l.Unprotect, "remove": &l.Remove, "rule": &l.Rule, "reevaluate": &l.Reevaluate,
		"job": &l.Job, "cancelOffboard": &l.CancelOffboard, "dataStore": &l.DataStore,
		"restore.activate": &l.Restore.Activate, "restore.queue": &l.Restore.Queue, "restore.run": &l.Restore.Run,
		"restore.resolve": &l.Restore.Resolve, "restore.browse": &l.Restore.Browse,
	}
}

// LengthNames are the names that [Lengths.Set] knows, in order.
func LengthNames() []string { return slices.Sorted(maps.Keys(new(Lengths).named())) }

// Set sets a length by its name, such as "protect" or "restore.run". Unlike in a struct, 0 is no time at all. It
// refuses other names and negative lengths.
func (l *Lengths) Set(name string, d time.Duration) error {
	length, known := l.named()[name]
	switch {
	case !known:
		return fmt.Errorf("there is no length %q; there are %s", name, strings.Join(LengthNames(), ", "))
	case d < 0:
		return fmt.Errorf("the length %s is negative", name)
	}
	*length = max(d, 1) // a nanosecond, since 0 in the struct is the default
	return nil
}

// negative tells whether one of the lengths is.
func (l Lengths) negative() bool {
	for _, length := range l.named() {
		if *length < 0 {
			return true
		}
	}
	return false
}
