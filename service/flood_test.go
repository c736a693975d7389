package service_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// floodRights has a caller with the other tenant, and one without any that a test uses.
const floodRights = `version: 1
issuers:
  - {issuer: https://issuer.example, audience: backupstorage, principalClaim: sub, jwksFile: keys.json}
callers:
  - {principal: "oidc:https://issuer.example#owner", tenants: ["` + otherTenant + `"], role: admin}
  - {principal: "oidc:https://issuer.example#elsewhere", tenants: ["` + othersTenant + `"], role: admin}
`

// TestFloodWithoutRights has ten times as many calls, at once and in a second, as the server can take. They name a
// tenant without a right to it: that tenant's own calls succeed, and their p99 stays within twice its quiet value.
func TestFloodWithoutRights(t *testing.T) {
	// 100 calls in a second, each of which takes long beside what the machine itself may do to it.
	const maxCalls, delay = 20, 200 * time.Millisecond
	s := newIssuer(t)
	s.use(t, floodRights)
	s.Server = servicetest.NewRepeating(t, func(w http.ResponseWriter, r *http.Request) {
		wait(r.Context(), delay)
		io.WriteString(w, `{"value":[]}`)
	}, func(o *service.Options) {
		o.MaxCalls, o.Callers = maxCalls, s.callers
	})
	own := []string{"authorization", "Bearer " + s.token("owner", nil)}
	good := s.token("elsewhere", nil)
	unknownKey := `eyJhbGciOiJFUzI1NiIsImtpZCI6ImZsb29kIn0` + good[strings.IndexByte(good, '.'):]

	calls, compare := 20, true
	if slowed || testing.Short() {
		calls, compare = 10, false
	}
	quiet := measure(t, s.Server, calls, own...)
	for name, credential := range map[string][]string{
		"by strangers": nil, "by a caller of other tenants": {"authorization", "Bearer " + good}, "with an unknown key": {"authorization", "Bearer " + unknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var load sync.WaitGroup
			var denied, other atomic.Int64
			// Connections of its own: one has 250 calls at most.
			flood := *s.Server
			var err error
			if flood.Conn, err = grpc.NewClient(s.Conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
				t.Fatal(err)
			}
			defer flood.Conn.Close()
			for range 10 * maxCalls {
				load.Go(func() {
					for ctx.Err() == nil {
						call := metadata.AppendToOutgoingContext(ctx, append([]string{"x-tenant-id", otherTenant}, credential...)...)
						o := flood.CallContext(call, "ProtectionPolicyService/ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest), new(pb.ListProtectionPoliciesResponse))
						switch o.Reason() {
						case "CALLER_NOT_ALLOWED", "CALLER_UNAUTHENTICATED", "SERVER_OVERLOADED":
							denied.Add(1)
						default:
							if ctx.Err() == nil {
								other.Add(1)
							}
						}
						// All come back, though not at once: else they would only use up the machine.
						wait(ctx, delay)
					}
				})
			}
			defer load.Wait()
			defer cancel()
			for began := time.Now(); denied.Load() < 10*maxCalls; wait(ctx, 10*time.Millisecond) {
				if time.Since(began) > 20*time.Second {
					t.Fatal("there is no flood")
				}
			}
			before, began := denied.Load(), time.Now()
			loaded := measure(t, s.Server, calls, own...)
			for attempt := 1; attempt < 3 && loaded > 2*quiet && compare; attempt++ {
				loaded = min(loaded, measure(t, s.Server, calls, own...))
			}
			t.Logf("p99 %v quiet, %v in a flood of %.0f calls a second", quiet, loaded, float64(denied.Load()-before)/time.Since(began).Seconds())
			if loaded > 2*quiet && compare {
				t.Errorf("p99 is %v in a flood, and %v without", loaded, quiet)
			}
			if n := other.Load(); n > 0 {
				t.Errorf("%d calls of the flood ended in another way", n)
			}
		})
	}
}

// manyTenants is a file of n tenants; all files with other first digits have other ones.
func manyTenants(first, n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%08d-0000-4000-8000-%012d\n", first, i)
	}
	return []byte(b.String())
}

// The largest usual rights file, 20 callers of 10,000 tenants, takes little memory, is read fast, and is replaced under
// calls of which none fails.
func TestRightsOfTenThousandTenants(t *testing.T) {
	const tenants, callers = 10_000, 20
	s := newIssuer(t)
	s.Server = servicetest.NewOnHandler(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"value":[]}`) },
		func(o *service.Options) { o.Callers = s.callers })
	keys := s.jwks()
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, c := range []struct {
		name string
		sets int
		// most is how many bytes the file may take.
		most int64
	}{{"one set for all", 1, 2 << 20}, {"a set for each", callers, 24 << 20}} {
		files := map[string][]byte{"keys.json": keys}
		text := "version: 1\nissuers:\n  - {issuer: https://issuer.example, audience: backupstorage, principalClaim: sub, jwksFile: keys.json}\ntenantSets:\n"
		for set := range c.sets {
			text += fmt.Sprintf("  s%d: {file: s%d.txt}\n", set, set)
			files[fmt.Sprintf("s%d.txt", set)] = manyTenants(set, tenants)
		}
		text += "callers:\n"
		for n := range callers {
			text += fmt.Sprintf("  - {principal: \"oidc:https://issuer.example#caller-%d\", tenants: [\"set:s%d\"], role: reader}\n", n, n%c.sets)
		}
		read := func(name string) ([]byte, error) { return files[name], nil }
		before := heap()
		began := time.Now()
		file, err := s.callers.Parse([]byte(text), read)
		took := time.Since(began)
		if err != nil {
			t.Fatal(err)
		}
		grown := heap() - before
		t.Logf("%s: %d KiB of heap, read in %v", c.name, grown>>10, took)
		if grown > c.most {
			t.Errorf("%s: %d bytes of heap, want at most %d", c.name, grown, c.most)
		}
		if err := s.callers.Use(file); err != nil {
			t.Fatal(err)
		}
		// The file is replaced again and again while its callers call.
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		var made atomic.Int64
		for n := range 4 {
			token := s.token(fmt.Sprint("caller-", n), nil)
			load.Go(func() {
				for ctx.Err() == nil {
					o := s.call(methodNamed(t, "ListProtectionPolicies"), new(pb.ListProtectionPoliciesRequest), token, fmt.Sprintf("%08d-0000-4000-8000-%012d", n%c.sets, tenants-1))
					if o.Status != nil {
						t.Errorf("%s, caller %d: %v", c.name, n, o.Status)
						return
					}
					made.Add(1)
				}
			})
		}
		for replaced := 0; replaced < 10 || made.Load() < 200 && !t.Failed(); replaced++ {
			again, err := s.callers.Parse([]byte(text), read)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.callers.Use(again); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		load.Wait()
		runtime.KeepAlive(file)
	}
}
