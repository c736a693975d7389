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

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// trap starts a host that must not get any request. The client trusts its certificate.
func trap(t *testing.T, transport servicetest.Transport) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s went to another host, with Authorization of %d bytes", r.Method, r.URL, len(r.Header.Get("Authorization")))
	}))
	transport.Start(t, server)
	return server.Listener.Addr().String()
}

// transports are those between the server and its upstream.
var transports = []servicetest.Transport{servicetest.ClearText, servicetest.TLS}

func TestNoLinkLeadsToAnotherHost(t *testing.T) {
	for _, transport := range transports {
		t.Run(string(transport), func(t *testing.T) { checkNextLinks(t, transport) })
	}
}

func checkNextLinks(t *testing.T, transport servicetest.Transport) {
	evil := trap(t, transport)
	own, other := transport.Scheme()+"://OWN", "https://OWN"
	if transport == servicetest.TLS {
		// Over this link the token would be readable for everybody.
		other = "http://OWN"
	}
	const path = graph.Root + "/protectionPolicies?$skiptoken=x"
	var link string
	var pages atomic.Int64
	s := servicetest.NewOnHandlerOver(t, transport, func(rw http.ResponseWriter, r *http.Request) {
		pages.Add(1)
		fmt.Fprintf(rw, `{"value":[],"@odata.nextLink":%q}`, strings.ReplaceAll(link, "OWN", r.Host))
	})
	port := evil[strings.LastIndexByte(evil, ':'):]
	for _, link = range []string{
		transport.Scheme() + "://" + evil + "/v1.0" + path,
		other + "/v1.0" + path,
		"//" + evil + "/v1.0" + path,
		own + "@" + evil + "/v1.0" + path,
		transport.Scheme() + "://127.0.0.1" + port + "/v1.0" + path,
		transport.Scheme() + "://localhost" + port + "/v1.0" + path,
		transport.Scheme() + ":" + evil + "/v1.0" + path,
		transport.Scheme() + `:\\` + evil + "/v1.0" + path,
		own + "/v1.0/users?$skiptoken=x",
		own + "/v1.0" + graph.Root + "/../../users",
		own + "/v1.0" + graph.Root + "/%2e%2e/%2e%2e/users",
		"ftp://OWN/v1.0" + path,
		"file:///etc/passwd",
		own + "/v1.0" + path + "#@" + evil,
	} {
		before := pages.Load()
		response := new(pb.ListProtectionPoliciesResponse)
		o := s.Call(policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest), response)
		if o.Reason() != "GRAPH_RESPONSE_INVALID" || o.Info().GetMetadata()["cause"] != "next-link" || pages.Load() != before+1 {
			t.Errorf("%s: %v %v", link, o.Status, response)
		}
		if text := o.Status.String(); strings.Contains(text, "skiptoken") || strings.Contains(text, evil) || strings.Contains(s.Log.String(), "skiptoken") {
			t.Errorf("%s is in the Status or the log", link)
		}
	}
}

func TestNoRedirectLeadsToAnotherHost(t *testing.T) {
	for _, transport := range transports {
		evil, scheme := trap(t, transport), transport.Scheme()
		for _, status := range []int{301, 302, 303, 307, 308} {
			s := servicetest.NewOnHandlerOver(t, transport, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Location", scheme+"://"+evil+r.URL.Path)
				rw.Header().Set("Refresh", "0; url="+scheme+"://"+evil+"/")
				rw.Header().Set("Content-Location", scheme+"://"+evil+"/")
				rw.Header().Set("Alt-Svc", `h2="`+evil+`"; persist=1`)
				rw.WriteHeader(status)
			})
			if o := read(s); o.Reason() != "GRAPH_RESPONSE_INVALID" {
				t.Errorf("%s, %d: %v", transport, status, o.Status)
			}
			update := s.Try(workloads[0].updateRPC(), workloads[0].rename(unknownPolicy, "p"))
			// Writes of each method, with a body and without one.
			for _, o := range []*servicetest.Outcome{write(s), update, activateFails(s, unknownPolicy).call, deletePolicy(s, unknownPolicy).call} {
				if o.Reason() != "OUTCOME_UNKNOWN" {
					t.Errorf("%s, %d: %v", transport, status, o.Status)
				}
			}
		}
	}
}

func TestALoopOfPagesEnds(t *testing.T) {
	for name, next := range map[string]func(n int) int{
		"to itself": func(int) int { return 0 }, "of two": func(n int) int { return (n + 1) % 2 }, "of three": func(n int) int { return (n + 1) % 3 },
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, r *http.Request) {
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
				o := s.Call(policies+"ListProtectionPolicies", &pb.ListProtectionPoliciesRequest{PageToken: token}, response)
				if token = response.GetNextPageToken(); o.Status == nil {
					continue
				}
				problem := o.Info().GetMetadata()["cause"]
				if o.Reason() != "GRAPH_RESPONSE_INVALID" || problem != "next-link" && problem != "page-loop" {
					t.Errorf("got %v", o.Status)
				}
				return
			}
			t.Errorf("no end after %d requests", requests.Load())
		})
	}
}

// abuse is a response that no upstream should send, and the reason that the client has to get.
type abuse struct {
	name    string
	respond http.HandlerFunc
	reason  string
}

// abuses are responses in which the property list is a list. invalid is the reason for a response that cannot be used.
func abuses(list, invalid string) []abuse {
	head := `{"` + list + `":[`
	// fill sends pieces until so many bytes are sent, or the client closes the connection.
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
	return []abuse{
		{"2 GiB with a length", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", strconv.Itoa(huge))
			fill(rw, head, "{},", huge)
		}, invalid},
		{"2 GiB without a length", func(rw http.ResponseWriter, _ *http.Request) { fill(rw, head, "{},", huge) }, invalid},
		{"2 GiB of an error", func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusNotFound)
			fill(rw, `{"error":{"code":"PolicyNotFound","message":"`, "x", huge)
		}, "POLICY_NOT_FOUND"},
		{"8 MiB of empty objects", func(rw http.ResponseWriter, _ *http.Request) { fill(rw, head, "{},", 8<<20-100<<10) }, invalid},
		{"8 MiB of brackets", func(rw http.ResponseWriter, _ *http.Request) {
			fill(rw, strings.TrimSuffix(head, "["), "[", 8<<20-100<<10)
		}, invalid},
		{"8 MiB of unknown objects in each other", func(rw http.ResponseWriter, _ *http.Request) { fill(rw, ``, `{"a":`, 8<<20-100<<10) }, invalid},
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
			fill(packer, head, "{},", 256<<20)
			packer.Close()
		}, invalid},
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
			// The body is valid.
			io.WriteString(rw, head+"]}")
		}, invalid},
	}
}

// TestHostileResponsesCostLittleMemory measures the heap while the server reads responses that no upstream should send.
func TestHostileResponsesCostLittleMemory(t *testing.T) {
	for _, c := range []struct {
		name string
		over servicetest.Transport
		// version is the major version of HTTP.
		version       int
		call          func(*servicetest.Server) *servicetest.Outcome
		list, invalid string
	}{
		{"a read", servicetest.ClearText, 1, func(s *servicetest.Server) *servicetest.Outcome {
			return s.Try(policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest))
		}, "value", "GRAPH_RESPONSE_INVALID"},
		{"a write", servicetest.TLS, 2, func(s *servicetest.Server) *servicetest.Outcome {
			return s.Try(workloads[0].updateRPC(), workloads[0].rename(unknownPolicy, "p"))
		}, "mailboxProtectionUnits@delta", "OUTCOME_UNKNOWN"},
	} {
		for _, test := range abuses(c.list, c.invalid) {
			t.Run(c.name+"/"+test.name, func(t *testing.T) {
				s := servicetest.NewOnHandlerOver(t, c.over, func(rw http.ResponseWriter, r *http.Request) {
					if r.ProtoMajor != c.version {
						t.Errorf("%s came over %s", c.name, r.Proto)
					}
					test.respond(rw, r)
				})
				// The connection exists before the heap is measured.
				s.Call("BackupRestoreService/NoSuchMethod", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
				runtime.GC()
				peak := watchHeap(t)
				o := c.call(s)
				if more := peak(); more > 64<<20 {
					t.Errorf("%d MiB more", more>>20)
				} else {
					t.Logf("%.1f MiB more", float64(more)/(1<<20))
				}
				if o.Reason() != test.reason {
					t.Errorf("got %v, want %s", o.Status, test.reason)
				}
			})
		}
	}
}

// watchHeap samples the size of the heap, with what the collector has not freed yet. The function that it returns ends
// that, and returns by how many bytes the heap grew at most.
func watchHeap(t *testing.T) (peak func() int64) {
	t.Helper()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	first := read()
	peakBytes := first
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				peakBytes = max(peakBytes, read())
			case <-stop:
				peakBytes = max(peakBytes, read())
				return
			}
		}
	}()
	return func() int64 {
		close(stop)
		<-stopped
		return peakBytes - first
	}
}
