//go:build reference

package service_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/m365backup/backupstorage/service/internal/servicetest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// These tests need the published HTTP examples. They are not part of this repository, so the tests have a build tag,
// and this variable names the folder. .ci/run sets both.
const examplesVariable = "BACKUPSTORAGE_EXAMPLES"

// example is one published request and its response.
type example struct {
	name    string
	Request struct {
		Method, Path string
	}
	Response struct {
		Status int
		Body   any
	}
}

// slips are mistakes in examples: properties that no field of the contract takes, by example and path, with the reason.
type slips map[string]string

func TestPublishedExamplesAreReadWithoutLoss(t *testing.T) {
	folder := os.Getenv(examplesVariable)
	if folder == "" {
		t.Fatalf("%s is not set", examplesVariable)
	}
	known := readSlips(t)
	stub := newStub(t)
	s := servicetest.NewOnEndpoint(t, stub.URL+"/v1.0")
	// Some examples are of operations for users only.
	s.User = 1
	rpcs := allRPCs(t)
	used := make(map[string]bool)
	for _, e := range readExamples(t, folder) {
		method, ids, ok := match(rpcs, e)
		if !ok {
			t.Errorf("%s: no rpc for %s %s", e.name, e.Request.Method, e.Request.Path)
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			call := func(body any) (*servicetest.Outcome, proto.Message) {
				stub.respond(e.Response.Status, body)
				request := servicetest.NewMessage(t, method.Input()).ProtoReflect()
				response := servicetest.NewMessage(t, method.Output()).ProtoReflect()
				for field, id := range ids {
					request.Set(method.Input().Fields().ByName(field), protoreflect.ValueOfString(id))
				}
				o := s.Call(string(method.Parent().Name())+"/"+string(method.Name()), request.Interface(), response.Interface())
				clearToken(t, response, body)
				return o, response.Interface()
			}
			if e.Response.Status >= 400 {
				o, _ := call(e.Response.Body)
				checkErrorExample(t, o, e)
				return
			}
			o, base := call(e.Response.Body)
			if o.Status != nil {
				t.Fatal(o.Status)
			}
			if e.Response.Body == nil {
				return
			}
			for _, leaf := range leaves(e.Response.Body, nil) {
				at := leaf.String()
				changed, ok := leaf.changed(e.Response.Body)
				if !ok {
					continue
				}
				o, got := call(changed)
				if at == "@odata.type" && o.Reason() == "OUTCOME_UNKNOWN" {
					// Of a create the type is read too: another one tells nobody what was created.
					continue
				}
				if o.Status != nil {
					t.Errorf("%s of another value: %v", at, o.Status)
				}
				lands := !proto.Equal(base, got)
				if lands {
					continue
				}
				if key, slip := known.find(e.name, at); slip {
					used[key] = true
				} else {
					t.Errorf("%s is lost", at)
				}
			}
		})
	}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		if !used[key] {
			t.Errorf("slip %q is not needed", key)
		}
	}
}

func readExamples(t *testing.T, folder string) []example {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) < 80 {
		t.Fatalf("%d examples in %s: %v", len(files), folder, err)
	}
	var all []example
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e := example{name: strings.TrimSuffix(filepath.Base(file), ".json")}
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, e)
	}
	return all
}

func readSlips(t *testing.T) slips {
	t.Helper()
	text, err := os.ReadFile("testdata/example_slips.tsv")
	if err != nil {
		t.Fatal(err)
	}
	all := make(slips)
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		columns := strings.Split(line, "\t")
		if len(columns) != 3 || columns[2] == "" {
			t.Fatalf("slip %q has no reason", line)
		}
		all[columns[0]+" "+columns[1]] = columns[2]
	}
	return all
}

// find looks for a slip of this example, or of all examples, by its path without the positions in lists.
func (s slips) find(name, at string) (key string, ok bool) {
	last := at[strings.LastIndexByte(at, '/')+1:]
	for _, key := range []string{name + " " + at, "* " + last} {
		if _, ok := s[key]; ok {
			return key, true
		}
	}
	return "", false
}

// allRPCs are the rpcs of the contract in the order of the reference's table.
func allRPCs(t *testing.T) []protoreflect.MethodDescriptor {
	t.Helper()
	var all []protoreflect.MethodDescriptor
	for _, row := range table(t, "operations.tsv") {
		if strings.HasPrefix(row[1], "(") {
			continue
		}
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("m365.backupstorage.v1." + row[0] + "." + row[1]))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d.(protoreflect.MethodDescriptor))
	}
	return all
}

// match finds the rpc of an example and the ids in its path. Paths of examples differ from the contract in upper and
// lower case, have keys in braces, and one doubled and one misspelt segment. The next page of a browse is read with GET
// by the same rpc.
func match(rpcs []protoreflect.MethodDescriptor, e example) (protoreflect.MethodDescriptor, map[protoreflect.Name]string, bool) {
	path, _, _ := strings.Cut(e.Request.Path, "?")
	path = strings.ToLower(strings.NewReplacer("{", "", "}", "", "/solutions/solutions/", "/solutions/", "InclionRules", "InclusionRules").Replace(path))
	_, path, ok := strings.Cut(path, "/solutions/backuprestore")
	if !ok {
		return nil, nil, false
	}
	verb := e.Request.Method
	if strings.HasSuffix(path, "/browse") {
		verb = http.MethodPost
	}
	best := -1
	var found protoreflect.MethodDescriptor
	var ids map[protoreflect.Name]string
	for _, rpc := range rpcs {
		call := graphCall(rpc)
		if call.GetMethod() != verb {
			continue
		}
		pattern := regexp.QuoteMeta(strings.TrimSuffix(call.GetPath(), "/"))
		pattern = regexp.MustCompile(`\\\{(\w+)\\\}`).ReplaceAllString(pattern, `(?P<$1>[^/]+)`)
		expression := regexp.MustCompile("(?i)^" + pattern + "/?$")
		groups := expression.FindStringSubmatch(path)
		constant := strings.Count(call.GetPath(), "/") - strings.Count(call.GetPath(), "{")
		if groups == nil || constant <= best {
			continue
		}
		best, found, ids = constant, rpc, make(map[protoreflect.Name]string)
		for i, name := range expression.SubexpNames() {
			if name != "" {
				ids[protoreflect.Name(name)] = groups[i]
			}
		}
	}
	return found, ids, found != nil
}

// clearToken checks that a nextLink became a page token, and removes the token, because no two are equal.
func clearToken(t *testing.T, response protoreflect.Message, body any) {
	t.Helper()
	field := response.Descriptor().Fields().ByName("next_page_token")
	object, _ := body.(map[string]any)
	link, _ := object["@odata.nextLink"].(string)
	if field == nil {
		return
	}
	if (response.Get(field).String() != "") != (link != "") {
		t.Errorf("token %q of nextLink %q", response.Get(field), link)
	}
	response.Clear(field)
}

func checkErrorExample(t *testing.T, o *servicetest.Outcome, e example) {
	t.Helper()
	body, _ := json.Marshal(e.Response.Body)
	var published struct {
		Error struct {
			Code, Message string
			InnerError    struct {
				RequestID       string `json:"request-id"`
				ClientRequestID string `json:"client-request-id"`
			}
		}
	}
	if err := json.Unmarshal(body, &published); err != nil {
		t.Fatal(err)
	}
	metadata := o.Info().GetMetadata()
	for key, want := range map[string]string{
		"graphCode": published.Error.Code, "graphRequestId": published.Error.InnerError.RequestID,
		"graphClientRequestId": published.Error.InnerError.ClientRequestID, "httpStatus": fmt.Sprint(e.Response.Status),
	} {
		if metadata[key] != want {
			t.Errorf("%s is %q, want %q", key, metadata[key], want)
		}
	}
	if o.Reason() == "" || !strings.Contains(o.Status.GetMessage(), published.Error.Message) {
		t.Errorf("got %v, want %q in it", o.Status, published.Error.Message)
	}
}

// leaf is the path of a value in a JSON text.
type leaf []any

// String writes the path with `*` for every position in a list.
func (l leaf) String() string {
	parts := make([]string, len(l))
	for i, step := range l {
		parts[i] = fmt.Sprint(step)
		if _, ok := step.(int); ok {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// leaves are the paths of all values that are neither objects nor lists.
func leaves(value any, path leaf) []leaf {
	switch v := value.(type) {
	case map[string]any:
		var all []leaf
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, leaves(v[key], append(slices.Clone(path), key))...)
		}
		return all
	case []any:
		var all []leaf
		for i, element := range v {
			all = append(all, leaves(element, append(slices.Clone(path), i))...)
		}
		return all
	}
	return []leaf{path}
}

var digits = regexp.MustCompile(`^\d+$`)

var instant = regexp.MustCompile(`^\d{4}-\d\d-\d\dT`)

// changed returns a copy of the body in which this value is another one of its kind. ok is false for values that mean
// "not set".
func (l leaf) changed(body any) (any, bool) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, false
	}
	var copied any
	if json.Unmarshal(text, &copied) != nil {
		return nil, false
	}
	at := copied
	for _, step := range l[:len(l)-1] {
		switch s := step.(type) {
		case string:
			at = at.(map[string]any)[s]
		case int:
			at = at.([]any)[s]
		}
	}
	var value any
	var set func(any)
	switch s := l[len(l)-1].(type) {
	case string:
		value, set = at.(map[string]any)[s], func(v any) { at.(map[string]any)[s] = v }
	case int:
		value, set = at.([]any)[s], func(v any) { at.([]any)[s] = v }
	}
	switch v := value.(type) {
	case nil:
		return nil, false
	case bool:
		set(!v)
	case float64:
		set(v + 1)
	case string:
		switch {
		case v == "" || strings.HasPrefix(v, "0001-01-01T"):
			return nil, false
		case instant.MatchString(v):
			set("1999" + v[4:])
		case l[len(l)-1] == "@odata.nextLink":
			// It becomes a page token, which clearToken checks.
			return nil, false
		case l[len(l)-1] == "@odata.type":
			// Another type of the family stands for another workload.
			set(strings.NewReplacer("mailbox", "drive", "drive", "site", "site", "mailbox", "exchange", "sharePoint", "sharePoint", "exchange", "sharepoint", "exchange", "oneDriveForBusiness", "exchange").Replace(v))
		case digits.MatchString(v):
			set(v + "1")
		default:
			set("changed" + strings.Repeat("9", len(v)%7))
		}
	}
	return copied, true
}

// stub is an upstream that sends the response that it was given.
type stub struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   []byte
}

func newStub(t *testing.T) *stub {
	s := new(stub)
	s.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(s.status)
		rw.Write(s.body)
	}))
	t.Cleanup(s.Close)
	return s
}

// respond sets the response. A nextLink to Graph becomes one to the stub.
func (s *stub) respond(status int, body any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, nil
	if body != nil {
		text, _ := json.Marshal(body)
		s.body = []byte(strings.ReplaceAll(string(text), "https://graph.microsoft.com", s.URL))
	}
}
