package proto_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	backupstoragev1 "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// schema is Graph's schema of v1.0, from testdata/schema.tsv.
type schema struct {
	types   []string
	base    map[string]string
	members map[string][]row // properties and navigation properties by type, without those of the base
	enums   map[string][]string
	flags   map[string]bool
	actions map[string]string // type of the result by "binding name"
	inputs  []row             // parameters of actions and functions
}

func readSchema(t *testing.T) *schema {
	t.Helper()
	s := &schema{
		base: map[string]string{}, members: map[string][]row{}, enums: map[string][]string{}, flags: map[string]bool{},
		actions: map[string]string{},
	}
	for _, r := range table(t, "schema.tsv") {
		name := r["type"]
		switch kind := r["kind"]; kind {
		case "enum", "flags":
			s.enums[name] = append(s.enums[name], r["property"])
			s.flags[name] = kind == "flags"
		case "property", "navigation", "none":
			if _, ok := s.base[name]; !ok {
				s.types = append(s.types, name)
				s.base[name] = r["base"]
			}
			if kind != "none" {
				s.members[name] = append(s.members[name], r)
			}
		case "action":
			s.actions[r["base"]+" "+name] = r["edm_type"]
		case "parameter", "function parameter":
			s.inputs = append(s.inputs, r)
		case "function":
		default:
			t.Fatalf("testdata/schema.tsv: kind %q", kind)
		}
	}
	return s
}

// lineage returns a type and its base types, the type itself first.
func (s *schema) lineage(name string) []string {
	var all []string
	for ; name != "" && name != "-"; name = s.base[name] {
		all = append(all, name)
	}
	return all
}

// navigation returns the type of a property of a type or of its base types.
func (s *schema) navigation(name, property string) (string, bool) {
	for _, ancestor := range s.lineage(name) {
		for _, member := range s.members[ancestor] {
			if member["property"] == property && member["kind"] == "navigation" {
				return member["edm_type"], true
			}
		}
	}
	return "", false
}

// action returns the result type of an action that is bound to a type or to one of its base types.
func (s *schema) action(binding, name string) (string, bool) {
	if result, ok := s.actions[binding+" "+name]; ok {
		return result, true
	}
	for _, ancestor := range s.lineage(binding) {
		if result, ok := s.actions[ancestor+" "+name]; ok {
			return result, true
		}
	}
	return "", false
}

// element returns x of `Collection(x)`.
func element(edm string) (string, bool) {
	if name, ok := strings.CutPrefix(edm, "Collection("); ok {
		return strings.TrimSuffix(name, ")"), true
	}
	return edm, false
}

// byGraphType returns the messages that represent each type.
func byGraphType() map[string][]protoreflect.MessageDescriptor {
	all := map[string][]protoreflect.MessageDescriptor{}
	for _, m := range messages() {
		for _, name := range graphTypes(m) {
			all[name] = append(all[name], m)
		}
	}
	return all
}

func TestEveryPropertyOfGraphHasAField(t *testing.T) {
	s := readSchema(t)
	excepted := readExceptions(t, "schema_exceptions.tsv", "type", "property")
	stands := byGraphType()
	inPath := map[string]bool{}
	for _, r := range rpcs() {
		for _, segment := range r.segments() {
			inPath[segment] = true
		}
	}
	var wrong []string
	for _, name := range s.types {
		found := stands[name]
		if len(found) != 1 {
			if len(found) > 1 || !excepted.has(name+".*") {
				wrong = append(wrong, fmt.Sprintf("%s: %d messages represent it, want 1", name, len(found)))
			}
			continue
		}
		delete(stands, name)
		fields := properties(found[0])
		for _, ancestor := range s.lineage(name) {
			for _, member := range s.members[ancestor] {
				what := name + "." + member["property"]
				candidates := fields[member["property"]]
				switch {
				case len(candidates) > 0:
					for _, f := range candidates {
						if problem := s.mismatch(f, member["edm_type"]); problem != "" {
							wrong = append(wrong, fmt.Sprintf("%s: %s %s", what, f.FullName(), problem))
						}
					}
				case member["kind"] == "navigation" && inPath[member["property"]]:
					// The resource does not have it; its own rpc reads it.
				case !excepted.has(what):
					wrong = append(wrong, what+": has neither a field nor its own rpc")
				}
			}
		}
	}
	for _, name := range sortedKeys(stands) {
		wrong = append(wrong, name+": is not a type of Graph")
	}
	report(t, wrong)
}

func TestEveryParameterOfAnActionHasAFieldInItsRequests(t *testing.T) {
	s := readSchema(t)
	excepted := readExceptions(t, "parameter_exceptions.tsv", "action", "parameter")
	var wrong []string
	for _, input := range s.inputs {
		what := input["type"] + "." + input["property"]
		if input["kind"] != "parameter" {
			if !excepted.has(what) {
				wrong = append(wrong, what+": is the parameter of a function")
			}
			continue
		}
		requests := 0
		for _, r := range rpcs() {
			segments := r.segments()
			if len(segments) == 0 || segments[len(segments)-1] != input["type"] || r.call.GetMethod() != "POST" || !s.bound(r, input["base"]) {
				continue
			}
			requests++
			f := r.Input().Fields().ByJSONName(input["property"])
			if f == nil || property(f) != input["property"] {
				wrong = append(wrong, fmt.Sprintf("%s: has no field in the request of %s", what, r.name()))
			} else if problem := s.mismatch(f, input["edm_type"]); problem != "" {
				wrong = append(wrong, fmt.Sprintf("%s: %s %s", what, f.FullName(), problem))
			}
		}
		if requests == 0 {
			wrong = append(wrong, what+": no rpc carries the action out")
		}
	}
	report(t, wrong)
}

// bound reports whether an action is bound to the first collection of an rpc's path, or to the root.
func (s *schema) bound(r rpc, binding string) bool {
	name, _ := element(binding)
	first, ok := s.navigation("backupRestoreRoot", r.segments()[0])
	if !ok {
		return name == "backupRestoreRoot"
	}
	of, _ := element(first)
	return slices.Contains(s.lineage(of), name)
}

// mismatch returns why a field cannot hold values of a type; empty when it can.
func (s *schema) mismatch(f protoreflect.FieldDescriptor, edm string) string {
	name, collection := element(edm)
	if s.flags[name] {
		collection = true // Flags are a list of their members.
	}
	if f.Message() != nil && !f.IsList() && collection {
		// A message with one list, which can be cleared.
		if inner := f.Message().Fields(); inner.Len() == 1 && graphField(inner.Get(0)).GetPlace() == backupstoragev1.GraphField_INLINE {
			f = inner.Get(0)
		}
	}
	if f.IsList() != collection {
		return fmt.Sprintf("is a list: %t, and Graph has %s", f.IsList(), edm)
	}
	is := func(kind protoreflect.Kind) string {
		if f.Kind() != kind {
			return fmt.Sprintf("is %s, want %s for %s", f.Kind(), kind, edm)
		}
		return ""
	}
	isMessage := func(message protoreflect.FullName) string {
		if f.Message() == nil || f.Message().FullName() != message {
			return fmt.Sprintf("is not a %s", message)
		}
		return ""
	}
	optional := func(problem string) string {
		if problem == "" && !f.HasPresence() {
			return "has no presence: not set and zero look alike"
		}
		return problem
	}
	switch name {
	case "Edm.String":
		if strings.HasSuffix(string(f.Name()), "_in_bytes") {
			return optional(is(protoreflect.Int64Kind))
		}
		return is(protoreflect.StringKind)
	case "Edm.Duration":
		return is(protoreflect.StringKind)
	case "Edm.Boolean":
		return optional(is(protoreflect.BoolKind))
	case "Edm.Int32":
		return optional(is(protoreflect.Int32Kind))
	case "Edm.DateTimeOffset":
		return isMessage("google.protobuf.Timestamp")
	case "publicError":
		return isMessage("google.rpc.Status")
	}
	if members, ok := s.enums[name]; ok {
		if problem := is(protoreflect.EnumKind); problem != "" {
			return problem
		}
		return enumMismatch(f.Enum(), members)
	}
	if f.Message() == nil {
		return fmt.Sprintf("is %s, and Graph has %s", f.Kind(), edm)
	}
	if !slices.Contains(graphTypes(f.Message()), name) {
		return fmt.Sprintf("is %s, which does not represent %s", f.Message().Name(), name)
	}
	return ""
}

// enumMismatch compares an enum with Graph's members. They must be in Graph's order, after the two values with which
// every enum begins.
func enumMismatch(enum protoreflect.EnumDescriptor, members []string) string {
	want := []string{"unspecified", "unknownFutureValue"}
	for _, member := range members {
		if member != "unknownFutureValue" {
			want = append(want, member)
		}
	}
	var got []string
	for i := range enum.Values().Len() {
		got = append(got, member(enum.Values().Get(i)))
		if number := enum.Values().Get(i).Number(); int(number) != i {
			return fmt.Sprintf("is %s, where %s has number %d, want %d", enum.Name(), enum.Values().Get(i).Name(), number, i)
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Sprintf("is %s with members %v, want %v", enum.Name(), got, want)
	}
	return ""
}

// member returns the name of a value in Graph's JSON.
func member(v protoreflect.EnumValueDescriptor) string {
	if name := graphValue(v).GetName(); name != "" {
		return name
	}
	return lowerCamel(strings.TrimPrefix(string(v.Name()), upperSnake(string(v.Parent().Name()))+"_"))
}

// upperSnake converts UpperCamelCase to UPPER_SNAKE_CASE.
func upperSnake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

func TestEveryEnumOfGraphIsUsed(t *testing.T) {
	s := readSchema(t)
	// mismatch compares the members of an enum when a property has its type. This test makes sure that one has.
	used := map[string]bool{}
	for _, members := range s.members {
		for _, member := range members {
			name, _ := element(member["edm_type"])
			used[name] = true
		}
	}
	for _, input := range s.inputs {
		used[input["edm_type"]] = true
	}
	var wrong []string
	for _, name := range sortedKeys(s.enums) {
		if !used[name] {
			wrong = append(wrong, name+": no property has it")
		}
	}
	report(t, wrong)
}
