package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
)

// decodeStrict reads exactly one JSON value and refuses properties that the
// target does not have: a property that a client misspells must not pass.
func decodeStrict(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// readObject reads a JSON object; null is none.
func readObject(raw []byte) (map[string]json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return nil, false
	}
	return fields, true
}

// readField reads a property into a variable, which stays as it is without the
// property. It reports false for a value of another type.
func readField(fields map[string]json.RawMessage, name string, into any) bool {
	raw := fields[name]
	return raw == nil || json.Unmarshal(raw, into) == nil
}

// emptyBody tells whether a body says nothing: none at all, null, or an object
// without properties.
func emptyBody(body []byte) bool {
	if len(bytes.TrimSpace(body)) == 0 {
		return true
	}
	var fields map[string]json.RawMessage
	return json.Unmarshal(body, &fields) == nil && unknownField(fields) == ""
}

// isRemoval tells whether the value of an item's @removed is an object with
// nothing but a reason, which is not looked at.
func isRemoval(raw json.RawMessage) bool {
	fields, ok := readObject(raw)
	return ok && unknownField(fields, "reason") == ""
}

// unknownField returns a property that is none of the known ones, the same in
// every run; "" when there is none. OData annotations are always known.
func unknownField(fields map[string]json.RawMessage, known ...string) string {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, name) && !strings.Contains(name, "@odata.") {
			return name
		}
	}
	return ""
}
