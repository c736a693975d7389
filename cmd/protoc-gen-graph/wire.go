package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// markWire marks a message that the wire path encodes, and those inside of it.
func markWire(m *message) {
	if m.wire {
		return
	}
	m.wire = true
	for _, f := range m.fields {
		if f.message != nil {
			markWire(f.message)
		}
	}
}

// emitWireResource emits the method that reads a response that is no list into slabs, appends it and releases what
// it took: to look at all slabs costs as much as to read a small resource.
func emitWireResource(g *protogen.GeneratedFile, msg *message) {
	name := msg.GoIdent.GoName
	g.P("// AppendGraphWire appends the encoding of the message that UnmarshalGraphJSON reads from the same body, which it")
	g.P("// changes: the body cannot be used for anything else. There is no link. With an error, which is a *GraphJSONError,")
	g.P("// nothing is appended.")
	g.P("func (*", name, ") AppendGraphWire(dst, body []byte, options GraphReadOptions) (encoded []byte, link string, err error) {")
	g.P("r := takeGraphReader(body, options)")
	g.P("var x ", name)
	g.P("r.read", name, "(&x)")
	g.P("// It fills in embedded errors.")
	g.P("if err = r.Finish(); err == nil {")
	g.P("dst = r.append", name, "(dst, &x)")
	g.P("r.ReleaseValues()")
	for _, slab := range slabsWithin(msg) {
		// The response itself is of no slab.
		if slab != slabOf(msg) {
			g.P("r.", slab, ".Release()")
		}
	}
	g.P("r.Clear()")
	g.P("graphReaders.Put(r)")
	g.P("}")
	g.P(`return dst, "", err`)
	g.P("}")
	g.P()
	emitTokenNumber(g, msg)
}

// emitWireList emits the method that reads a list and appends its encoding. It reads one element into the slabs,
// appends it and rewinds the slabs.
func emitWireList(g *protogen.GeneratedFile, msg *message) {
	name, list := msg.GoIdent.GoName, msg.list()
	link := msg.nextLink()
	g.P("// AppendGraphWire appends the encoding of the message that UnmarshalGraphJSON reads from the same body, but not")
	g.P("// next_page_token. It returns the link to the next page, empty when there is none. The link aliases the body, which")
	g.P("// AppendGraphWire changes: the body cannot be used for anything else. With an error, which is a *GraphJSONError, what")
	g.P("// was appended is no encoding.")
	g.P("func (*", name, ") AppendGraphWire(dst, body []byte, options GraphReadOptions) (encoded []byte, link string, err error) {")
	g.P("r, start := takeGraphReader(body, options), len(dst)")
	g.P("r.Reuse()")
	g.P("var x ", name)
	rest := sorted(slices.DeleteFunc(slices.Clone(msg.fields), func(f *field) bool { return f == list || f == link }))
	for _, f := range rest {
		if !f.Desc.HasPresence() || f.kind != kindInt32 {
			panic(string(f.Desc.FullName()) + ": beside the elements of a list only an optional int32 can stand")
		}
		g.P("var last", f.GoName, " int32")
	}
	g.P("for more := r.ObjectStart(); more; more = r.ObjectNext() {")
	g.P("if string(r.Key()) != ", fmt.Sprintf("%q", listProperty), " {")
	g.P("r.field", name, "(&x)")
	for _, f := range rest {
		g.P("if x.", f.GoName, " != nil {")
		g.P("// The slab is rewound with the next element.")
		g.P("last", f.GoName, " = *x.", f.GoName)
		g.P("x.", f.GoName, " = &last", f.GoName)
		g.P("}")
	}
	g.P("continue")
	g.P("}")
	g.P("// When an object has the property twice, the last one counts.")
	g.P("dst = dst[:start]")
	g.P("r.StartList()")
	g.P("for more := r.ListStart(); more; more = r.ListNext() {")
	g.P("element := r.", slabOf(list.message), ".Next(&r.Cursor)")
	g.P("r.read", list.message.GoIdent.GoName, "(element)")
	g.P("r.EndElement()")
	g.P("dst = append(dst, ", tagOf(list.Field), ", 0, 0)")
	g.P("at := len(dst)")
	g.P("dst = r.append", list.message.GoIdent.GoName, "(dst, element)")
	g.P("dst = ", qualified(g, "CloseLong"), "(dst, at)")
	g.P("r.rewind", list.message.GoIdent.GoName, "()")
	g.P("}")
	g.P("}")
	g.P("r.WantList()")
	for _, f := range rest {
		emitAppendField(g, f)
	}
	g.P("if err = r.Finish(); err == nil {")
	g.P("r.giveBack()")
	g.P("}")
	if link == nil {
		g.P(`return dst, "", err`)
	} else {
		g.P("return dst, x.", link.GoName, ", err")
	}
	g.P("}")
	g.P()
	emitTokenNumber(g, msg)
}

func emitTokenNumber(g *protogen.GeneratedFile, msg *message) {
	name, link := msg.GoIdent.GoName, msg.nextLink()
	g.P("// NextPageTokenNumber returns the number of the field that AppendGraphWire leaves out, 0 for none.")
	g.P("func (*", name, ") NextPageTokenNumber() int {")
	if link == nil {
		g.P("return 0")
	} else {
		g.P("return ", int(link.Desc.Number()))
	}
	g.P("}")
	g.P()
}

// emitAppend emits the method that appends the encoding of a message, field after field.
func emitAppend(g *protogen.GeneratedFile, msg *message) {
	name := msg.GoIdent.GoName
	g.P("func (r *graphReader) append", name, "(dst []byte, x *", name, ") []byte {")
	for _, f := range sorted(msg.fields) {
		emitAppendField(g, f)
	}
	g.P("return dst")
	g.P("}")
	g.P()
}

// emitRewind emits the method that takes back what the reading of an element took from the slabs.
func emitRewind(g *protogen.GeneratedFile, element *message) {
	g.P("func (r *graphReader) rewind", element.GoIdent.GoName, "() {")
	g.P("r.RewindValues()")
	for _, name := range slabsWithin(element) {
		g.P("r.", name, ".Rewind()")
	}
	g.P("}")
	g.P()
}

// slabsWithin lists the slabs and lists that the reading of a message takes values from.
func slabsWithin(msg *message) []string {
	found := make(map[string]bool)
	seen := make(map[*message]bool)
	var visit func(*message)
	visit = func(msg *message) {
		if seen[msg] {
			return
		}
		seen[msg] = true
		if msg.wrapped() == nil {
			found[slabOf(msg)] = true
		}
		for _, f := range msg.fields {
			if f.variant() {
				found[slabField(f.GoIdent.GoName)] = true
			}
			if f.kind == kindFlags {
				found[slabField(enumReader(f.enum))] = true
			}
			if f.kind == kindMessages {
				found[listOf(f.message)] = true
			}
			if f.message != nil {
				visit(f.message)
			}
		}
	}
	visit(msg)
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sorted returns fields by their numbers.
func sorted(fields []*field) []*field {
	fields = slices.Clone(fields)
	slices.SortFunc(fields, func(a, b *field) int { return int(a.Desc.Number() - b.Desc.Number()) })
	return fields
}

// emitAppendField emits the statements that append a field, if it is set.
func emitAppendField(g *protogen.GeneratedFile, f *field) {
	source := "x." + f.GoName
	switch {
	case f.variant():
		g.P("if variant, ok := x.", f.Oneof.GoName, ".(*", f.GoIdent.GoName, "); ok {")
		emitAppendValue(g, f, "variant."+f.GoName)
	case f.Desc.IsList() && f.Desc.IsPacked():
		g.P("if len(", source, ") > 0 {")
		g.P("dst = append(dst, ", tagOf(f.Field), ", 0)")
		g.P("at := len(dst)")
		g.P("for _, value := range ", source, " {")
		emitAppendBare(g, f, "value")
		g.P("}")
		g.P("dst = ", qualified(g, "CloseShort"), "(dst, at)")
	case f.Desc.IsList():
		g.P("for _, value := range ", source, " {")
		emitAppendValue(g, f, "value")
	case f.Desc.Message() != nil:
		g.P("if ", source, " != nil {")
		emitAppendValue(g, f, source)
	case f.Desc.HasPresence():
		g.P("if ", source, " != nil {")
		emitAppendValue(g, f, "*"+source)
	case f.Desc.Kind() == protoreflect.StringKind:
		g.P("if ", source, ` != "" {`)
		emitAppendValue(g, f, source)
	case f.Desc.Kind() == protoreflect.BoolKind:
		g.P("if ", source, " {")
		emitAppendValue(g, f, source)
	default:
		g.P("if ", source, " != 0 {")
		emitAppendValue(g, f, source)
	}
	g.P("}")
}

// emitAppendValue emits the statements that append the tag of a field and one value of it.
func emitAppendValue(g *protogen.GeneratedFile, f *field, source string) {
	if f.Desc.Message() != nil && f.kind != kindInstant && f.kind != kindStatus {
		g.P("dst = append(dst, ", tagOf(f.Field), ", 0)")
		g.P("at := len(dst)")
		g.P("dst = r.append", f.message.GoIdent.GoName, "(dst, ", source, ")")
		g.P("dst = ", qualified(g, "CloseShort"), "(dst, at)")
		return
	}
	g.P("dst = append(dst, ", tagOf(f.Field), ")")
	emitAppendBare(g, f, source)
}

// emitAppendBare emits the statement that appends a value without its tag.
func emitAppendBare(g *protogen.GeneratedFile, f *field, source string) {
	switch {
	case f.kind == kindInstant:
		g.P("dst = ", qualified(g, "AppendTimestamp"), "(dst, ", source, ")")
	case f.kind == kindStatus:
		g.P("dst = r.AppendStatus(dst, ", source, ")")
	case f.Desc.Kind() == protoreflect.StringKind:
		g.P("dst = ", qualified(g, "AppendString"), "(dst, ", source, ")")
	case f.Desc.Kind() == protoreflect.BoolKind:
		g.P("dst = ", qualified(g, "AppendBool"), "(dst, ", source, ")")
	case f.Desc.Kind() == protoreflect.Int64Kind, f.Desc.Kind() == protoreflect.Int32Kind, f.Desc.Kind() == protoreflect.EnumKind:
		g.P("dst = ", qualified(g, "AppendVarint"), "(dst, uint64(", source, "))")
	default:
		panic(string(f.Desc.FullName()) + ": has no encoding")
	}
}

// tagOf returns the bytes of a field's tag, separated by commas.
func tagOf(f *protogen.Field) string {
	wireType := protowire.BytesType
	switch f.Desc.Kind() {
	case protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.EnumKind:
		if !f.Desc.IsList() {
			wireType = protowire.VarintType
		}
	}
	var bytes []string
	for _, b := range protowire.AppendTag(nil, f.Desc.Number(), wireType) {
		bytes = append(bytes, fmt.Sprintf("%#02x", b))
	}
	return strings.Join(bytes, ", ")
}
