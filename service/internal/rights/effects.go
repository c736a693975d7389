package rights

import (
	"strings"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Effects is a set of effects.
type Effects uint8

// EffectsOf returns the set of some effects. EFFECT_UNSPECIFIED is none.
func EffectsOf(effects ...pb.GraphCall_Effect) Effects {
	var all Effects
	for _, effect := range effects {
		if effect != pb.GraphCall_EFFECT_UNSPECIFIED {
			all |= 1 << effect
		}
	}
	return all
}

// Has reports whether the set contains all effects of another one.
func (e Effects) Has(others Effects) bool { return e&others == others }

// String returns the names of the effects in the order of their numbers, such as `READ, ADD`.
func (e Effects) String() string {
	var names []string
	for number := range pb.GraphCall_Effect(8) {
		if e&(1<<number) != 0 {
			names = append(names, number.String())
		}
	}
	return strings.Join(names, ", ")
}

// allEffects are those that there are.
var allEffects = EffectsOf(pb.GraphCall_READ, pb.GraphCall_ADD, pb.GraphCall_CHANGE, pb.GraphCall_REMOVE, pb.GraphCall_RESTORE)

// roles are the named sets.
var roles = map[string]Effects{
	"reader":   EffectsOf(pb.GraphCall_READ),
	"operator": EffectsOf(pb.GraphCall_READ, pb.GraphCall_ADD, pb.GraphCall_CHANGE),
	"restorer": EffectsOf(pb.GraphCall_READ, pb.GraphCall_RESTORE),
	"admin":    allEffects,
}

// roleNames are the roles in the order in which messages list them.
const roleNames = "reader, operator, restorer or admin"
