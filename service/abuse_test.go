package service_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// trap is a host that nobody may talk to.
func trap(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s went to another host, with Authorization of %d bytes", r.Method, r.URL, len(r.Header.Get("Authorization")))
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestNoLinkLeadsToAnotherHost(t *testing.T) {
	evil := trap(t)
	const path = graph.Root + "/protectionPolicies?$skiptoken=x"
	var link string
	var own atomic.Int64
	w := newWorldAnswering(t, func(rw http.ResponseWriter, r *http.Request) {
		own.Add(1)
		fmt.Fprintf(rw, `{"value":[],"@odata.nextLink":%q}`, strings.ReplaceAll(link, "OWN", r.Host))
	})
	port := evil[strings.LastIndexByte(evil, ':'):]
	for _, link = range []string{
		"http://" + evil + "/v1.0" + path,
		"https://OWN/v1.0" + path,
		"//" + evil + "/v1.0" + path,
		"http://OWN@" + evil + "/v1.0" + path,
		"http://127.0.0.1" + port + "/v1.0" + path,
		"http://localhost" + port + "/v1.0" + path,
		"http:" + evil + "/v1.0" + path,
		`http:\\` + evil + "/v1.0" + path,
		"http://OWN/v1.0/users?$skiptoken=x",
		"http://OWN/v1.0" + graph.Root + "/../../users",
		"http://OWN/v1.0" + graph.Root + "/%2e%2e/%2e%2e/users",
		"ftp://OWN/v1.0" + path,
		"file:///etc/passwd",
		"http://OWN/v1.0" + path + "#@" + evil,
	} {
		before := own.Load()
		response := new(pb.ListProtectionPoliciesResponse)
		o := w.call(policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest), response)
		if o.reason() != "GRAPH_RESPONSE_INVALID" || detail[*errdetails.ErrorInfo](o.status).GetMetadata()["problem"] != "nextLink" || own.Load() != before+1 {
			t.Errorf("%s: %v %v", link, o.status, response)
		}
		if text := o.status.String(); strings.Contains(text, "skiptoken") || strings.Contains(text, evil) || strings.Contains(w.log.String(), "skiptoken") {
			t.Errorf("%s is told to the caller or the log", link)
		}
	}
}

func TestNoRedirectLeadsToAnotherHost(t *testing.T) {
	evil := trap(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		w := newWorldAnswering(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Location", "http://"+evil+r.URL.Path)
			rw.Header().Set("Refresh", "0; url=http://"+evil+"/")
			rw.Header().Set("Content-Location", "http://"+evil+"/")
			rw.WriteHeader(status)
		})
		if o := read(w); o.reason() != "GRAPH_RESPONSE_INVALID" {
			t.Errorf("%d: %v", status, o.status)
		}
		if o := write(w); o.reason() != "OUTCOME_UNKNOWN" {
			t.Errorf("%d: %v", status, o.status)
		}
	}
}

func TestALoopOfPagesEnds(t *testing.T) {
	for name, next := range map[string]func(n int) int{
		"to itself": func(int) int { return 0 }, "of two": func(n int) int { return (n + 1) % 2 }, "of three": func(n int) int { return (n + 1) % 3 },
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			w := newWorldAnswering(t, func(rw http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				at, err := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
				if err != nil {
					at = -1
				}
				fmt.Fprintf(rw, `{"value":[],"@odata.nextLink":"http://%s/v1.0%s/protectionPolicies?$skiptoken=%d"}`, r.Host, graph.Root, next(at))
			})
			token := ""
			for range 10 {
				response := new(pb.ListProtectionPoliciesResponse)
				o := w.call(policies+"ListProtectionPolicies", &pb.ListProtectionPoliciesRequest{PageToken: token}, response)
				if token = response.GetNextPageToken(); o.status == nil {
					continue
				}
				problem := detail[*errdetails.ErrorInfo](o.status).GetMetadata()["problem"]
				if o.reason() != "GRAPH_RESPONSE_INVALID" || problem != "nextLink" && problem != "loop of pages" {
					t.Errorf("got %v", o.status)
				}
				return
			}
			t.Errorf("no end after %d requests", requests.Load())
		})
	}
}

// TestHostileAnswersCostLittleMemory looks at the heap while the server takes what no upstream should send.
func TestHostileAnswersCostLittleMemory(t *testing.T) {
	const most = 64 << 20
	// fill sends pieces until there are so many bytes, or the client has had enough.
	fill := func(rw io.Writer, head, piece string, size int64) {
		if _, err := io.WriteString(rw, head); err != nil {
			return
		}
		block := bytes.Repeat([]byte(piece), max(1, 32<<10/len(piece)))
		for sent := int64(0); sent < size; sent += int64(len(block)) {
			if _, err := rw.Write(block); err != nil {
				return
			}
		}
	}
	const huge = 2 << 30
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		reason string
	}{
		{"2 GiB with a length", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", strconv.Itoa(huge))
			fill(rw, `{"value":[`, "{},", huge)
		}, "GRAPH_RESPONSE_INVALID"},
		{"2 GiB without a length", func(rw http.ResponseWriter, _ *http.Request) { fill(rw, `{"value":[`, "{},", huge) }, "GRAPH_RESPONSE_INVALID"},
		{"2 GiB of an error", func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusNotFound)
			fill(rw, `{"error":{"code":"PolicyNotFound","message":"`, "x", huge)
		}, "POLICY_NOT_FOUND"},
		{"8 MiB of empty objects", func(rw http.ResponseWriter, _ *http.Request) { fill(rw, `{"value":[`, "{},", 8<<20-100<<10) }, "GRAPH_RESPONSE_INVALID"},
		{"8 MiB of brackets", func(rw http.ResponseWriter, _ *http.Request) { fill(rw, `{"value":`, "[", 8<<20-100<<10) }, "GRAPH_RESPONSE_INVALID"},
		{"8 MiB of unknown objects in each other", func(rw http.ResponseWriter, _ *http.Request) { fill(rw, ``, `{"a":`, 8<<20-100<<10) }, "GRAPH_RESPONSE_INVALID"},
		{"1 MiB of inner errors", func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusBadRequest)
			fill(rw, `{"error":`, `{"innerError":`, 1<<20-100<<10)
		}, "BAD_REQUEST"},
		{"1 MiB of details", func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusBadRequest)
			fill(rw, `{"error":{"details":[`, `{"code":"a"},`, 1<<20-100<<10)
		}, "BAD_REQUEST"},
		{"a packed bomb", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			packer := gzip.NewWriter(rw)
			fill(packer, `{"value":[`, "{},", 256<<20)
			packer.Close()
		}, "GRAPH_RESPONSE_INVALID"},
		{"a packed bomb as an error", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			rw.WriteHeader(http.StatusNotFound)
			packer := gzip.NewWriter(rw)
			fill(packer, `{"error":`, " ", 256<<20)
			packer.Close()
		}, "NOT_FOUND"},
		{"1 MiB of headers", func(rw http.ResponseWriter, _ *http.Request) {
			for n := range 1024 {
				rw.Header().Set(fmt.Sprintf("X-%d", n), strings.Repeat("x", 1<<10))
			}
		}, "GRAPH_RESPONSE_INVALID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorldAnswering(t, test.answer)
			// The connection is there before the heap is looked at.
			w.call("BackupRestoreService/NoSuchMethod", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
			runtime.GC()
			peak := watchHeap(t)
			response := new(pb.ListProtectionPoliciesResponse)
			o := w.call(policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest), response)
			if more := peak(); more > most {
				t.Errorf("%d MiB more", more>>20)
			} else {
				t.Logf("%.1f MiB more", float64(more)/(1<<20))
			}
			if o.code() == codes.OK || o.reason() != test.reason {
				t.Errorf("got %v, want %s", o.status, test.reason)
			}
		})
	}
}

// watchHeap samples the bytes of the heap, those that wait for the collector included, until the function that it
// returns is called, which tells how many more there were at most than at the beginning.
func watchHeap(t *testing.T) (peak func() int64) {
	t.Helper()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	first := read()
	most := first
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				most = max(most, read())
			case <-stop:
				most = max(most, read())
				return
			}
		}
	}()
	return func() int64 {
		close(stop)
		<-stopped
		return most - first
	}
}
