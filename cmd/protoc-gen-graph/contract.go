package main

import (
	"slices"
	"strconv"

	"google.golang.org/protobuf/compiler/protogen"
)

// emitContract emits what the runtime has to know of the contract. graphjson/contract.go stands in for it there.
func emitContract(plugin *protogen.Plugin, m *model, file *protogen.File) {
	g := output(plugin, file, "graph_json_contract.go")
	header(g, file)
	emitSlabs(g, m)
	emitWorkload(g, m)
}

// emitSlabs emits the type that has a slab for each type of message, enum and side of a oneof that a list can hold many of.
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
	g.P("// slabs are those of the types of the contract.")
	g.P("type slabs struct {")
	for _, name := range names {
		g.P(name)
	}
	g.P("}")
	g.P()
}

// emitWorkload emits the function that knows the type prefixes of the workloads.
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
}
