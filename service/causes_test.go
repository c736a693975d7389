package service_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The comment of ErrorReason has a row for each cause that metadata can have. The generated code has no comments, so
// the test reads the contract as text.
func TestErrorReasonListsEveryCause(t *testing.T) {
	data, err := os.ReadFile("../proto/m365/backupstorage/v1/error_reason.proto")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, ok := strings.Cut(string(data), "\nenum ErrorReason {")
	if !ok {
		t.Fatal("error_reason.proto has no enum ErrorReason")
	}
	_, table, ok := strings.Cut(comment, "\n// | cause |")
	if !ok {
		t.Fatal("the comment of ErrorReason has no table of causes")
	}
	all := causes(t)
	if len(all) < 20 {
		t.Fatalf("graph/cause.go has only %d causes", len(all))
	}
	for name, value := range all {
		if !strings.Contains(table, "\n// | `"+value+"` |") {
			t.Errorf("the table has no row for %s, %q", name, value)
		}
	}
}

// causes returns the values of the constants of graph/cause.go by their names.
func causes(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../graph/cause.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			constant, ok := spec.(*ast.ValueSpec)
			if !ok || len(constant.Values) != len(constant.Names) {
				t.Fatalf("a constant of graph/cause.go has no value of its own: %v", spec)
			}
			for i, name := range constant.Names {
				literal, ok := constant.Values[i].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s is no literal", name)
				}
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				all[name.Name] = value
			}
		}
	}
	return all
}
