package main

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
)

// identitySet is the message that says who made something. On a page most elements were made by the same application: a
// list remembers who made the last one, and does not read the same text again.
const identitySet = "IdentitySet"

// isRepeated reports whether a field of an element of a list is remembered.
func isRepeated(msg *message, f *field) bool {
	return msg.wire && f.kind == kindMessage && f.message.Desc.Name() == identitySet
}

// memoOf returns the name of the reader's field that remembers a field of a message.
func memoOf(msg *message, f *field) string {
	return strings.ToLower(msg.GoIdent.GoName[:1]) + msg.GoIdent.GoName[1:] + f.GoName + "Memo"
}

// emitMemos emits the type that remembers, its values, and the method that reads with it.
func emitMemos(g *protogen.GeneratedFile, m *model) {
	var names []string
	var what *message
	for _, msg := range m.messages {
		for _, f := range msg.fields {
			if isRepeated(msg, f) {
				names, what = append(names, memoOf(msg, f)), f.message
			}
		}
	}
	if what == nil {
		panic("no message has a " + identitySet)
	}
	slices.Sort(names)
	checkRemembered(what)
	name, slabs := what.GoIdent.GoName, slabsWithin(what)
	memo := strings.ToLower(name[:1]) + name[1:] + "Memo"
	g.P("// memos remember a property of the last element of a list.")
	g.P("type memos struct {")
	for _, one := range names {
		g.P(one, " ", memo)
	}
	g.P("}")
	g.P()
	g.P("// forget clears all memos: what they remember aliases the body.")
	g.P("func (m *memos) forget() {")
	for _, one := range names {
		g.P("m.", one, ".forget()")
	}
	g.P("}")
	g.P()
	g.P("// ", memo, " remembers one ", name, ", and has slabs of its own for it.")
	g.P("type ", memo, " struct {")
	g.P(qualified(g, "Memo"))
	g.P("value *", name)
	for _, slab := range slabs {
		g.P(slab, " ", qualified(g, "Slab"), "[", strings.ToUpper(slab[:1])+strings.TrimSuffix(slab[1:], "Slab"), "]")
	}
	g.P("}")
	g.P()
	g.P("func (m *", memo, ") forget() {")
	g.P("if m.value == nil {")
	g.P("return")
	g.P("}")
	g.P("m.Memo, m.value = ", qualified(g, "Memo"), "{}, nil")
	for _, slab := range slabs {
		g.P("m.", slab, ".Rewind()")
		g.P("m.", slab, ".Trim()")
	}
	g.P("}")
	g.P()
	g.P("// same", name, " reads an object, or returns what the memo remembers of the same text.")
	g.P("func (r *graphReader) same", name, "(m *", memo, ") *", name, " {")
	g.P("if !r.Remembers(&m.Memo) {")
	g.P("x := r.", slabOf(what), ".Next(&r.Cursor)")
	g.P("r.read", name, "(x)")
	g.P("return x")
	g.P("}")
	g.P("if r.Same(&m.Memo) {")
	g.P("return m.value")
	g.P("}")
	g.P("// The element before this one is encoded: nobody uses what the memo had.")
	for _, slab := range slabs {
		g.P("m.", slab, ".Rewind()")
	}
	swap := func() {
		for _, slab := range slabs {
			g.P("r.", slab, ", m.", slab, " = m.", slab, ", r.", slab)
		}
	}
	swap()
	g.P("before := r.Mark()")
	g.P("m.value = r.", slabOf(what), ".Next(&r.Cursor)")
	g.P("r.read", name, "(m.value)")
	g.P("r.Remember(&m.Memo, before)")
	swap()
	g.P("return m.value")
	g.P("}")
	g.P()
}

// checkRemembered refuses a message with more than strings: nothing else of it would be noted or rewound.
func checkRemembered(msg *message) {
	for _, f := range msg.fields {
		switch {
		case f.kind == kindMessage && !f.variant():
			checkRemembered(f.message)
		case f.kind != kindText || f.variant() || f.Desc.HasOptionalKeyword():
			panic(string(f.Desc.FullName()) + ": what is remembered has strings alone")
		}
	}
}
