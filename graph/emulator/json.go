package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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

// unknownField returns a property that is none of the known ones; "" when there
// is none. OData annotations are always known.
func unknownField(fields map[string]json.RawMessage, known ...string) string {
	first := ""
next:
	for name := range fields {
		if strings.Contains(name, "@odata.") {
			continue
		}
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		if first == "" || name < first { // the same one in every run
			first = name
		}
	}
	return first
}
