//go:build unix && !race

// The CPU time of a process is read with a Unix call, and the race detector would change it.

package service_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// The test program runs twice more, as the upstream and as the server, so that the CPU time of the server's process is
// that of the server alone. The environment says which of the two a process is.
const (
	processVariable  = "BACKUPSTORAGE_TEST_PROCESS"
	upstreamVariable = "BACKUPSTORAGE_TEST_UPSTREAM"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(processVariable) {
	case "":
		checkLeaks(m)
	case "upstream":
		err = runUpstream()
	case "server":
		err = runServer(os.Getenv(upstreamVariable))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The policies that a call can ask for.
var (
	smallSuccess = emulator.SeededPolicyID(emulator.TenantA, emulator.Exchange)
	notFound     = unknownPolicy
)

// bulkRefusal is the id of a policy for which the upstream responds with an error that has 50 details.
const bulkRefusal = "bulk"

// runUpstream serves the emulator with one policy.
func runUpstream() error {
	e := emulator.New(emulator.Options{Stopped: true})
	err := e.Seed(emulator.Seed{Tenant: emulator.TenantA, Users: 10, ServiceStatus: "enabled", Policies: []emulator.PolicySeed{
		{Workload: emulator.Exchange, Units: 2},
	}})
	if err != nil {
		return err
	}
	var bulk strings.Builder
	for n := range 50 {
		fmt.Fprintf(&bulk, `,{"code":"ProtectionUnitAlreadyExists","message":"The mailbox of user %02d is protected by another policy and cannot be added to this one as well.","target":"e0000001-67ef-4440-8a1c-%012d"}`, n, n)
	}
	body := `{"error":{"code":"InvalidProtectionUnitId","message":"Some of the protection units cannot be added.","details":[` + bulk.String()[1:] + `]}}`
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/"+bulkRefusal) {
			e.ServeHTTP(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("request-id", "5d1e3f5a-0000-4000-8000-000000000001")
		rw.Header().Set("client-request-id", r.Header.Get("client-request-id"))
		rw.WriteHeader(http.StatusBadRequest)
		io.WriteString(rw, body)
	}))
	defer upstream.Close()
	return reportCPUTime(upstream.URL + "/v1.0")
}

// runServer serves the services on an upstream, without a log.
func runServer(upstream string) error {
	client, err := graph.New(graph.Options{Endpoint: upstream, Tokens: graph.Unsigned{}, UserAgent: "test"})
	if err != nil {
		return err
	}
	_, address, stop, err := servicetest.Serve(service.Options{Graph: client, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer stop()
	return reportCPUTime(address)
}

// reportCPUTime prints the address at which the process serves. Then it prints, for each line that it reads, the CPU
// time of the process so far in microseconds. It returns at the end of its input.
func reportCPUTime(address string) error {
	fmt.Println(address)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			return err
		}
		fmt.Println(time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Microseconds())
	}
	return nil
}

// process is another process of the test program.
type process struct {
	tb      testing.TB
	input   io.WriteCloser
	output  *bufio.Scanner
	address string
}

func startProcess(tb testing.TB, environment ...string) *process {
	tb.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), environment...)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		input.Close()
		command.Wait()
	})
	p := &process{tb: tb, input: input, output: bufio.NewScanner(output)}
	p.address = p.line()
	return p
}

func (p *process) line() string {
	p.tb.Helper()
	if !p.output.Scan() {
		p.tb.Fatalf("the process ended: %v", p.output.Err())
	}
	return p.output.Text()
}

// cpu returns the CPU time, user and system, that the process has taken so far.
func (p *process) cpu() time.Duration {
	p.tb.Helper()
	io.WriteString(p.input, "\n")
	microseconds, err := strconv.Atoi(p.line())
	if err != nil {
		p.tb.Fatal(err)
	}
	return time.Duration(microseconds) * time.Microsecond
}

// responseKind is a kind of response to GetProtectionPolicy.
type responseKind struct {
	name, policy string
	code         codes.Code
}

var responseKinds = []responseKind{
	{"success", smallSuccess, codes.OK},
	{"not found", notFound, codes.NotFound},
	{"50 details", bulkRefusal, codes.InvalidArgument},
}

// costs is the CPU time of the server's process.
type costs struct {
	// call is the time for one call of each kind, ratio that time relative to a successful call. Both are medians of
	// several rounds.
	call  []time.Duration
	ratio []float64
}

// callCosts measures all kinds in each round, so that a disturbance on the machine affects all of them.
func callCosts(tb testing.TB, rounds, calls int) costs {
	tb.Helper()
	upstream := startProcess(tb, processVariable+"=upstream")
	server := startProcess(tb, processVariable+"=server", upstreamVariable+"="+upstream.address)
	conn, err := grpc.NewClient(server.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	client := pb.NewProtectionPolicyServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(tb.Context(), "x-tenant-id", emulator.TenantA)
	perCall := make([][]time.Duration, len(responseKinds))
	ratios := make([][]float64, len(responseKinds))
	// The first rounds warm up.
	for round := range rounds + 2 {
		for i, kind := range responseKinds {
			before := server.cpu()
			callMany(ctx, tb, client, kind, calls)
			cost := (server.cpu() - before) / time.Duration(calls)
			if round < 2 {
				continue
			}
			perCall[i] = append(perCall[i], cost)
			ratios[i] = append(ratios[i], float64(cost)/float64(max(perCall[0][len(perCall[0])-1], 1)))
		}
	}
	var all costs
	for i := range responseKinds {
		all.call = append(all.call, median(perCall[i]))
		all.ratio = append(all.ratio, median(ratios[i]))
	}
	return all
}

func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// callMany makes calls of one kind, 16 at a time.
func callMany(ctx context.Context, tb testing.TB, client pb.ProtectionPolicyServiceClient, kind responseKind, calls int) {
	const callers = 16
	var wait sync.WaitGroup
	for caller := range callers {
		wait.Go(func() {
			for n := caller; n < calls; n += callers {
				_, err := client.GetProtectionPolicy(ctx, &pb.GetProtectionPolicyRequest{ProtectionPolicyId: kind.policy})
				if status.Code(err) != kind.code {
					tb.Errorf("%s: %v", kind.name, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// BenchmarkErrorCall measures the CPU time that an error costs the server, next to a small successful call of the same
// rpc. Server, upstream and client are separate processes:
//
//	go test ./service -run '^$' -bench ErrorCall -benchtime 1x
func BenchmarkErrorCall(b *testing.B) {
	for b.Loop() {
		all := callCosts(b, 60, 500)
		for i, kind := range responseKinds {
			name := strings.ReplaceAll(kind.name, " ", "-")
			b.ReportMetric(float64(all.call[i].Microseconds()), "µs-CPU/"+name)
			if i > 0 {
				b.ReportMetric(all.ratio[i], "ratio/"+name)
			}
		}
	}
}

func TestAnErrorCostsLittleMoreThanASmallSuccess(t *testing.T) {
	// The body of an error with 50 details is many times as long as that of a success.
	maxRatio := []float64{1, 1.5, 1.75}
	var all costs
	for range 4 {
		all = callCosts(t, 11, 150)
		if all.ratio[1] <= maxRatio[1] && all.ratio[2] <= maxRatio[2] {
			return
		}
	}
	t.Errorf("success, not found and 50 details cost %v, which is %.2f of a success, want %v at most", all.call, all.ratio, maxRatio)
}
