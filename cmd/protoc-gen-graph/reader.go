package main

import (
	"slices"
	"strconv"

	"google.golang.org/protobuf/compiler/protogen"
)

// emitReader emits the type that all readers are methods of: the cursor, and a slab for each type that a list can
// hold many of.
func emitReader(plugin *protogen.Plugin, m *model, file *protogen.File) {
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
	emitSlabs(g, m)
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
	emitWorkload(g, m)
}

func emitSlabs(g *protogen.GeneratedFile, m *model) {
	var names []string
	for _, msg := range m.messages {
		if !msg.read || msg.wrapped() != nil {
			continue
		}
		if !m.isResponse(msg) {
			names = append(names, slabOf(msg)+" slab["+msg.GoIdent.GoName+"]")
		}
		for _, f := range msg.fields {
			if f.variant() {
				names = append(names, slabField(f.GoIdent.GoName)+" slab["+f.GoIdent.GoName+"]")
			}
		}
	}
	for _, e := range m.enums {
		if m.flagsRead(e) {
			names = append(names, slabField(enumReader(e))+" slab["+e.GoIdent.GoName+"]")
		}
	}
	slices.Sort(names)
	for _, name := range names {
		g.P(name)
	}
}

func emitWorkload(g *protogen.GeneratedFile, m *model) {
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
