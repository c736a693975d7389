//go:build reference

package service_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/service/internal/servicetest"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// exception is an example that gets another status than the documented one.
type exception struct {
	status int
	reason string
}

func TestPublishedRequestsAreReplayed(t *testing.T) {
	folder := examplesFolder(t)
	known := readExceptions(t)
	rpcs := allRPCs(t)
	names := make(map[string]bool)
	for _, e := range readExamples(t, folder) {
		names[e.name] = true
		t.Run(e.name, func(t *testing.T) {
			status, response := newReplay(t, rpcs, folder, e).send()
			x, listed := known[e.name]
			switch {
			case !listed && status != e.Response.Status:
				t.Errorf("got %d, want %d: %s", status, e.Response.Status, response)
			case listed && status == e.Response.Status:
				t.Errorf("the exception is not needed: got %d", status)
			case listed && status != x.status:
				t.Errorf("got %d, want %d by the list of exceptions: %s", status, x.status, response)
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !names[name] {
			t.Errorf("exception %q is of no example", name)
		}
	}
}

func examplesFolder(t *testing.T) string {
	t.Helper()
	folder := os.Getenv(examplesVariable)
	if folder == "" {
		t.Fatalf("%s is not set", examplesVariable)
	}
	return folder
}

func readExceptions(t *testing.T) map[string]exception {
	t.Helper()
	text, err := os.ReadFile("testdata/replay_exceptions.tsv")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]exception)
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		columns := strings.Split(line, "\t")
		if len(columns) != 3 || columns[2] == "" {
			t.Fatalf("exception %q has no reason", line)
		}
		status, err := strconv.Atoi(columns[1])
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[columns[0]]; twice {
			t.Errorf("exception %q stands there twice", columns[0])
		}
		all[columns[0]] = exception{status, columns[2]}
	}
	return all
}

// replay is one example on a server of its own.
type replay struct {
	*servicetest.Server
	name, method, path string
	// body is the JSON of the request, nil without one.
	body any
	// rpc is the operation of the example.
	rpc protoreflect.Name
	l   workload
	// real are the ids in the emulator, by kind and id of the example. An id that appears twice stays one id, and a
	// duplicate in a list stays a duplicate.
	real map[string]string
	// spare are ids that were created in advance, by kind.
	spare map[string][]string
	// counts are how many ids of a kind were used.
	counts map[string]int
}

// newReplay reads an example, and applies corrections to it: pairs of a text and its replacement.
func newReplay(t *testing.T, rpcs []protoreflect.MethodDescriptor, folder string, e example, corrections ...string) *replay {
	t.Helper()
	method, _, ok := match(rpcs, e)
	if !ok {
		t.Fatalf("no rpc for %s %s", e.Request.Method, e.Request.Path)
	}
	text, err := os.ReadFile(filepath.Join(folder, e.name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var full struct {
		Request struct{ Body json.RawMessage }
	}
	if err := json.Unmarshal(text, &full); err != nil {
		t.Fatal(err)
	}
	r := &replay{Server: servicetest.New(t), name: e.name, method: e.Request.Method, path: e.Request.Path, rpc: method.Name(),
		real: make(map[string]string), spare: make(map[string][]string), counts: make(map[string]int)}
	var compact bytes.Buffer
	if len(full.Request.Body) > 0 {
		if err := json.Compact(&compact, full.Request.Body); err != nil {
			t.Fatal(err)
		}
	}
	raw := compact.String()
	for i := 0; i+1 < len(corrections); i += 2 {
		if !strings.Contains(r.path+raw, corrections[i]) {
			t.Errorf("%q is not in the example", corrections[i])
		}
		r.path = strings.ReplaceAll(r.path, corrections[i], corrections[i+1])
		raw = strings.ReplaceAll(raw, corrections[i], corrections[i+1])
	}
	if raw != "" {
		if err := json.Unmarshal([]byte(raw), &r.body); err != nil {
			t.Fatal(err)
		}
	}
	r.l = workloads[0]
	for _, l := range workloads[1:] {
		if strings.Contains(strings.ToLower(r.path), strings.ToLower(l.prefix)) || strings.Contains(r.path, "."+l.units[:4]) {
			r.l = l
		}
	}
	return r
}

// send creates what the example names, and sends the example with those ids.
func (r *replay) send() (status int, response string) {
	r.TB.Helper()
	r.seed()
	path := r.realPath()
	var text []byte
	if r.body != nil {
		var err error
		if text, err = json.Marshal(r.realBody(r.body, "", "", nil)); err != nil {
			r.TB.Fatal(err)
		}
	}
	status, response = r.http(r.method, path, text, "")
	// An id that nothing has would not change the status: the response would have a failed item or an empty list.
	for _, sign := range []string{`"@Core.DataModificationException"`, `"value":[]`, `"searchResults":[]`} {
		if strings.Contains(response, sign) {
			r.TB.Errorf("the response has %s: %s", sign, response)
		}
	}
	r.TB.Logf("%s %s %s", r.method, path, text)
	return status, response
}

// http sends to a path from the root of the host, because examples also have paths outside of the API.
func (r *replay) http(method, path string, body []byte, token string) (status int, text string) {
	r.TB.Helper()
	host := strings.TrimSuffix(r.Endpoint, "/v1.0")
	request, err := http.NewRequestWithContext(r.Context(), method, host+strings.ReplaceAll(path, " ", "%20"), bytes.NewReader(body))
	if err != nil {
		r.TB.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.TB.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		r.TB.Fatal(err)
	}
	return response.StatusCode, string(read)
}
