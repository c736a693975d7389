package proto_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	backupstoragev1 "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// typePrefixes returns the prefixes of Graph type names that belong to a workload.
func typePrefixes() map[string]backupstoragev1.Workload {
	all := map[string]backupstoragev1.Workload{}
	values := backupstoragev1.Workload(0).Descriptor().Values()
	for i := range values.Len() {
		for _, prefix := range graphValue(values.Get(i)).GetTypePrefixes() {
			all[prefix] = backupstoragev1.Workload(values.Get(i).Number())
		}
	}
	return all
}

func TestEveryFamilyOfTypesHasAWorkload(t *testing.T) {
	prefixes := typePrefixes()
	workload := backupstoragev1.Workload(0).Descriptor()
	var wrong []string
	families := 0
	for _, m := range messages() {
		found := map[backupstoragev1.Workload]bool{}
		for _, name := range graphTypes(m) {
			for prefix, w := range prefixes {
				if strings.HasPrefix(name, prefix) {
					found[w] = true
				}
			}
		}
		f := m.Fields().ByName("workload")
		if has := f != nil && f.Enum() == workload; has != (len(found) > 1) {
			wrong = append(wrong, fmt.Sprintf("%s: has a workload: %t, and represents types of %d workloads", m.Name(), has, len(found)))
		}
		if len(found) > 1 {
			families++
		}
	}
	if families != 9 {
		wrong = append(wrong, fmt.Sprintf("%d families, want 9", families))
	}
	report(t, wrong)
}

func TestFieldsImplyOneWorkload(t *testing.T) {
	prefixes := typePrefixes()
	var wrong []string
	for _, m := range messages() {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			implies := graphField(f).GetImplies()
			if implies == "" {
				continue
			}
			if _, ok := prefixes[implies]; !ok {
				wrong = append(wrong, fmt.Sprintf("%s: implies %q, which is not a type prefix", f.FullName(), implies))
			}
			if m.Fields().ByName("workload") == nil {
				wrong = append(wrong, fmt.Sprintf("%s: implies %q, and its message has no workload", f.FullName(), implies))
			}
		}
	}
	report(t, wrong)
}

// spellings returns the properties from which a field is read.
func spellings(f protoreflect.FieldDescriptor) []string {
	var names []string
	if name := property(f); name != "" {
		names = append(names, name)
	}
	return append(names, graphField(f).GetAliases()...)
}

func TestNoTwoFieldsOfAMessageReadTheSameProperty(t *testing.T) {
	var wrong []string
	for _, m := range messages() {
		readers := map[string][]string{}
		var walk func(m protoreflect.MessageDescriptor, path string)
		walk = func(m protoreflect.MessageDescriptor, path string) {
			for i := range m.Fields().Len() {
				f := m.Fields().Get(i)
				place := graphField(f).GetPlace()
				if place == backupstoragev1.GraphField_REMOVED_IDS || place == backupstoragev1.GraphField_ERROR_DETAILS {
					continue
				}
				for _, name := range spellings(f) {
					readers[name] = append(readers[name], path+string(f.Name()))
				}
				if place == backupstoragev1.GraphField_INLINE && f.Message() != nil && !f.IsList() {
					walk(f.Message(), path+string(f.Name())+".")
				}
			}
		}
		walk(m, "")
		for _, name := range sortedKeys(readers) {
			if len(readers[name]) > 1 {
				wrong = append(wrong, fmt.Sprintf("%s: %s is read into %v", m.Name(), name, readers[name]))
			}
		}
	}
	report(t, wrong)
}

func TestEveryPlaceOfAFieldFitsItsKind(t *testing.T) {
	var wrong []string
	for _, m := range messages() {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			option := graphField(f)
			bad := func(format string, args ...any) {
				wrong = append(wrong, fmt.Sprintf("%s: ", f.FullName())+fmt.Sprintf(format, args...))
			}
			if option.GetName() == lowerCamel(string(f.Name())) {
				bad("name %q follows from the field's own", option.GetName())
			}
			partners := 0
			for k := range m.Fields().Len() {
				other := m.Fields().Get(k)
				if other != f && property(other) == property(f) && property(f) != "" {
					partners++
				}
			}
			delta := strings.HasSuffix(property(f), "@delta")
			switch option.GetPlace() {
			case backupstoragev1.GraphField_INLINE:
				switch {
				case option.GetName() != "":
					bad("is inline and has the name %q", option.GetName())
				case f.Message() == nil:
					bad("is inline but is not a message")
				case f.IsList() && m.Fields().Len() != 1:
					bad("is an inline list but is not the only field")
				}
			case backupstoragev1.GraphField_REMOVED_IDS:
				if f.Kind() != protoreflect.StringKind || !f.IsList() || !delta || partners != 1 || !strings.HasSuffix(string(f.Name()), "_ids") {
					bad("is not a list of ids after the items of a delta")
				}
			case backupstoragev1.GraphField_ERROR_DETAILS:
				if f.Message() == nil || !f.IsList() || f.Message().Name() != "FailedResource" || property(f) != "error" || partners != 1 {
					bad("is not a list of failed resources next to an error")
				}
			case backupstoragev1.GraphField_PRESENCE:
				if f.Kind() != protoreflect.BoolKind || f.IsList() || f.HasPresence() {
					bad("is not a plain bool")
				}
			default:
				if delta && !f.IsList() {
					bad("is a delta but is not a list")
				}
			}
		}
	}
	report(t, wrong)
}

func TestEveryDeltaHasResultsItemByItem(t *testing.T) {
	var wrong []string
	deltas := 0
	for _, r := range rpcs() {
		added := map[string]bool{}
		for i := range r.Input().Fields().Len() {
			f := r.Input().Fields().Get(i)
			if !strings.HasSuffix(property(f), "@delta") {
				continue
			}
			prefix := "add_"
			if graphField(f).GetPlace() == backupstoragev1.GraphField_REMOVED_IDS {
				prefix = "remove_"
			}
			if !strings.HasPrefix(string(f.Name()), prefix) {
				wrong = append(wrong, fmt.Sprintf("%s: name does not begin with %s", f.FullName(), prefix))
			}
			added[property(f)] = true
		}
		for _, name := range sortedKeys(added) {
			deltas++
			found := properties(r.Output())[name]
			if len(found) != 1 || !found[0].IsList() || found[0].Message() == nil {
				wrong = append(wrong, fmt.Sprintf("%s: the response has no list %s", r.name(), name))
				continue
			}
			item := properties(found[0].Message())
			for _, part := range []string{"id", "@contentId", "@removed", "@Core.DataModificationException"} {
				if len(item[part]) != 1 {
					wrong = append(wrong, fmt.Sprintf("%s: %s has no %s", r.name(), found[0].Message().Name(), part))
				}
			}
		}
		if got := len(added) > 0; got != (r.call.GetMethod() == "PATCH" && (strings.HasSuffix(r.name(), "ProtectionPolicy") || strings.HasSuffix(r.name(), "RestoreSession"))) {
			wrong = append(wrong, fmt.Sprintf("%s: has deltas: %t", r.name(), got))
		}
	}
	if deltas != 8 {
		wrong = append(wrong, fmt.Sprintf("%d deltas, want 8", deltas))
	}
	report(t, wrong)
}

// ourEnums have no counterpart in Graph. They begin with the unspecified value only.
var ourEnums = []protoreflect.Name{"ErrorReason", "Workload", "RestorePointOrder", "WaitResult"}

func TestEnumsBeginWithTheUnknownValues(t *testing.T) {
	var wrong []string
	for _, file := range files() {
		for i := range file.Enums().Len() {
			enum := file.Enums().Get(i)
			prefix := upperSnake(string(enum.Name())) + "_"
			want := []string{prefix + "UNSPECIFIED", prefix + "UNKNOWN_FUTURE_VALUE"}
			if slices.Contains(ourEnums, enum.Name()) {
				want = want[:1]
			}
			for number, name := range want {
				if v := enum.Values().ByNumber(protoreflect.EnumNumber(number)); v == nil || string(v.Name()) != name {
					wrong = append(wrong, fmt.Sprintf("%s: value %d is not %s", enum.Name(), number, name))
				}
			}
			for k := range enum.Values().Len() {
				v := enum.Values().Get(k)
				if name := graphValue(v).GetName(); name != "" && name == lowerCamel(strings.TrimPrefix(string(v.Name()), prefix)) {
					wrong = append(wrong, fmt.Sprintf("%s: name %q follows from the value's own", v.Name(), name))
				}
			}
		}
	}
	report(t, wrong)
}

func TestEveryMessageIsUsed(t *testing.T) {
	used := map[protoreflect.FullName]bool{}
	var walk func(m protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if used[m.FullName()] {
			return
		}
		used[m.FullName()] = true
		for i := range m.Fields().Len() {
			if inner := m.Fields().Get(i).Message(); inner != nil {
				walk(inner)
			}
		}
	}
	for _, r := range allRPCs() {
		walk(r.Input())
		walk(r.Output())
	}
	var wrong []string
	for _, m := range messages() {
		if !used[m.FullName()] {
			wrong = append(wrong, string(m.FullName())+": no rpc has it")
		}
	}
	report(t, wrong)
}
