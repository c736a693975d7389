package rights

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxProblems is how many faults one message lists.
const maxProblems = 20

// reader reads YAML strictly and collects what is wrong, with lines. It walks the nodes itself: readers into structs
// lose the lines, and two readers could understand a file in two ways.
type reader struct {
	faults []error
}

// wrongf adds a fault at a node.
func (r *reader) wrongf(at *yaml.Node, format string, values ...any) {
	if len(r.faults) < maxProblems {
		r.faults = append(r.faults, fmt.Errorf("line %d: %s", at.Line, fmt.Sprintf(format, values...)))
	}
}

// err returns all faults, one a line.
func (r *reader) err() error { return errors.Join(r.faults...) }

// document returns the one document of a file, nil when there is none or it cannot be read.
func (r *reader) document(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil || len(document.Content) != 1 {
		text := "the file is empty"
		if err != nil && len(strings.TrimSpace(string(data))) > 0 {
			text = strings.TrimPrefix(err.Error(), "yaml: ")
		}
		if text == "EOF" {
			text = "the file is empty"
		}
		r.faults = append(r.faults, errors.New(text))
		return nil
	}
	if err := decoder.Decode(&yaml.Node{}); err == nil {
		r.faults = append(r.faults, errors.New("the file has more than one document"))
		return nil
	}
	root := document.Content[0]
	if isNull(root) {
		r.faults = append(r.faults, errors.New("the file is empty"))
		return nil
	}
	return root
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// fields calls read for each field of an object in their order. The names must be among the allowed ones, each at most
// once. what names the object in messages.
func (r *reader) fields(n *yaml.Node, what string, allowed []string, read func(name string, key, value *yaml.Node)) {
	r.entries(n, what, func(name string, key, value *yaml.Node) {
		if !slices.Contains(allowed, name) {
			r.wrongf(key, "unknown field%s of %s; it can have %s", quoted(name), what, strings.Join(allowed, ", "))
			return
		}
		read(name, key, value)
	})
}

// entries calls read for each entry of an object, each name at most once.
func (r *reader) entries(n *yaml.Node, what string, read func(name string, key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.wrongf(n, "%s must be an object", what)
		return
	}
	before := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			r.wrongf(key, "a field of %s must have a text as its name", what)
			continue
		}
		if line, twice := before[key.Value]; twice {
			r.wrongf(key, "%s has the field%s twice, first in line %d", what, quoted(key.Value), line)
			continue
		}
		before[key.Value] = key.Line
		if value.Kind == yaml.AliasNode {
			r.wrongf(value, "aliases are not supported: write the value out")
			continue
		}
		read(key.Value, key, value)
	}
}

// list calls read for each item of a list, which must have one at least.
func (r *reader) list(n *yaml.Node, what string, read func(item *yaml.Node)) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.wrongf(n, "%s must be a list with one item at least", what)
		return
	}
	for _, item := range n.Content {
		if item.Kind == yaml.AliasNode {
			r.wrongf(item, "aliases are not supported: write the value out")
			continue
		}
		read(item)
	}
}

// text returns a text that is not empty; ok is false, and the fault added, for anything else. Numbers, dates, yes and
// no are texts only in quotation marks.
func (r *reader) text(n *yaml.Node, what string) (text string, ok bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Value == "" {
		r.wrongf(n, "%s must be a text", what)
		return "", false
	}
	return n.Value, true
}

// flag returns a bool.
func (r *reader) flag(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Value != "true" && n.Value != "false" {
		r.wrongf(n, "%s must be true or false", what)
		return false
	}
	return n.Value == "true"
}

// showable is what a message may quote: a name that somebody mistyped, and not a secret or a tenant in a wrong place.
var showable = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,63}$`)

// quoted returns a space and the text in quotation marks where it may be shown, else nothing.
func quoted(text string) string {
	if id, isGUID := parseGUID([]byte(text)); showable.MatchString(text) && !isGUID && id == (guid{}) {
		return fmt.Sprintf(" %q", text)
	}
	return ""
}
