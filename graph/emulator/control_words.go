package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// goTime is the part of a message of package time that names a layout.
var goTime = regexp.MustCompile(`^(?:Time\.UnmarshalJSON: |parsing time ")(.*)`)

// forPeople says what is wrong with a JSON body in the words of the body, not in those of Go.
func forPeople(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var parse *time.ParseError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the body is not complete JSON")
	case errors.As(err, &syntax):
		return fmt.Errorf("the body is not JSON: %w, at byte %d", err, syntax.Offset)
	case errors.As(err, &parse):
		return fmt.Errorf("%s is no time such as \"2030-01-02T03:04:05Z\"", parse.Value)
	case errors.As(err, &kind):
		where := kind.Field[strings.LastIndexByte(kind.Field, '.')+1:]
		if where == "" {
			return fmt.Errorf("the body must be %s, not %s", jsonKind(kind.Type), article(kind.Value))
		}
		return fmt.Errorf("%q must be %s, not %s", where, jsonKind(kind.Type), article(kind.Value))
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return fmt.Errorf("there is no property %s", strings.TrimPrefix(err.Error(), "json: unknown field "))
	case goTime.MatchString(err.Error()):
		return errors.New("a time must be a text such as \"2030-01-02T03:04:05Z\"")
	}
	return err
}

func article(kind string) string {
	if strings.HasPrefix(kind, "object") || strings.HasPrefix(kind, "array") {
		return "an " + kind
	}
	return "a " + kind
}

// jsonKind is what JSON calls a type.
func jsonKind(t reflect.Type) string {
	if t == reflect.TypeFor[Duration]() {
		return "a length of time such as \"90s\" or \"1h30m\""
	}
	if t == reflect.TypeFor[Workload]() {
		return "a workload: \"exchange\", \"oneDriveForBusiness\" or \"sharePoint\""
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list"
	case reflect.Pointer:
		return jsonKind(t.Elem())
	}
	return "an object"
}
