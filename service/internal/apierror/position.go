package apierror

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// positions finds a text in the lists of a request. Graph names what an error is about by its id, address or URL; the
// caller looks for a field and an index.
type positions map[string]position

// position is an element of a list, and the way to the text in it when the elements are messages. prefix leads to the
// message that has the list, and ends in a dot; it is empty for the request itself.
type position struct {
	prefix string
	list   protoreflect.FieldDescriptor
	index  int
	way    way
}

// way are the fields that lead from a message to a text in it: one, or two for a text such as `restore_point.id` of an
// artifact. The rest is nil.
type way [2]protoreflect.FieldDescriptor

// positionsIn looks at all texts in the lists of a request and of the messages in it, in the order of the contract. The
// first of equal texts counts. Letters of either case are equal.
func positionsIn(request protoreflect.Message) positions {
	all := make(positions)
	if request != nil {
		all.add(request, "")
	}
	return all
}

func (p positions) add(message protoreflect.Message, prefix string) {
	note := func(value protoreflect.Value, at position) {
		key := strings.ToLower(value.String())
		if _, taken := p[key]; key != "" && !taken {
			p[key] = at
		}
	}
	fields := message.Descriptor().Fields()
	for n := range fields.Len() {
		list := fields.Get(n)
		if !list.IsList() {
			if list.Message() != nil && !list.IsMap() && message.Has(list) {
				p.add(message.Get(list).Message(), prefix+string(list.Name())+".")
			}
			continue
		}
		ways := waysToTexts(nil, list.Message(), way{}, 0)
		values := message.Get(list).List()
		for i := range values.Len() {
			if list.Kind() == protoreflect.StringKind {
				note(values.Get(i), position{prefix: prefix, list: list, index: i})
			}
			for _, way := range ways {
				text := values.Get(i)
				for _, field := range way {
					if field != nil {
						text = text.Message().Get(field)
					}
				}
				note(text, position{prefix: prefix, list: list, index: i, way: way})
			}
		}
	}
}

// waysToTexts appends the ways to the texts of a message to which a way of some steps leads. A nil message has none.
func waysToTexts(ways []way, message protoreflect.MessageDescriptor, to way, steps int) []way {
	if message == nil || steps == len(to) {
		return ways
	}
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		to[steps] = field
		switch {
		case field.IsList() || field.IsMap():
		case field.Kind() == protoreflect.StringKind:
			ways = append(ways, to)
		case field.Message() != nil:
			ways = waysToTexts(ways, field.Message(), to, steps+1)
		}
	}
	return ways
}

// path returns the field path of a text, such as `mailbox_protection_units[3].directory_object_id`; empty when the
// request does not have it.
func (p positions) path(text string) string {
	key := strings.ToLower(text)
	at, ok := p[key]
	if !ok {
		// Spaces around a value can be Graph's.
		if at, ok = p[strings.TrimSpace(key)]; !ok {
			return ""
		}
	}
	path := append(make([]byte, 0, 64), at.prefix...)
	path = append(append(path, at.list.Name()...), '[')
	path = append(strconv.AppendInt(path, int64(at.index), 10), ']')
	for _, field := range at.way {
		if field != nil {
			path = append(append(path, '.'), field.Name()...)
		}
	}
	return string(path)
}
