package apierror

import (
	"iter"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// named returns the field that Graph itself names, empty when it names none. The first of these that is a field of the
// request counts:
//
//	Graph says                                               the field
//	-------------------------------------------------------  -----------------------------------------------
//	a target that is a value in the request                  the list and the index of the value
//	a target that is an option or a property                 `page_size` for `$top`, `mailboxes[3]` as it is
//	a text with a value in quotes                            the list and the index of the value
//	a text with a property that the reason is usually about  the property's field
//	a text with an option or another property                its field, one that is set before one that is not
func (s *subject) named(spec *pb.ErrorSpec_FieldViolation) string {
	if s.op == nil || s.request == nil || s.target == "" && s.text == "" {
		return ""
	}
	if s.target != "" {
		if path := positionsIn(s.request).path(s.target); path != "" {
			return path
		}
		if path := s.targeted(); path != "" {
			return path
		}
	}
	if path := s.quoted(); path != "" {
		return path
	}
	for _, name := range spec.GetFields() {
		if field := s.op.Request.Fields().ByName(protoreflect.Name(name)); field != nil && hasWord(s.text, field.JSONName()) {
			return name
		}
	}
	return s.mentioned()
}

// quotedText is a value in a text of Graph's, targetName a target that names an option or a property, and perhaps an
// element of it.
var (
	quotedText = regexp.MustCompile(`'[^']+'|"[^"]+"`)
	targetName = regexp.MustCompile(`^([$@\w][@.\w]*?)(?:\[(\d{1,9})\]|/(\d{1,9}))?$`)
)

// maxQuotes is how many values of a text are looked for.
const maxQuotes = 20

// quoted returns the position of a value that the text has in quotes.
func (s *subject) quoted() string {
	if !strings.ContainsAny(s.text, `'"`) {
		return ""
	}
	var positions positions
	for _, quoted := range quotedText.FindAllString(s.text, maxQuotes) {
		if positions == nil {
			positions = positionsIn(s.request)
		}
		if path := positions.path(quoted[1 : len(quoted)-1]); path != "" {
			return path
		}
	}
	return ""
}

// targeted returns the field that the target names.
func (s *subject) targeted() string {
	m := targetName.FindStringSubmatch(s.target)
	if m == nil {
		return ""
	}
	paths := s.op.FieldPaths(m[1])
	if m[2]+m[3] == "" {
		return s.best(paths)
	}
	// Several lists of a request can be one of Graph's: what is added, and behind it what is removed.
	index, _ := strconv.Atoi(m[2] + m[3])
	for _, path := range paths {
		length := listLen(s.request, path)
		if index < length {
			return path + "[" + strconv.Itoa(index) + "]"
		}
		index -= length
	}
	return s.best(paths)
}

// listLen is the length of the list at a path, 0 for no list.
func listLen(message protoreflect.Message, path string) int {
	name, rest, more := strings.Cut(path, ".")
	field := message.Descriptor().Fields().ByName(protoreflect.Name(name))
	switch {
	case field == nil || !message.Has(field):
	case more:
		return listLen(message.Get(field).Message(), rest)
	case field.IsList():
		return message.Get(field).List().Len()
	}
	return 0
}

// phrases are what Graph writes of an option without its name. OData's libraries make these texts.
var phrases = [][2]string{{"page size", "$top"}, {"top query", "$top"}, {"filter clause", "$filter"}, {"query filter", "$filter"}}

// mentioned returns the field of an option or a property that the text mentions. Of several, one that the request sets
// counts first.
func (s *subject) mentioned() string {
	var paths []string
	for word := range words(s.text) {
		for _, path := range s.op.FieldPaths(word) {
			// A word such as `status` or `id` is an English word as well: it only stands for a field of the request itself.
			if !strings.Contains(path, ".") || word != strings.ToLower(word) {
				paths = append(paths, path)
			}
		}
	}
	if path := s.best(paths); path != "" {
		return path
	}
	for _, phrase := range phrases {
		if containsFold(s.text, phrase[0]) {
			if path := s.best(s.op.FieldPaths(phrase[1])); path != "" {
				return path
			}
		}
	}
	return ""
}

// words are the words of a text, and the options of OData in it: `$top`.
func words(text string) iter.Seq[string] {
	isPart := func(c rune) bool {
		return c == '$' || c == '_' || c == '@' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
	}
	return strings.FieldsFuncSeq(text, func(c rune) bool { return !isPart(c) })
}

// best returns the first of several paths whose field the request sets, else the first path.
func (s *subject) best(paths []string) string {
	for _, path := range paths {
		if isSet(s.request, path) {
			return path
		}
	}
	if len(paths) > 0 {
		return paths[0]
	}
	return ""
}

// isSet reports whether a request sets the field of a path.
func isSet(message protoreflect.Message, path string) bool {
	name, rest, more := strings.Cut(path, ".")
	field := message.Descriptor().Fields().ByName(protoreflect.Name(name))
	if field == nil || !message.Has(field) {
		return false
	}
	return !more || isSet(message.Get(field).Message(), rest)
}

// hasWord reports whether a word stands in a text by itself, not as a part of a longer one.
func hasWord(text, word string) bool {
	isPart := func(c byte) bool {
		return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
	}
	for {
		before, after, found := strings.Cut(text, word)
		if !found {
			return false
		}
		if (before == "" || !isPart(before[len(before)-1])) && (after == "" || !isPart(after[0])) {
			return true
		}
		text = after
	}
}

// containsFold reports whether a text contains another one in any case of letters.
func containsFold(text, part string) bool {
	for i := range len(text) - len(part) + 1 {
		if strings.EqualFold(text[i:i+len(part)], part) {
			return true
		}
	}
	return false
}
