package program

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// ReadSeeds reads a file with the seed of a tenant, or a list of them, in YAML or JSON. An error says in which line
// it is.
func ReadSeeds(path string) ([]emulator.Seed, error) { return readFile[emulator.Seed](path) }

func loadFaults(e *emulator.Emulator, path string) error {
	faults, err := readFile[emulator.Fault](path)
	if err != nil {
		return err
	}
	text, err := json.Marshal(faults)
	if err != nil {
		return err
	}
	if _, err := e.LoadFaults(bytes.NewReader(text)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// readFile reads one value or a list of them. JSON is YAML, so one reader does for both.
func readFile[T any](path string) ([]T, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list, err := read[T](text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

func read[T any](text []byte) ([]T, error) {
	var list []T
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
		}
		for _, node := range entries(document.Content[0]) {
			var one T
			if err := check(node, reflect.TypeFor[T]()); err != nil {
				return nil, err
			}
			if err := convert(node, &one); err != nil {
				return nil, err
			}
			list = append(list, one)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the file is empty")
	}
	return list, nil
}

// entries are the elements of a list; anything else is the only one.
func entries(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

// convert goes by way of JSON, which is what the types know.
func convert(n *yaml.Node, into any) error {
	var value any
	err := n.Decode(&value)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(value); err == nil {
			err = json.Unmarshal(text, into)
		}
	}
	if err != nil {
		return wrongf(n, "%w", err)
	}
	return nil
}

func wrongf(n *yaml.Node, format string, values ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{n.Line}, values...)...)
}

// check compares a value with the type that it becomes, so that what is wrong is said with its line.
func check(n *yaml.Node, t reflect.Type) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		if _, err := time.Parse(time.RFC3339, n.Value); err != nil {
			return wrongf(n, "%q is no time such as 2030-01-02T03:04:05Z", n.Value)
		}
		return nil
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		target, _ := reflect.New(t).Interface().(encoding.TextUnmarshaler)
		if err := target.UnmarshalText([]byte(n.Value)); err != nil || n.ShortTag() != "!!str" {
			return wrongf(n, "%q is no good value: %w", n.Value, errors.Join(err))
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return checkObject(n, t)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			return wrongf(n, "there must be a list")
		}
		for _, element := range n.Content {
			if err := check(element, t.Elem()); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		return checkMap(n, t)
	case reflect.String:
		return checkScalar(n, "a text; put it into quotes", "!!str")
	case reflect.Bool:
		return checkScalar(n, "true or false", "!!bool")
	case reflect.Float64:
		return checkScalar(n, "a number", "!!int", "!!float")
	}
	return checkScalar(n, "a whole number", "!!int")
}

func checkScalar(n *yaml.Node, what string, tags ...string) error {
	if n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.ShortTag()) {
		return wrongf(n, "there must be %s", what)
	}
	return nil
}

func checkMap(n *yaml.Node, t reflect.Type) error {
	if n.Kind != yaml.MappingNode {
		return wrongf(n, "there must be properties")
	}
	for i := 1; i < len(n.Content); i += 2 {
		if err := check(n.Content[i], t.Elem()); err != nil {
			return err
		}
	}
	return nil
}

// checkObject refuses properties that the type does not have, and those that are there twice.
func checkObject(n *yaml.Node, t reflect.Type) error {
	if n.Kind != yaml.MappingNode {
		return wrongf(n, "there must be properties")
	}
	known := properties(t)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		types, found := known[key.Value]
		if !found {
			names := slices.Sorted(func(yield func(string) bool) {
				for name := range known {
					if !yield(name) {
						return
					}
				}
			})
			return wrongf(key, "there is no property %q; there are %s", key.Value, strings.Join(names, ", "))
		}
		if seen[key.Value] {
			return wrongf(key, "the property %q is there twice", key.Value)
		}
		seen[key.Value] = true
		of := types[0]
		if len(types) > 1 && value.Kind == yaml.SequenceNode {
			of = types[1]
		}
		if err := check(value, of); err != nil {
			return err
		}
	}
	return nil
}

// properties are those of a type by name. Sites and groups of a seed are numbers or lists.
func properties(t reflect.Type) map[string][]reflect.Type {
	known := map[string][]reflect.Type{}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.IsExported() && name != "" && name != "-" {
			known[name] = []reflect.Type{field.Type}
		}
	}
	for list, number := range map[string]string{"ownSites": "sites", "ownGroups": "groups"} {
		if types, found := known[list]; found && t == reflect.TypeFor[emulator.Seed]() {
			known[number] = append(known[number], types...)
			delete(known, list)
		}
	}
	return known
}
