package main

import (
	"strconv"

	"google.golang.org/protobuf/compiler/protogen"
)

// emitWriteMethods emits the methods that write a message of a request body.
func emitWriteMethods(g *protogen.GeneratedFile, m *model, msg *message) {
	name := msg.GoIdent.GoName
	for _, body := range m.bodies {
		if body == msg {
			g.P("// AppendGraphJSON appends the body of the request to Graph: all fields except those of the path.")
			g.P("func (x *", name, ") AppendGraphJSON(dst []byte) []byte { return x.appendGraph(dst) }")
			g.P()
		}
	}
	g.P("func (x *", name, ") appendGraph(dst []byte) []byte {")
	g.P("dst = append(dst, '{')")
	g.P("dst = x.appendGraphFields(dst)")
	g.P("return append(dst, '}')")
	g.P("}")
	g.P()
	g.P("func (x *", name, ") appendGraphFields(dst []byte) []byte {")
	for _, f := range msg.fields {
		if f.kind == kindRemovedIDs || f.kind == kindDetails || f.kind == kindStatus || f.kind == kindEnum && f == msg.workload() {
			continue
		}
		emitWriteField(g, msg, f)
	}
	g.P("return dst")
	g.P("}")
	g.P()
}

// emitWriteField emits the statements that write one field. A field that is not set is left out.
func emitWriteField(g *protogen.GeneratedFile, msg *message, f *field) {
	source := "x." + f.GoName
	if f.variant() {
		g.P("if v, ok := x.", f.Oneof.GoName, ".(*", f.GoIdent.GoName, "); ok {")
		emitWriteProperty(g, f, "v."+f.GoName)
		g.P("}")
		return
	}
	var removed *field
	for _, other := range msg.fields {
		if other.kind == kindRemovedIDs && other.name == f.name {
			removed = other
		}
	}
	switch {
	case removed != nil:
		g.P("if len(", source, ") > 0 || len(x.", removed.GoName, ") > 0 {")
		g.P("dst = ", qualified(g, "AppendName"), "(dst, ", strconv.Quote(f.name), ")")
		g.P("dst = append(dst, '[')")
		g.P("for _, item := range ", source, " {")
		g.P("dst = ", qualified(g, "AppendComma"), "(dst)")
		g.P("dst = item.appendGraph(dst)")
		g.P("}")
		g.P("dst = ", qualified(g, "AppendRemoved"), "(dst, x.", removed.GoName, ")")
		g.P("dst = append(dst, ']')")
		g.P("}")
		return
	case f.Desc.IsList():
		g.P("if len(", source, ") > 0 {")
	case f.kind == kindText && !f.Desc.HasOptionalKeyword():
		g.P("if ", source, ` != "" {`)
	case f.Desc.HasOptionalKeyword() || f.message != nil || f.kind == kindInstant:
		g.P("if ", source, " != nil {")
		if f.Desc.HasOptionalKeyword() && f.message == nil {
			source = "*" + source
		}
	case f.kind == kindBool:
		g.P("if ", source, " {")
	default:
		g.P("if ", source, " != 0 {")
	}
	emitWriteProperty(g, f, source)
	g.P("}")
}

// emitWriteProperty emits the statements that write the name and the value of a field that is set.
func emitWriteProperty(g *protogen.GeneratedFile, f *field, source string) {
	if f.kind == kindInline {
		g.P("dst = ", source, ".appendGraphFields(dst)")
		return
	}
	g.P("dst = ", qualified(g, "AppendName"), "(dst, ", strconv.Quote(f.name), ")")
	emitWriteValue(g, f, source)
}

// emitWriteValue emits the statements that write a value.
func emitWriteValue(g *protogen.GeneratedFile, f *field, source string) {
	switch f.kind {
	case kindText:
		g.P("dst = ", qualified(g, "AppendText"), "(dst, ", source, ")")
	case kindBool:
		g.P("dst = ", g.QualifiedGoIdent(protogen.GoIdent{GoName: "AppendBool", GoImportPath: "strconv"}), "(dst, ", source, ")")
	case kindInt32, kindInt64:
		g.P("dst = ", g.QualifiedGoIdent(protogen.GoIdent{GoName: "AppendInt", GoImportPath: "strconv"}), "(dst, int64(", source, "), 10)")
	case kindInstant:
		g.P("dst = ", qualified(g, "AppendInstant"), "(dst, ", source, ")")
	case kindEnum:
		g.P("dst = ", qualified(g, "AppendText"), "(dst, graphName", f.enum.GoIdent.GoName, "(", source, "))")
	case kindFlags:
		g.P("dst = append(dst, '\"')")
		g.P("for i, value := range ", source, " {")
		g.P("if i > 0 {")
		g.P("dst = append(dst, ',')")
		g.P("}")
		g.P("dst = append(dst, graphName", f.enum.GoIdent.GoName, "(value)...)")
		g.P("}")
		g.P("dst = append(dst, '\"')")
	case kindTexts:
		g.P("dst = append(dst, '[')")
		g.P("for _, value := range ", source, " {")
		g.P("dst = ", qualified(g, "AppendComma"), "(dst)")
		g.P("dst = ", qualified(g, "AppendText"), "(dst, value)")
		g.P("}")
		g.P("dst = append(dst, ']')")
	case kindMessage:
		g.P("dst = ", source, ".appendGraph(dst)")
	case kindMessages:
		g.P("dst = append(dst, '[')")
		g.P("for _, item := range ", source, " {")
		g.P("dst = ", qualified(g, "AppendComma"), "(dst)")
		g.P("dst = item.appendGraph(dst)")
		g.P("}")
		g.P("dst = append(dst, ']')")
	case kindWrapper:
		inner := f.message.wrapped()
		emitWriteValue(g, inner, source+"."+inner.GoName)
	default:
		panic(string(f.Desc.FullName()) + ": has no writer")
	}
}
