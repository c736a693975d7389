package service

import (
	"context"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/idempotency"
)

// unitList is the operation that lists the units of a policy, by the field of a create that names units.
var unitList = map[protoreflect.Name]string{
	"mailbox_protection_units": "ListExchangeProtectionPolicyUnits",
	"drive_protection_units":   "ListOneDriveForBusinessProtectionPolicyUnits",
	"site_protection_units":    "ListSharePointProtectionPolicyUnits",
}

// hasUnits reports whether a policy has exactly the units that the write named; true for a write that names none, and
// for anything but a policy.
func (k *keyed) hasUnits(ctx context.Context, id string) bool {
	for name, list := range unitList {
		field := k.op.Request.Fields().ByName(name)
		if field == nil || k.message.Get(field).List().Len() == 0 {
			continue
		}
		want := make(map[string]bool)
		for i := range k.message.Get(field).List().Len() {
			want[sourceOf(k.message.Get(field).List().Get(i).Message())] = true
		}
		units := *k
		op := *k.op
		op.VerifyWith = k.core.contract.OfMethod("/m365.backupstorage.v1.ProtectionUnitService/" + list)
		units.op = &op
		ids := op.VerifyWith.NewRequest().ProtoReflect()
		ids.Set(ids.Descriptor().Fields().ByName("protection_policy_id"), protoreflect.ValueOfString(id))
		units.message = ids
		extra := 0
		err := units.each(ctx, func(unit protoreflect.Message) {
			if source := sourceOf(unit); want[source] {
				delete(want, source)
			} else {
				extra++
			}
		})
		return err == nil && len(want) == 0 && extra == 0
	}
	return true
}

// sourceOf is the id of the user or site of a unit, or of a unit to make, in lower case.
func sourceOf(unit protoreflect.Message) (id string) {
	if u, ok := unit.Interface().(*pb.ProtectionUnit); ok {
		for _, candidate := range []string{u.GetUser().GetDirectoryObjectId(), u.GetSite().GetSiteId()} {
			if candidate != "" {
				return strings.ToLower(candidate)
			}
		}
		return ""
	}
	if id = textOf(unit, "directory_object_id"); id == "" {
		id = textOf(unit, "site_id")
	}
	return strings.ToLower(id)
}

// seekChanges compares the list of units or artifacts with what an update was to add and to remove. It can show that
// everything is as the update wanted it. Granular artifacts are in another list: an update with some is never proven.
func (k *keyed) seekChanges(ctx context.Context) (f found) {
	adds, removes := make(map[string]protoreflect.FieldDescriptor), make(map[string]protoreflect.FieldDescriptor)
	provable := true
	k.message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		name := string(field.Name())
		switch {
		case field == k.op.Key || k.inPath(field):
		case strings.Contains(name, "granular"):
			provable = false
		case field.IsList() && field.Kind() == protoreflect.StringKind:
			for i := range value.List().Len() {
				removes[value.List().Get(i).String()] = field
			}
		case field.IsList():
			for i := range value.List().Len() {
				adds[itemSource(value.List().Get(i).Message())] = field
			}
		case field.Kind() == protoreflect.StringKind:
			// A new name is shown by the policy, not by its units.
			provable, f.err = k.hasName(ctx, value.String())
		}
		return provable
	})
	if !provable {
		return f
	}
	changes := k.op.Changes()
	if len(changes) == 0 {
		return f
	}
	list := uint32(changes[0].List.Number())
	var added []idempotency.Item
	present := make(map[string]bool)
	f.err = k.each(ctx, func(one protoreflect.Message) {
		id := textOf(one, "id")
		if u, ok := one.Interface().(*pb.ProtectionUnit); !ok || u.GetStatus() != pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_REMOVE_REQUESTED {
			present[id] = true
			if source := itemSource(one); adds[source] != nil {
				delete(adds, source)
				added = append(added, idempotency.Item{List: list, ID: id})
			}
		}
	})
	if f.err != nil || len(adds) > 0 {
		return f
	}
	for id := range removes {
		if present[id] {
			return f
		}
		if changes[0].Resource.Message().Name() == "ProtectionUnit" {
			// Of artifacts Graph returns only what was added.
			added = append(added, idempotency.Item{List: list, ID: id, Removed: true})
		}
	}
	f.done, f.items = true, added
	return f
}

// itemSource tells the items of an update apart: by the user or site of a unit, by the restore point of an artifact.
func itemSource(item protoreflect.Message) string {
	if a, ok := item.Interface().(*pb.RestoreArtifact); ok {
		return a.GetRestorePoint().GetId() + " " + a.GetDestinationType().String()
	}
	if point := item.Descriptor().Fields().ByName("restore_point"); point != nil {
		destination := item.Descriptor().Fields().ByName("destination_type")
		return textOf(item.Get(point).Message(), "id") + " " + pb.DestinationType(item.Get(destination).Enum()).String()
	}
	return sourceOf(item)
}

// hasName reports whether the policy of an update has the name that the update gave it.
func (k *keyed) hasName(ctx context.Context, name string) (bool, error) {
	read := k.op.ReadWith.NewResponse()
	if _, err := k.read(ctx, k.op.ReadWith, k.op.ReplayRequest(k.message, ""), read); err != nil {
		return false, err
	}
	policy, ok := read.(*pb.GetProtectionPolicyResponse)
	return ok && policy.GetProtectionPolicy().GetDisplayName() == name, nil
}
