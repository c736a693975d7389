package main

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
)

// emitReadMethods emits the methods that read a message.
func emitReadMethods(g *protogen.GeneratedFile, m *model, msg *message) {
	name := msg.GoIdent.GoName
	if m.isResponse(msg) {
		g.P("// UnmarshalGraphJSON reads the body of Graph's response into an empty message. The message keeps parts of the body:")
		g.P("// the caller must not use it any more. The error is a *GraphJSONError.")
		g.P("func (x *", name, ") UnmarshalGraphJSON(body []byte, options GraphReadOptions) error {")
		g.P("r := newGraphReader(body, options)")
		g.P("r.read", name, "(x)")
		if msg.isList() {
			g.P("r.WantList()")
		}
		g.P("return r.Finish()")
		g.P("}")
		g.P()
		switch {
		case msg.isList():
			emitWireList(g, msg)
		case msg.wire:
			emitWireResource(g, msg)
		}
	}
	g.P("func (r *graphReader) read", name, "(x *", name, ") {")
	for _, f := range msg.fields {
		if f.kind == kindInline && !f.variant() {
			g.P("x.", f.GoName, " = r.", slabOf(f.message), ".Next(&r.Cursor)")
		}
	}
	g.P("for more := r.ObjectStart(); more; more = r.ObjectNext() {")
	g.P("r.field", name, "(x)")
	g.P("}")
	if msg.finishes() {
		g.P("r.finish", name, "(x)")
	}
	g.P("}")
	g.P()
	g.P("func (r *graphReader) field", name, "(x *", name, ") {")
	g.P("switch string(r.Key()) {")
	emitPropertyCases(g, msg)
	if m.isResponse(msg) && !slices.Contains(msg.keys(), listProperty) {
		g.P("case ", strconv.Quote(listProperty), ":")
		g.P("r.RefuseList()")
		g.P("r.Skip()")
	}
	g.P("default:")
	g.P("r.Skip()")
	g.P("}")
	g.P("}")
	g.P()
	if msg.finishes() {
		emitFinish(g, msg)
	}
}

// emitPropertyCases emits the cases of the switch over the properties of a message.
func emitPropertyCases(g *protogen.GeneratedFile, msg *message) {
	owned := make(map[string]bool)
	for _, f := range msg.fields {
		for _, key := range f.names() {
			owned[key] = true
		}
	}
	if msg.workload() != nil {
		owned[odataType] = true
		g.P("case ", strconv.Quote(odataType), ":")
		g.P("x.Workload = r.TypeWorkload()")
	}
	for _, f := range msg.fields {
		if f.kind == kindDetails || f.kind == kindEnum && f == msg.workload() {
			continue
		}
		switch names := f.names(); {
		case len(names) == 0:
		case f.kind == kindInline:
			g.P("case ", quoted(names), ":")
			if slices.Contains(names, listProperty) {
				g.P("r.RefuseList()")
			}
			g.P("r.read", f.message.GoIdent.GoName, "(x.", f.GoName, ")")
		case len(names) > 1:
			emitAliasedRead(g, msg, f)
		default:
			g.P("case ", quoted(names), ":")
			emitReadField(g, msg, f)
		}
		if f.kind != kindInline {
			continue
		}
		var inlined []string
		for _, key := range f.message.keys() {
			if !owned[key] {
				owned[key] = true
				inlined = append(inlined, key)
			}
		}
		if len(inlined) == 0 {
			continue
		}
		g.P("case ", quoted(inlined), ":")
		if !f.variant() {
			g.P("r.field", f.message.GoIdent.GoName, "(x.", f.GoName, ")")
			continue
		}
		// A property without a value does not decide between the variants.
		g.P("if r.Unset() {")
		g.P("return")
		g.P("}")
		oneof, wrapper := f.Oneof.GoName, f.GoIdent.GoName
		g.P("variant, ok := x.", oneof, ".(*", wrapper, ")")
		g.P("if !ok {")
		g.P("variant = r.", slabField(wrapper), ".Next(&r.Cursor)")
		g.P("variant.", f.GoName, " = r.", slabOf(f.message), ".Next(&r.Cursor)")
		g.P("x.", oneof, " = variant")
		g.P("}")
		g.P("r.field", f.message.GoIdent.GoName, "(variant.", f.GoName, ")")
	}
}

// emitAliasedRead emits the cases of a field that has aliases. In any order of the properties, an alias only fills a
// field that is not set yet, and a property without a value, or with one that cannot be read, changes nothing.
func emitAliasedRead(g *protogen.GeneratedFile, msg *message, f *field) {
	isSet := "!r.Unset()"
	if f.kind == kindText {
		isSet = "r.ExpectText()"
	}
	g.P("case ", strconv.Quote(f.name), ":")
	g.P("if ", isSet, " {")
	emitReadField(g, msg, f)
	g.P("}")
	g.P("case ", quoted(f.aliases), ":")
	switch {
	case f.Desc.IsList():
		g.P("if len(x.", f.GoName, ") > 0 {")
	case f.kind == kindText && !f.Desc.HasOptionalKeyword() && !f.variant():
		g.P("if x.", f.GoName, ` != "" {`)
	case f.kind == kindEnum:
		g.P("if x.", f.GoName, " != 0 {")
	default:
		panic(string(f.Desc.FullName()) + ": only a string, an enum or a list can have aliases")
	}
	g.P("r.Skip()")
	g.P("} else if ", isSet, " {")
	emitReadField(g, msg, f)
	g.P("}")
}

// emitReadField emits the statements that read one property into its field.
func emitReadField(g *protogen.GeneratedFile, msg *message, f *field) {
	target := "x." + f.path + f.GoName
	optional := f.Desc.HasOptionalKeyword()
	if f.variant() {
		if f.kind != kindText {
			panic(string(f.Desc.FullName()) + ": a case of a oneof must be a string or an inlined message")
		}
		g.P("if !r.ExpectText() {")
		g.P("return")
		g.P("}")
		g.P("variant := r.", slabField(f.GoIdent.GoName), ".Next(&r.Cursor)")
		g.P("variant.", f.GoName, " = r.Text()")
		g.P("x.", f.Oneof.GoName, " = variant")
		return
	}
	switch f.kind {
	case kindText:
		if f.name == nextLink {
			g.P(target, " = r.Link()")
		} else if optional {
			g.P("if r.ExpectText() {")
			g.P("value := r.Text()")
			g.P(target, " = &value")
			g.P("}")
		} else {
			g.P(target, " = r.Text()")
		}
	case kindBool:
		emitReadScalar(g, target, optional, "r.Bool()", "value", "r.OptionalBool()")
	case kindInt32:
		emitReadScalar(g, target, optional, "r.Integer(32)", "int32(value)", "r.OptionalInt32()")
	case kindInt64:
		emitReadScalar(g, target, optional, "r.Integer(64)", "value", "r.OptionalInt64()")
	case kindInstant:
		g.P(target, " = r.Timestamp()")
	case kindStatus:
		details := "nil"
		for _, other := range msg.fields {
			if other.kind == kindDetails && other.name == f.name {
				details = "&x." + other.GoName
			}
		}
		g.P("r.ItemError(", strconv.Quote(f.name), ", ", strconv.Quote(msg.graphType), ", &", target, ", ", details, ", ", idOf(msg, "x"), ")")
	case kindEnum:
		g.P(target, " = r.", enumReader(f.enum), "()")
	case kindFlags:
		g.P(target, " = r.", enumReader(f.enum), "s()")
	case kindTexts:
		g.P(target, " = r.Texts()")
	case kindMessage:
		g.P("if !r.ExpectObject() {")
		g.P("return")
		g.P("}")
		if isRepeated(msg, f) {
			g.P(target, " = r.same", f.message.GoIdent.GoName, "(&r.", memoOf(msg, f), ")")
			return
		}
		g.P(target, " = r.", slabOf(f.message), ".Next(&r.Cursor)")
		g.P("r.read", f.message.GoIdent.GoName, "(", target, ")")
	case kindMessages:
		if f.name == listProperty {
			g.P("r.StartList()")
		}
		if m := msg.list(); m != nil && m.name == f.name {
			emitReadList(g, f, target)
		} else {
			emitReadInnerList(g, f, target)
		}
	case kindWrapper:
		inner := f.message.wrapped()
		g.P("if !r.ExpectArray() {")
		g.P("return")
		g.P("}")
		g.P(target, " = new(", f.message.GoIdent.GoName, ")")
		emitReadField(g, f.message, &field{
			Field: inner.Field, kind: inner.kind, name: inner.name, message: inner.message, enum: inner.enum,
			inlineList: true, path: f.GoName + ".",
		})
	case kindPresence:
		g.P(target, " = r.Presence()")
	default:
		panic(string(f.Desc.FullName()) + ": has no reader")
	}
}

// emitReadScalar emits the statements that read a bool or a number. A property without a value changes nothing. read
// returns the value and whether it is set, goValue converts it. readOptional returns a pointer, nil when it is not set.
func emitReadScalar(g *protogen.GeneratedFile, target string, optional bool, read, goValue, readOptional string) {
	if optional {
		g.P("if value := ", readOptional, "; value != nil {")
		g.P(target, " = value")
	} else {
		g.P("if value, ok := ", read, "; ok {")
		g.P(target, " = ", goValue)
	}
	g.P("}")
}

func emitReadList(g *protogen.GeneratedFile, f *field, target string) {
	g.P("list, start := ", target, "[:0], r.Pos()")
	g.P("for more := r.ListStart(); more; more = r.ListNext() {")
	g.P("element := r.", slabOf(f.message), ".Next(&r.Cursor)")
	g.P("list = ", qualified(g, "Grow"), "(list, element, &r.Cursor, start)")
	g.P("r.read", f.message.GoIdent.GoName, "(element)")
	g.P("}")
	g.P(target, " = list")
}

// emitReadInnerList is emitReadList for a list inside of an element, which shares allocations with those of others.
func emitReadInnerList(g *protogen.GeneratedFile, f *field, target string) {
	list := "r." + listOf(f.message)
	g.P("start := r.Pos()")
	g.P(list, ".Start()")
	g.P("for more := r.ListStart(); more; more = r.ListNext() {")
	g.P("element := r.", slabOf(f.message), ".Next(&r.Cursor)")
	g.P(list, ".Add(element, &r.Cursor, start)")
	g.P("r.read", f.message.GoIdent.GoName, "(element)")
	g.P("}")
	g.P(target, " = ", list, ".End(&r.Cursor)")
}

// emitFinish emits the method that derives the workload when the type did not name it: from the path, else from the
// properties.
func emitFinish(g *protogen.GeneratedFile, msg *message) {
	name := msg.GoIdent.GoName
	g.P("func (r *graphReader) finish", name, "(x *", name, ") {")
	for _, f := range msg.fields {
		if f.kind == kindInline && !f.variant() && f.message.finishes() {
			g.P("r.finish", f.message.GoIdent.GoName, "(x.", f.GoName, ")")
		}
	}
	if w := msg.workload(); w != nil {
		g.P("if x.Workload == 0 {")
		g.P("x.Workload = r.PathWorkload()")
		g.P("}")
		for _, f := range msg.fields {
			if f.implies == "" {
				continue
			}
			g.P("if x.Workload == 0 {")
			switch {
			case f.variant():
				g.P("if _, ok := x.", f.Oneof.GoName, ".(*", f.GoIdent.GoName, "); ok {")
			case f.kind == kindText:
				g.P(`if x.`, f.GoName, ` != "" {`)
			case f.Desc.IsList():
				g.P("if len(x.", f.GoName, ") > 0 {")
			default:
				g.P("if x.", f.GoName, " != nil {")
			}
			g.P("x.Workload = ", f.implies)
			g.P("}")
			g.P("}")
		}
	}
	g.P("}")
	g.P()
}

// idOf returns the expression for the address of a message's id, `nil` when it has none.
func idOf(msg *message, x string) string {
	if f := msg.field("id"); f != nil && f.kind == kindText && !f.Desc.HasOptionalKeyword() {
		return "&" + x + ".Id"
	}
	for _, f := range msg.fields {
		if f.kind == kindInline && !f.variant() {
			return idOf(f.message, x+"."+f.GoName)
		}
	}
	return "nil"
}

func quoted(names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = strconv.Quote(name)
	}
	return strings.Join(parts, ", ")
}

// slabField returns the name of the reader's field that holds the slab of a Go type. name is that of the type, or of
// the method that reads its values.
func slabField(name string) string { return strings.ToLower(name[:1]) + name[1:] + "Slab" }

// listOf returns the name of the reader's field that holds the lists of a message.
func listOf(m *message) string { return strings.TrimSuffix(slabOf(m), "Slab") + "List" }

// slabOf returns the slabField of a message.
func slabOf(m *message) string { return slabField(m.GoIdent.GoName) }
