package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// model is the part of the contract that has codecs.
type model struct {
	options  *options
	messages map[protoreflect.FullName]*message
	enums    map[protoreflect.FullName]*enum
	// prefixes are the type prefixes of each workload, longest first.
	prefixes []prefix
	// responses and bodies are the messages with an exported codec, in the order of the rpcs.
	responses, bodies []*message
}

type prefix struct {
	text string
	// value is the Go name of the workload.
	value protogen.GoIdent
}

func newModel(plugin *protogen.Plugin, files []*protogen.File) (*model, error) {
	options, err := newOptions(plugin)
	if err != nil {
		return nil, err
	}
	m := &model{
		options:  options,
		messages: make(map[protoreflect.FullName]*message),
		enums:    make(map[protoreflect.FullName]*enum),
	}
	if err := m.readPrefixes(files); err != nil {
		return nil, err
	}
	for _, file := range files {
		for _, service := range file.Services {
			for _, method := range service.Methods {
				if err := m.addMethod(method); err != nil {
					return nil, err
				}
			}
		}
	}
	return m, nil
}

func (m *model) readPrefixes(files []*protogen.File) error {
	for _, file := range files {
		for _, e := range file.Enums {
			if e.Desc.Name() != "Workload" {
				continue
			}
			for _, value := range e.Values {
				option, err := m.options.find(value.Desc, "graph_value")
				if err != nil {
					return err
				}
				for _, text := range texts(option, "type_prefixes") {
					m.prefixes = append(m.prefixes, prefix{text, value.GoIdent})
				}
			}
		}
	}
	slices.SortFunc(m.prefixes, func(a, b prefix) int { return len(b.text) - len(a.text) })
	return nil
}

// workloadOf returns the Go name of the workload whose type prefix begins name.
func (m *model) workloadOf(name string) (string, error) {
	for _, p := range m.prefixes {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(p.text)) {
			return p.value.GoName, nil
		}
	}
	return "", fmt.Errorf("%q is no type prefix of a workload", name)
}

func (m *model) addMethod(method *protogen.Method) error {
	call, err := m.options.find(method.Desc, "graph_call")
	if err != nil {
		return err
	}
	if call == nil {
		return fmt.Errorf("%s: graph_call is missing", method.Desc.FullName())
	}
	if text(call, "of") != "" {
		// It has no JSON of its own: it reads with the codecs of another rpc.
		return nil
	}
	verb := text(call, "method")
	if len(method.Output.Fields) > 0 {
		response, err := m.message(method.Output)
		if err != nil {
			return err
		}
		markRead(response)
		m.responses = append(m.responses, response)
		if response.isList() || verb == "GET" {
			markWire(response)
		}
	}
	if verb == "GET" || verb == "DELETE" {
		return nil
	}
	request, err := m.message(method.Input)
	if err != nil {
		return err
	}
	path := text(call, "path")
	request.fields = slices.DeleteFunc(request.fields, func(f *field) bool {
		name := string(f.Desc.Name())
		return name == "page_size" || name == "page_token" || name == "idempotency_key" || strings.Contains(path, "{"+name+"}")
	})
	if len(request.fields) > 0 || flag(call, "empty_body") {
		markWrite(request)
		m.bodies = append(m.bodies, request)
	}
	return nil
}

func markRead(m *message) {
	if m.read {
		return
	}
	m.read = true
	for _, f := range m.fields {
		if f.message != nil {
			markRead(f.message)
		}
	}
}

func markWrite(m *message) {
	if m.write {
		return
	}
	m.write = true
	for _, f := range m.fields {
		if f.message != nil {
			markWrite(f.message)
		}
	}
}

// isElement reports whether a list of the contract has the message as its element.
func (m *model) isElement(msg *message) bool {
	return slices.ContainsFunc(m.responses, func(r *message) bool { return r.isList() && r.list().message == msg })
}

// isInnerList reports whether a message that is read has a list of this message and is not a list itself.
func (m *model) isInnerList(msg *message) bool {
	for _, around := range m.messages {
		for _, f := range around.fields {
			if around.read && f.message == msg && f.kind == kindMessages && f.name != listProperty {
				return true
			}
		}
	}
	return false
}

// isResponse reports whether the message is the response of an rpc.
func (m *model) isResponse(msg *message) bool {
	return slices.Contains(m.responses, msg)
}
