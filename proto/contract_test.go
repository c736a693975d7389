// Package proto_test compares the contract with Microsoft's documentation. The tables in testdata are facts about the
// Graph API. They were copied once and change only by hand. The tests read the contract from the generated descriptors.
package proto_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	backupstoragev1 "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const pkg = protoreflect.FullName("m365.backupstorage.v1")

// row is one line of a table: the cells by column.
type row map[string]string

// table reads a tab-separated file of testdata. The first line has the names of the columns.
func table(t *testing.T, name string) []row {
	t.Helper()
	file, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var columns []string
	var rows []row
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		cells := strings.Split(lines.Text(), "\t")
		if columns == nil {
			columns = cells
			continue
		}
		if len(cells) != len(columns) {
			t.Fatalf("testdata/%s:%d: %d cells, want %d", name, n, len(cells), len(columns))
		}
		r := row{}
		for i, column := range columns {
			r[column] = cells[i]
		}
		rows = append(rows, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		t.Fatalf("testdata/%s is empty", name)
	}
	return rows
}

// exceptions are the rows of a table of exceptions. The key of a row is the values of its key columns, joined with a
// dot. Each row must have a reason. A row that the test did not need fails the test.
type exceptions struct {
	name string
	used map[string]bool
}

func readExceptions(t *testing.T, name string, key ...string) *exceptions {
	t.Helper()
	e := &exceptions{name: name, used: map[string]bool{}}
	for _, r := range table(t, name) {
		var parts []string
		for _, column := range key {
			parts = append(parts, r[column])
		}
		k := strings.Join(parts, ".")
		if _, ok := e.used[k]; ok {
			t.Errorf("testdata/%s: %s is there twice", name, k)
		}
		if r["reason"] == "" {
			t.Errorf("testdata/%s: %s has no reason", name, k)
		}
		e.used[k] = false
	}
	t.Cleanup(func() {
		for _, k := range sortedKeys(e.used) {
			if !e.used[k] {
				t.Errorf("testdata/%s: %s is not needed", name, k)
			}
		}
	})
	return e
}

// has reports whether there is an exception, and marks it as needed.
func (e *exceptions) has(key string) bool {
	if _, ok := e.used[key]; !ok {
		return false
	}
	e.used[key] = true
	return true
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// rpc is a method of the contract with its options.
type rpc struct {
	protoreflect.MethodDescriptor
	call  *backupstoragev1.GraphCall
	level descriptorpb.MethodOptions_IdempotencyLevel
}

func (r rpc) name() string { return string(r.Name()) }

// segments returns the parts of the path, without the empty part before the first slash.
func (r rpc) segments() []string {
	path := strings.Trim(r.call.GetPath(), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// parameter returns the name in a segment with braces; empty for any other segment.
func parameter(segment string) string {
	if name, ok := strings.CutPrefix(segment, "{"); ok && strings.HasSuffix(name, "}") {
		return strings.TrimSuffix(name, "}")
	}
	return ""
}

func files() []protoreflect.FileDescriptor {
	var all []protoreflect.FileDescriptor
	// The import of backupstoragev1 registers the files.
	protoregistry.GlobalFiles.RangeFilesByPackage(pkg, func(f protoreflect.FileDescriptor) bool {
		all = append(all, f)
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	return all
}

func services() []protoreflect.ServiceDescriptor {
	var all []protoreflect.ServiceDescriptor
	for _, file := range files() {
		for i := range file.Services().Len() {
			all = append(all, file.Services().Get(i))
		}
	}
	return all
}

// rpcs returns the rpcs of documented operations.
func rpcs() []rpc {
	return slices.DeleteFunc(allRPCs(), func(r rpc) bool { return r.call.GetOf() != "" })
}

// derived returns the rpcs that stream, wait or watch by means of another rpc.
func derived() []rpc {
	return slices.DeleteFunc(allRPCs(), func(r rpc) bool { return r.call.GetOf() == "" })
}

func allRPCs() []rpc {
	var all []rpc
	for _, service := range services() {
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			options, _ := method.Options().(*descriptorpb.MethodOptions)
			call, _ := proto.GetExtension(options, backupstoragev1.E_GraphCall).(*backupstoragev1.GraphCall)
			all = append(all, rpc{MethodDescriptor: method, call: call, level: options.GetIdempotencyLevel()})
		}
	}
	return all
}

// messages returns all messages of the contract, without those of the options.
func messages() []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	for _, file := range files() {
		if file.Extensions().Len() > 0 {
			continue
		}
		for i := range file.Messages().Len() {
			all = append(all, file.Messages().Get(i))
		}
	}
	return all
}

func graphTypes(m protoreflect.MessageDescriptor) []string {
	option, _ := proto.GetExtension(m.Options(), backupstoragev1.E_GraphMessage).(*backupstoragev1.GraphMessage)
	return option.GetTypes()
}

func graphField(f protoreflect.FieldDescriptor) *backupstoragev1.GraphField {
	option, _ := proto.GetExtension(f.Options(), backupstoragev1.E_GraphField).(*backupstoragev1.GraphField)
	return option
}

func graphValue(v protoreflect.EnumValueDescriptor) *backupstoragev1.GraphValue {
	option, _ := proto.GetExtension(v.Options(), backupstoragev1.E_GraphValue).(*backupstoragev1.GraphValue)
	return option
}

// lowerCamel converts snake_case, in upper or lower case, to lowerCamelCase.
func lowerCamel(name string) string {
	parts := strings.Split(strings.ToLower(name), "_")
	for i, part := range parts {
		if i > 0 && part != "" {
			parts[i] = strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return strings.Join(parts, "")
}

// property returns the name of a field in Graph's JSON; empty when the field has no property of its own.
func property(f protoreflect.FieldDescriptor) string {
	switch option := graphField(f); {
	case option.GetPlace() == backupstoragev1.GraphField_INLINE:
		return ""
	case option.GetName() != "":
		return option.GetName()
	default:
		return lowerCamel(string(f.Name()))
	}
}

// properties returns the fields of a message by their property, including the fields of inline messages. When several
// fields share a property, it returns the field that has the property itself, not one that is filled from a part of it.
func properties(m protoreflect.MessageDescriptor) map[string][]protoreflect.FieldDescriptor {
	all := map[string][]protoreflect.FieldDescriptor{}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		switch graphField(f).GetPlace() {
		case backupstoragev1.GraphField_INLINE:
			if f.Message() != nil && !f.IsList() {
				for name, fields := range properties(f.Message()) {
					all[name] = append(all[name], fields...)
				}
			}
		case backupstoragev1.GraphField_REMOVED_IDS, backupstoragev1.GraphField_ERROR_DETAILS:
		default:
			all[property(f)] = append(all[property(f)], f)
		}
	}
	return all
}

// report fails the test with all that is wrong.
func report(t *testing.T, wrong []string) {
	t.Helper()
	if len(wrong) > 0 {
		t.Errorf("%d wrong:\n%s", len(wrong), strings.Join(wrong, "\n"))
	}
}
