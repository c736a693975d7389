package main

import (
	"slices"
	"strconv"

	"google.golang.org/protobuf/compiler/protogen"
)

// writeReader writes the type that all readers are methods of: the cursor, and a slab for each type that a list can
// hold many of.
func writeReader(plugin *protogen.Plugin, m *model, file *protogen.File) {
	g := output(plugin, file, "graph_json_reader.go")
	header(g, file)
	status := g.QualifiedGoIdent(protogen.GoIdent{GoName: "Status", GoImportPath: "google.golang.org/genproto/googleapis/rpc/status"})
	timestamp := g.QualifiedGoIdent(protogen.GoIdent{GoName: "Timestamp", GoImportPath: "google.golang.org/protobuf/types/known/timestamppb"})
	g.P("// GraphItemError is an error that stands inside a resource of an answer that is itself OK.")
	g.P("type GraphItemError struct {")
	g.P("// Property is the property that holds the error: `error` or `@Core.DataModificationException`.")
	g.P("Property string")
	g.P("// Type is the Graph type of the resource, the base type of a family, empty for the item of an update.")
	g.P("Type string")
	g.P("// ID is the resource's id, empty when it has none.")
	g.P("ID string")
	g.P("// JSON is the value of the property. It is valid JSON and not null.")
	g.P("JSON []byte")
	g.P("}")
	g.P()
	g.P("// GraphReadOptions is what a reader needs to know besides the text.")
	g.P("type GraphReadOptions struct {")
	g.P("// Workload is what the path of the operation tells of the workload of resources without a type.")
	g.P("Workload Workload")
	g.P("// Error makes Statuses of the errors inside resources. It is called when all else was read. nil leaves them out.")
	g.P("Error func(GraphItemError) (*", status, ", []*FailedResource)")
	g.P("}")
	g.P()
	g.P("type graphReader struct {")
	g.P("cursor")
	g.P("workload Workload")
	g.P("// lastType is the latest @odata.type, lastWorkload what it tells: a page has one type over and over.")
	g.P("lastType string")
	g.P("lastWorkload Workload")
	g.P("error func(GraphItemError) (*", status, ", []*FailedResource)")
	g.P("pending []pendingError")
	g.P("timestamps slab[", timestamp, "]")
	g.P("strings slab[string]")
	g.P("scratch []string")
	g.P("bools slab[bool]")
	g.P("int32s slab[int32]")
	g.P("int64s slab[int64]")
	writeSlabs(g, m)
	g.P("}")
	g.P()
	g.P("// pendingError is an item error that waits for the id of its item, which may stand behind it.")
	g.P("type pendingError struct {")
	g.P("property, graphType string")
	g.P("json []byte")
	g.P("status **", status)
	g.P("details *[]*FailedResource")
	g.P("id *string")
	g.P("}")
	g.P()
	g.P("func newGraphReader(body []byte, options GraphReadOptions) *graphReader {")
	g.P("r := &graphReader{cursor: cursor{data: body}, workload: options.Workload, error: options.Error}")
	g.P("r.peek()")
	g.P("return r")
	g.P("}")
	g.P()
	g.P(`func (r *graphReader) later(property, graphType string, status **`, status, `, details *[]*FailedResource, id *string) {
	if r.unset() {
		return
	}
	json := r.raw()
	// Of a property that stands twice in an object the last one counts.
	if n := len(r.pending); n > 0 && r.pending[n-1].status == status {
		r.pending = r.pending[:n-1]
	}
	r.pending = append(r.pending, pendingError{property, graphType, json, status, details, id})
}

// finish ends the reading of a text: what it says is the first problem, nil if there was none.
func (r *graphReader) finish() error {
	if err := r.end(); err != nil {
		return err
	}
	if r.error == nil {
		return nil
	}
	for _, p := range r.pending {
		item := GraphItemError{Property: p.property, Type: p.graphType, JSON: p.json}
		if p.id != nil {
			item.ID = *p.id
		}
		status, details := r.error(item)
		*p.status = status
		if p.details != nil {
			*p.details = details
		}
	}
	return nil
}

func (r *graphReader) typeWorkload() Workload {
	if name := r.str(); name != r.lastType {
		r.lastType, r.lastWorkload = name, graphWorkload(graphType(name))
	}
	return r.lastWorkload
}

func (r *graphReader) timestamp() *`, timestamp, ` {
	if r.unset() {
		return nil
	}
	t := r.timestamps.next(&r.cursor)
	if !r.instant(t) {
		return nil
	}
	return t
}

func (r *graphReader) texts() []string {
	list, start := r.scratch[:0], r.pos
	for more := r.arrayStart(); more; more = r.arrayNext(len(list)) {
		list = grow(list, r.str(), &r.cursor, start)
	}
	r.scratch = list
	// Only now is the length known, and many lists share an allocation.
	kept := r.strings.slice(&r.cursor, len(list))
	copy(kept, list)
	return kept
}
`)
	writeWorkload(g, m)
}

func writeSlabs(g *protogen.GeneratedFile, m *model) {
	var names []string
	for _, msg := range m.messages {
		if !msg.read || msg.wrapped() != nil {
			continue
		}
		if !m.isResponse(msg) {
			names = append(names, slabName(msg)+" slab["+msg.GoIdent.GoName+"]")
		}
		for _, f := range msg.fields {
			if f.variant() {
				names = append(names, lower(f.GoIdent.GoName)+" slab["+f.GoIdent.GoName+"]")
			}
		}
	}
	for _, e := range m.enums {
		if m.flagsRead(e) {
			names = append(names, enumReader(e)+"Slab slab["+e.GoIdent.GoName+"]")
		}
	}
	slices.Sort(names)
	for _, name := range names {
		g.P(name)
	}
}

// flagsRead tells whether lists of the enum are read.
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

func writeWorkload(g *protogen.GeneratedFile, m *model) {
	g.P("// graphWorkload returns the workload of a type name or path segment, unspecified when it is of none.")
	g.P("func graphWorkload(name string) Workload {")
	g.P("switch {")
	for _, p := range m.prefixes {
		g.P("case hasPrefixFold(name, ", strconv.Quote(p.text), "):")
		g.P("return ", p.value.GoName)
	}
	g.P("}")
	g.P("return 0")
	g.P("}")
	g.P()
	g.P("// GraphPathWorkload returns the workload of an operation by its path, unspecified for paths that are of all.")
	g.P("func GraphPathWorkload(path string) Workload {")
	g.P("for segment := range ", g.QualifiedGoIdent(protogen.GoIdent{GoName: "SplitSeq", GoImportPath: "strings"}), `(path, "/") {`)
	g.P("if w := graphWorkload(graphType(segment)); w != 0 {")
	g.P("return w")
	g.P("}")
	g.P("}")
	g.P("return 0")
	g.P("}")
}

// writeEnum writes what reads and writes the members of an enum.
func writeEnum(g *protogen.GeneratedFile, m *model, e *enum) {
	if e.Desc.Name() == "Workload" {
		return
	}
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
		g.P("if i := foldIndex(name, table[:]); i >= 0 {")
		g.P("return ", name, "(i + 1)")
		g.P("}")
		g.P("return ", unknown)
		g.P("}")
		g.P()
		g.P("func (r *graphReader) ", enumReader(e), "() ", name, " {")
		g.P("if r.at() != '\"' {")
		g.P(`r.mismatch("a string")`)
		g.P("return 0")
		g.P("}")
		g.P("return graphOf", name, "(r.text())")
		g.P("}")
		g.P()
	}
	if flagsRead {
		bytesCount := g.QualifiedGoIdent(protogen.GoIdent{GoName: "Count", GoImportPath: "bytes"})
		g.P("func (r *graphReader) ", enumReader(e), "s() []", name, " {")
		g.P("if r.at() != '\"' {")
		g.P(`r.mismatch("a string")`)
		g.P("return nil")
		g.P("}")
		g.P("names := r.text()")
		g.P("if len(names) == 0 {")
		g.P("return nil")
		g.P("}")
		g.P("list := r.", enumReader(e), "Slab.slice(&r.cursor, ", bytesCount, "(names, []byte{','})+1)[:0]")
		g.P("for len(names) > 0 {")
		g.P("var name []byte")
		g.P("name, names = flag(names)")
		g.P("if value := graphOf", name, "(name); value != 0 {")
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

// enumUse tells whether an enum is read, written, and read as flags.
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
