package servicetest

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// Canaries are texts that a test puts into requests and responses, and then looks for in places where they must not
// appear. No other text has them.
const (
	// Canary is a part of every canary.
	Canary = "canary7f3e"
	// CanaryText stands for what Graph says about a tenant: names, addresses, URLs, messages.
	CanaryText = Canary + "text"
	// CanaryToken stands for a bearer token, an assertion, a skip token or claims.
	CanaryToken = Canary + "token"
	// CanaryRequest stands for what a caller asks for.
	CanaryRequest = Canary + "request"
)

// FillWithCanaries fills a request: texts with CanaryRequest, which can stand in a path, enums with their last value.
// It leaves page sizes, page tokens and idempotency keys empty, and sets one field of a oneof.
func FillWithCanaries(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Name() == "page_token" || field.Name() == "page_size" || field.Name() == "idempotency_key" || field.IsMap() ||
			field.ContainingOneof() != nil && m.WhichOneof(field.ContainingOneof()) != nil {
			continue
		}
		if field.Message() != nil {
			if strings.HasPrefix(string(field.Message().FullName()), "google.") {
				continue
			}
			if field.IsList() {
				FillWithCanaries(m.Mutable(field).List().AppendMutable().Message())
			} else {
				FillWithCanaries(m.Mutable(field).Message())
			}
			continue
		}
		var value protoreflect.Value
		switch field.Kind() {
		case protoreflect.StringKind:
			value = protoreflect.ValueOfString(CanaryRequest)
		case protoreflect.EnumKind:
			value = protoreflect.ValueOfEnum(field.Enum().Values().Get(field.Enum().Values().Len() - 1).Number())
		default:
			continue
		}
		if field.IsList() {
			m.Mutable(field).List().Append(value)
		} else {
			m.Set(field, value)
		}
	}
}

// Leak returns the first line of a log that has a canary or the id of emulator.TenantA, empty when there is none.
func Leak(log string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, Canary) || strings.Contains(line, emulator.TenantA) {
			return line
		}
	}
	return ""
}
