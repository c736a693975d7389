package main

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
)

// emitContract emits what all codecs share: the types of the runtime, with the contract's types as type arguments.
func emitContract(plugin *protogen.Plugin, m *model, file *protogen.File) {
	g := output(plugin, file, "graph_json.go")
	header(g, file)
	emitAliases(g)
	emitReader(g)
	emitSlabs(g, m)
	emitMemos(g, m)
	emitWorkload(g, m)
}

// emitAliases emits the names that callers of the codecs use, so that they import only the package of the messages.
func emitAliases(g *protogen.GeneratedFile) {
	for _, alias := range []struct{ name, target, comment string }{
		{"GraphReadOptions", "ReadOptions" + typeArguments, "is what UnmarshalGraphJSON needs to know besides the body."},
		{"GraphItemError", "ItemError", "is an error embedded in one resource of a response that is itself OK."},
		{"GraphJSONError", "Error", "is the error of UnmarshalGraphJSON."},
		{"GraphNotes", "Notes", "is what UnmarshalGraphJSON noticed in a body that it could read."},
	} {
		g.P("// ", alias.name, " ", alias.comment)
		g.P("type ", alias.name, " = ", qualified(g, alias.target))
		g.P()
	}
	g.P("// GraphPathWorkload returns the workload of an operation's path, unspecified when the path belongs to all workloads.")
	g.P("func GraphPathWorkload(path string) Workload { return ", qualified(g, "PathWorkload"), "(path, graphWorkload) }")
	g.P()
}

// typeArguments are the type arguments of ReadOptions and Reader.
const typeArguments = "[Workload, *FailedResource]"

// emitReader emits the type that has a read method for each message.
func emitReader(g *protogen.GeneratedFile) {
	g.P("// graphReader has a read method for each message of a response.")
	g.P("type graphReader struct {")
	g.P(qualified(g, "Reader"), typeArguments)
	g.P("slabs")
	g.P("memos")
	g.P("}")
	g.P()
	g.P("func newGraphReader(body []byte, options GraphReadOptions) *graphReader {")
	g.P("r := new(graphReader)")
	g.P("r.Start(body, options, graphWorkload)")
	g.P("return r")
	g.P("}")
	g.P()
	pool := g.QualifiedGoIdent(protogen.GoIdent{GoName: "Pool", GoImportPath: "sync"})
	g.P("// graphReaders holds readers whose slabs have room for an element of a list.")
	g.P("var graphReaders = ", pool, "{New: func() any { return new(graphReader) }}")
	g.P()
	g.P("// takeGraphReader returns a reader of a pool.")
	g.P("func takeGraphReader(body []byte, options GraphReadOptions) *graphReader {")
	g.P("r := graphReaders.Get().(*graphReader)")
	g.P("r.Start(body, options, graphWorkload)")
	g.P("return r")
	g.P("}")
	g.P()
	g.P("// giveBack gives a reader to the pool. Its slabs are rewound.")
	g.P("func (r *graphReader) giveBack() {")
	g.P("r.Clear()")
	g.P("r.trim()")
	g.P("r.forget()")
	g.P("graphReaders.Put(r)")
	g.P("}")
	g.P()
}

// emitSlabs emits the type that holds the slabs. A message, an enum and a case of a oneof have one if a list can hold
// many of them.
func emitSlabs(g *protogen.GeneratedFile, m *model) {
	slab := qualified(g, "Slab")
	var names []string
	for _, msg := range m.messages {
		if !msg.read || msg.wrapped() != nil {
			continue
		}
		if !m.isResponse(msg) {
			names = append(names, slabOf(msg)+" "+slab+"["+msg.GoIdent.GoName+"]")
		}
		for _, f := range msg.fields {
			if f.variant() {
				names = append(names, slabField(f.GoIdent.GoName)+" "+slab+"["+f.GoIdent.GoName+"]")
			}
		}
	}
	for _, e := range m.enums {
		if m.flagsRead(e) {
			names = append(names, slabField(enumReader(e))+" "+slab+"["+e.GoIdent.GoName+"]")
		}
	}
	for _, msg := range m.messages {
		if m.isInnerList(msg) {
			names = append(names, listOf(msg)+" "+qualified(g, "List")+"["+msg.GoIdent.GoName+"]")
		}
	}
	slices.Sort(names)
	g.P("// slabs holds a slab for each type of the contract that a list can hold many of.")
	g.P("type slabs struct {")
	for _, name := range names {
		g.P(name)
	}
	g.P("}")
	g.P()
	g.P("// trim frees what is not worth keeping in a pool.")
	g.P("func (s *slabs) trim() {")
	for _, name := range names {
		field, _, _ := strings.Cut(name, " ")
		g.P("s.", field, ".Trim()")
	}
	g.P("}")
	g.P()
}

// emitWorkload emits the function that finds a workload by its type prefixes.
func emitWorkload(g *protogen.GeneratedFile, m *model) {
	prefixed := qualified(g, "HasPrefixFold")
	g.P("// graphWorkload returns the workload of a type's name or of a path's segment, unspecified when it has none.")
	g.P("func graphWorkload(name string) Workload {")
	g.P("switch {")
	for _, p := range m.prefixes {
		g.P("case ", prefixed, "(name, ", strconv.Quote(p.text), "):")
		g.P("return ", p.value.GoName)
	}
	g.P("}")
	g.P("return 0")
	g.P("}")
}
