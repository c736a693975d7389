package proto_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// nextPageOf returns the rpc whose page_token reads the operation; empty for an operation with its own rpc.
func nextPageOf(operation row) string {
	name, ok := strings.CutPrefix(operation["rpc"], "(page_token of ")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, ")")
}

func TestEveryDocumentedOperationHasItsRPC(t *testing.T) {
	operations := table(t, "operations.tsv")
	byName, left := map[string]rpc{}, map[string]bool{}
	for _, r := range rpcs() {
		name := string(r.Parent().Name()) + "." + r.name()
		byName[name], left[name] = r, true
	}
	var wrong []string
	differ := func(name, what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %v, want %v", name, what, got, want))
		}
	}
	pages := 0
	for _, operation := range operations {
		if first := nextPageOf(operation); first != "" {
			pages++
			name := operation["service"] + "." + first
			r, ok := byName[name]
			if !ok {
				wrong = append(wrong, name+": has a next page and no rpc")
				continue
			}
			differ(name, "path", r.call.GetPath(), operation["path"])
			if r.Input().Fields().ByName("page_token") == nil {
				wrong = append(wrong, name+": has a next page and no page_token")
			}
			continue
		}
		name := operation["service"] + "." + operation["rpc"]
		r, ok := byName[name]
		if !ok {
			wrong = append(wrong, name+": has no rpc")
			continue
		}
		delete(left, name)
		if r.call == nil {
			wrong = append(wrong, name+": has no graph_call")
			continue
		}
		differ(name, "method", r.call.GetMethod(), operation["method"])
		differ(name, "path", r.call.GetPath(), operation["path"])
		differ(name, "permission", r.call.GetPermission(), operation["least_permission"])
		differ(name, "delegated_only", r.call.GetDelegatedOnly(), operation["app_only"] == "no")
		paged := r.Input().Fields().ByName("page_size") != nil
		differ(name, "no_query_options", r.call.GetNoQueryOptions(), operation["query_options"] == "none" && paged)
		differ(name, "idempotency_level", r.level.String(), operation["idempotency"])
		if !strings.HasPrefix(r.call.GetDocs(), "https://learn.microsoft.com/graph/api/") {
			wrong = append(wrong, fmt.Sprintf("%s: docs is %q", name, r.call.GetDocs()))
		}
	}
	for _, name := range sortedKeys(left) {
		wrong = append(wrong, name+": stands for no documented operation")
	}
	differ("contract", "number of services with operations", len(services())-len(derivedServices), 11)
	differ("contract", "number of rpcs", len(rpcs()), 96)
	differ("operations.tsv", "number of operations", len(operations), 98)
	differ("operations.tsv", "number of next pages", pages, 2)
	report(t, wrong)
}

func TestPathsUseStringFieldsOfTheRequest(t *testing.T) {
	var wrong []string
	for _, r := range rpcs() {
		if !strings.HasPrefix(r.call.GetPath(), "/") {
			wrong = append(wrong, fmt.Sprintf("%s: path %q does not begin with a slash", r.name(), r.call.GetPath()))
		}
		seen := map[string]bool{}
		for _, segment := range r.segments() {
			name := parameter(segment)
			if name == "" {
				if segment == "" || strings.ContainsAny(segment, "{}?#% ") {
					wrong = append(wrong, fmt.Sprintf("%s: segment %q", r.name(), segment))
				}
				continue
			}
			f := r.Input().Fields().ByName(protoreflect.Name(name))
			switch {
			case f == nil:
				wrong = append(wrong, fmt.Sprintf("%s: the request has no field %s", r.name(), name))
			case f.Kind() != protoreflect.StringKind || f.IsList() || f.ContainingOneof() != nil:
				wrong = append(wrong, fmt.Sprintf("%s: field %s is not a plain string", r.name(), name))
			case seen[name]:
				wrong = append(wrong, fmt.Sprintf("%s: the path has field %s twice", r.name(), name))
			}
			seen[name] = true
		}
		for i := range r.Input().Fields().Len() {
			f := r.Input().Fields().Get(i)
			if i < len(seen) != seen[string(f.Name())] {
				wrong = append(wrong, fmt.Sprintf("%s: field %s of the path is not at the beginning of the request", r.name(), f.Name()))
			}
		}
	}
	report(t, wrong)
}

func TestEmptyBodiesHaveNoFieldsOfTheRequest(t *testing.T) {
	var wrong []string
	for _, r := range rpcs() {
		if !r.call.GetEmptyBody() {
			continue
		}
		inPath := 0
		if r.Input().Fields().ByName("idempotency_key") != nil {
			// Graph does not get it.
			inPath++
		}
		for _, segment := range r.segments() {
			if parameter(segment) != "" {
				inPath++
			}
		}
		if method := r.call.GetMethod(); method != "POST" && method != "PATCH" || r.Input().Fields().Len() > inPath {
			wrong = append(wrong, fmt.Sprintf("%s: empty_body of a %s with %d fields, of which the path takes %d", r.name(), method, r.Input().Fields().Len(), inPath))
		}
	}
	report(t, wrong)
}

// The test follows each path through Graph's schema, from the root to a type. The response must represent this type.
func TestPathsLeadToTheTypesOfTheirResponses(t *testing.T) {
	s := readSchema(t)
	var wrong []string
	for _, r := range rpcs() {
		at, collection, action := "backupRestoreRoot", false, false
		var problem string
		for _, segment := range r.segments() {
			cast, isCast := strings.CutPrefix(segment, "microsoft.graph.")
			switch {
			case problem != "" || action:
				problem = fmt.Sprintf("path continues after %s", at)
			case parameter(segment) != "":
				if !collection {
					problem = fmt.Sprintf("%s does not follow a collection", segment)
				}
				collection = false
			case isCast:
				if !collection || !slices.Contains(s.lineage(cast), at) {
					problem = fmt.Sprintf("%s is not a %s", cast, at)
				}
				at = cast
			default:
				binding := at
				if collection {
					binding = "Collection(" + at + ")"
				}
				if edm, ok := s.navigation(at, segment); ok && !collection {
					at, collection = element(edm)
				} else if edm, ok := s.action(binding, segment); ok {
					at, collection = element(edm)
					action = true
				} else {
					problem = fmt.Sprintf("%s has neither a property nor an action %s", binding, segment)
				}
			}
		}
		if problem != "" {
			wrong = append(wrong, r.name()+": "+problem)
			continue
		}
		method, list := r.call.GetMethod(), collection
		switch {
		case action && method != "POST",
			!action && method == "POST" && !collection,
			(method == "PATCH" || method == "DELETE") && collection:
			wrong = append(wrong, fmt.Sprintf("%s: %s on %s", r.name(), method, r.call.GetPath()))
		case !slices.Contains([]string{"GET", "POST", "PATCH", "DELETE"}, method):
			wrong = append(wrong, fmt.Sprintf("%s: method %q", r.name(), method))
		case method == "DELETE":
			if r.Output().Fields().Len() > 0 {
				wrong = append(wrong, r.name()+": the response of a DELETE has fields")
			}
			continue
		case method == "POST" && !action:
			list = false // A new element comes back.
		}
		if carried := carriedTypes(r.Output(), list); !slices.Contains(carried, at) {
			wrong = append(wrong, fmt.Sprintf("%s: the path leads to %s, the response represents %v", r.name(), at, carried))
		}
	}
	report(t, wrong)
}

// carriedTypes returns the Graph types of the content of a response: its `value`, its inline resource, or the response.
func carriedTypes(m protoreflect.MessageDescriptor, list bool) []string {
	types := graphTypes(m)
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.Message() == nil || f.IsList() != list || (property(f) == "value") != list || !list && property(f) != "" {
			continue
		}
		types = append(types, graphTypes(f.Message())...)
	}
	return types
}

func TestIdempotencyFollowsFromTheMethodOrIsAnException(t *testing.T) {
	usual := map[string]descriptorpb.MethodOptions_IdempotencyLevel{
		"GET":    descriptorpb.MethodOptions_NO_SIDE_EFFECTS,
		"DELETE": descriptorpb.MethodOptions_IDEMPOTENT,
		"POST":   descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN,
		"PATCH":  descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN,
	}
	excepted := readExceptions(t, "idempotency_exceptions.tsv", "rpc", "level")
	var wrong []string
	for _, r := range rpcs() {
		if want := usual[r.call.GetMethod()]; r.level != want && !excepted.has(r.name()+"."+r.level.String()) {
			wrong = append(wrong, fmt.Sprintf("%s: %s has %s, want %s", r.name(), r.call.GetMethod(), r.level, want))
		}
	}
	report(t, wrong)
}

func TestEveryRPCHasItsOwnRequestAndResponse(t *testing.T) {
	used := map[protoreflect.FullName]string{}
	names := map[string]bool{}
	var wrong []string
	for _, r := range rpcs() {
		for _, side := range []struct {
			message protoreflect.MessageDescriptor
			suffix  string
		}{{r.Input(), "Request"}, {r.Output(), "Response"}} {
			if want := pkg.Append(protoreflect.Name(r.name() + side.suffix)); side.message.FullName() != want {
				wrong = append(wrong, fmt.Sprintf("%s: uses %s, want %s", r.name(), side.message.FullName(), want))
			}
			if other := used[side.message.FullName()]; other != "" {
				wrong = append(wrong, fmt.Sprintf("%s: shares %s with %s", r.name(), side.message.FullName(), other))
			}
			used[side.message.FullName()] = r.name()
			if side.message.ParentFile().Path() != r.ParentFile().Path() {
				wrong = append(wrong, fmt.Sprintf("%s: %s is in another file", r.name(), side.message.FullName()))
			}
		}
		if names[r.name()] {
			wrong = append(wrong, r.name()+": two services have an rpc of this name")
		}
		names[r.name()] = true
	}
	report(t, wrong)
}

func TestEveryListIsPaged(t *testing.T) {
	var wrong []string
	lists := 0
	for _, r := range rpcs() {
		in, out := r.Input().Fields(), r.Output().Fields()
		values := 0
		for i := range out.Len() {
			if property(out.Get(i)) == "value" && out.Get(i).IsList() {
				values++
			}
		}
		isList := strings.HasPrefix(r.name(), "List") || strings.HasPrefix(r.name(), "Browse")
		if isList != (values == 1) {
			wrong = append(wrong, fmt.Sprintf("%s: %d lists named value in the response", r.name(), values))
		}
		size, token, next := in.ByName("page_size"), in.ByName("page_token"), out.ByName("next_page_token")
		if !isList {
			if size != nil || token != nil || next != nil {
				wrong = append(wrong, r.name()+": is paged but is not a list")
			}
			continue
		}
		lists++
		switch {
		case size == nil || size.Kind() != protoreflect.Int32Kind || size.HasPresence() || size.IsList():
			wrong = append(wrong, r.name()+": the request has no plain int32 page_size")
		case token == nil || token.Kind() != protoreflect.StringKind || token.HasPresence() || token.IsList():
			wrong = append(wrong, r.name()+": the request has no plain string page_token")
		case size.Index() != in.Len()-2 || token.Index() != in.Len()-1:
			wrong = append(wrong, r.name()+": page_size and page_token are not the last fields of the request")
		case next == nil || next.Kind() != protoreflect.StringKind || property(next) != "@odata.nextLink":
			wrong = append(wrong, r.name()+": the response has no next_page_token from @odata.nextLink")
		}
	}
	if lists != 29 {
		wrong = append(wrong, fmt.Sprintf("%d lists, want 29", lists))
	}
	report(t, wrong)
}

// A caller who sets a page_size that is not sent finds out from its comment. The generated code has no comments, so the
// test reads the files.
func TestPageSizesThatAreNotSentSaySo(t *testing.T) {
	var wrong []string
	found := 0
	for _, r := range rpcs() {
		if r.Input().Fields().ByName("page_size") == nil {
			continue
		}
		text, err := os.ReadFile(r.Input().ParentFile().Path())
		if err != nil {
			t.Fatal(err)
		}
		_, message, _ := strings.Cut(string(text), "\nmessage "+string(r.Input().Name())+" {\n")
		comment, _, _ := strings.Cut(message, "int32 page_size")
		says := strings.Contains(comment, "// Not sent to Graph,")
		if says != r.call.GetNoQueryOptions() {
			wrong = append(wrong, fmt.Sprintf("%s: page_size is sent: %t, and its comment says that it is not: %t", r.name(), !r.call.GetNoQueryOptions(), says))
		}
		found++
	}
	if found != 29 {
		wrong = append(wrong, fmt.Sprintf("%d page sizes, want 29", found))
	}
	report(t, wrong)
}
