package main

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
)

// enum is an enum that is read or written.
type enum struct {
	*protogen.Enum
	// members are Graph's names of the values, except the first: it means "not set".
	members map[*protogen.EnumValue]string
	// unknown is the value for a name that the contract does not have, nil when there is none.
	unknown *protogen.EnumValue
}

func (m *model) enum(source *protogen.Enum) (*enum, error) {
	if known := m.enums[source.Desc.FullName()]; known != nil {
		return known, nil
	}
	e := &enum{Enum: source, members: make(map[*protogen.EnumValue]string)}
	m.enums[source.Desc.FullName()] = e
	// The name of a value begins with the name of its enum: PROTECTION_POLICY_STATUS_ACTIVE of ProtectionPolicyStatus.
	first := string(source.Values[0].Desc.Name())
	shared := strings.TrimSuffix(first, "UNSPECIFIED")
	for i, value := range source.Values[1:] {
		if int(value.Desc.Number()) != i+1 {
			return nil, fmt.Errorf("%s: the numbers of values must follow their order", value.Desc.FullName())
		}
		option, err := m.options.find(value.Desc, "graph_value")
		if err != nil {
			return nil, err
		}
		name := text(option, "name")
		if name == "" {
			name = camel(strings.TrimPrefix(string(value.Desc.Name()), shared))
		}
		e.members[value] = name
		if name == "unknownFutureValue" {
			e.unknown = value
		}
	}
	return e, nil
}

// emitEnum emits the functions that read and write the members of an enum.
func emitEnum(g *protogen.GeneratedFile, m *model, e *enum) {
	name := e.GoIdent.GoName
	read, written, flagsRead := m.enumUse(e)
	values := e.Values[1:]
	if read {
		unknown := "0"
		if e.unknown != nil {
			unknown = e.unknown.GoIdent.GoName
		}
		g.P("func graphOf", name, "(name []byte) ", name, " {")
		g.P("switch string(name) {")
		for _, v := range values {
			if v != e.unknown {
				g.P("case ", strconv.Quote(e.members[v]), ":")
				g.P("return ", v.GoIdent.GoName)
			}
		}
		g.P(`case "":`)
		g.P("return 0")
		g.P("}")
		g.P("// Graph has been seen to write members with a capital letter.")
		g.P("table := [...]string{")
		for _, v := range values {
			g.P(strconv.Quote(e.members[v]), ",")
		}
		g.P("}")
		g.P("if i := ", qualified(g, "FoldIndex"), "(name, table[:]); i >= 0 {")
		g.P("return ", name, "(i + 1)")
		g.P("}")
		g.P("return ", unknown)
		g.P("}")
		g.P()
		g.P("func (r *graphReader) ", enumReader(e), "() ", name, " {")
		if e.unknown == nil {
			g.P("return graphOf", name, "(r.TextBytes())")
			g.P("}")
			g.P()
		} else {
			g.P("at, name := r.Pos(), r.TextBytes()")
			emitReadMember(g, e)
			g.P("return value")
			g.P("}")
		}
		g.P()
	}
	if flagsRead {
		bytesCount := g.QualifiedGoIdent(protogen.GoIdent{GoName: "Count", GoImportPath: "bytes"})
		g.P("func (r *graphReader) ", enumReader(e), "s() []", name, " {")
		g.P("at, names := r.Pos(), r.TextBytes()")
		g.P("if len(names) == 0 {")
		g.P("return nil")
		g.P("}")
		g.P("list := r.", slabField(enumReader(e)), ".Slice(&r.Cursor, ", bytesCount, "(names, []byte{','})+1)[:0]")
		g.P("for len(names) > 0 {")
		g.P("var name []byte")
		g.P("name, names = ", qualified(g, "CutName"), "(names)")
		emitReadMember(g, e)
		g.P("if value != 0 {")
		g.P("list = append(list, value)")
		g.P("}")
		g.P("}")
		g.P("return list")
		g.P("}")
		g.P()
	}
	if written {
		g.P("func graphName", name, "(value ", name, ") string {")
		g.P("switch value {")
		for _, v := range values {
			if v != e.unknown {
				g.P("case ", v.GoIdent.GoName, ":")
				g.P("return ", strconv.Quote(e.members[v]))
			}
		}
		g.P("}")
		g.P(`return "unknownFutureValue"`)
		g.P("}")
		g.P()
	}
}

// emitReadMember emits the statements that make a value of a name, and note one that the contract does not have.
func emitReadMember(g *protogen.GeneratedFile, e *enum) {
	g.P("value := graphOf", e.GoIdent.GoName, "(name)")
	if e.unknown == nil {
		return
	}
	g.P("if value == ", e.unknown.GoIdent.GoName, " {")
	g.P("r.UnknownMember(at, name)")
	g.P("}")
}

// enumUse reports whether an enum is read, whether it is written, and whether it is read as flags.
func (m *model) enumUse(e *enum) (read, written, flags bool) {
	for _, msg := range m.messages {
		for _, f := range msg.fields {
			if f.enum != e {
				continue
			}
			read = read || msg.read
			written = written || msg.write
		}
	}
	return read, written, m.flagsRead(e)
}

// flagsRead reports whether lists of the enum are read.
func (m *model) flagsRead(e *enum) bool {
	for _, msg := range m.messages {
		for _, f := range msg.fields {
			if msg.read && f.kind == kindFlags && f.enum == e {
				return true
			}
		}
	}
	return false
}

// isWorkload reports whether the enum is Workload. Graph's JSON has no property for it: it follows from the type, the
// path or other properties.
func (e *enum) isWorkload() bool { return e.Desc.Name() == "Workload" }

// enumReader returns the name of the method that reads a value of the enum.
func enumReader(e *enum) string { return "enum" + e.GoIdent.GoName }
