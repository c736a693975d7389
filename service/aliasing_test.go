package service_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/buffers"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// seededText is a text, escaped in one way or another.
func seededText(random *rand.Rand) string {
	return []string{"plain", `esc\"aped\\ \u0041\ud83d\ude00`, "Zoë", strings.Repeat("long ", random.IntN(60)), ""}[random.IntN(5)] + strconv.Itoa(random.IntN(1e9))
}

// seededPolicy writes a policy that its number decides.
func seededPolicy(seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 8))
	var settings []string
	for range random.IntN(6) {
		settings = append(settings, fmt.Sprintf(`{"interval":"%s","period":"P%dD"}`, seededText(random), random.IntN(100)))
	}
	return fmt.Sprintf(`{"@odata.type":"#microsoft.graph.exchangeProtectionPolicy","id":"%d","displayName":"%s","status":"%s","retentionSettings":[%s],`+
		`"createdBy":{"user":{"id":"%s"},"application":{"id":"%s"}},"lastModifiedBy":{"user":{"id":"%s"}},"createdDateTime":"2024-06-19T12:01:%02dZ"}`,
		seed, seededText(random), []string{"active", "new"}[random.IntN(2)], strings.Join(settings, ","), seededText(random), seededText(random),
		seededText(random), random.IntN(60))
}

// seededPage writes a page that its number decides: how many units, which of them are odd, and how texts are written.
func seededPage(seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 7))
	text := func() string { return seededText(random) }
	var b strings.Builder
	b.WriteString(`{"value":[`)
	for i := range random.IntN([]int{3, 30, 1000}[random.IntN(3)]) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"@odata.type":"#microsoft.graph.mailboxProtectionUnit","id":"%d-%d","policyId":"p","status":"protected","displayName":"%s",`+
			`"email":"%s","createdBy":{"user":{"id":"%s"}},"createdDateTime":"2024-06-19T12:01:%02dZ"`, seed, i, text(), text(), text(), random.IntN(60))
		switch random.IntN(40) {
		case 0:
			fmt.Fprintf(&b, `,"error":{"code":"%s","message":"%s"}`, []string{"new", "mailboxNotFound"}[random.IntN(2)], text())
		case 1:
			fmt.Fprintf(&b, `,"status":"%s"`, text())
		case 2:
			fmt.Fprintf(&b, `,"lastModifiedDateTime":"%s"`, text())
		}
		b.WriteByte('}')
	}
	b.WriteString(`]`)
	if random.IntN(4) > 0 {
		fmt.Fprintf(&b, `,"@odata.nextLink":"/solutions/backupRestore/protectionUnits?$skiptoken=%d"`, seed+1<<32)
	}
	b.WriteString(`}`)
	return b.String()
}

// serveSeeded sends the policy whose number is its id, or the page whose number is the size that the request asks for,
// or that its link has.
func serveSeeded(rw http.ResponseWriter, r *http.Request) {
	if _, id, ok := strings.Cut(r.URL.Path, "/protectionPolicies/"); ok {
		seed, _ := strconv.ParseUint(id, 10, 64)
		_, _ = rw.Write([]byte(seededPolicy(seed)))
		return
	}
	text := r.URL.Query().Get("$skiptoken")
	if text == "" {
		text = r.URL.Query().Get("$top")
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		rw.WriteHeader(http.StatusTeapot)
		return
	}
	body := seededPage(seed)
	switch seed % 11 {
	case 0:
		// In pieces, of unknown length.
		half := len(body) / 2
		_, _ = rw.Write([]byte(body[:half]))
		_ = http.NewResponseController(rw).Flush()
		_, _ = rw.Write([]byte(body[half:]))
	case 1:
		rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = rw.Write([]byte(body[:len(body)/2]))
		panic(http.ErrAbortHandler)
	case 2:
		_, _ = rw.Write([]byte(body[:len(body)*2/3]))
	default:
		_, _ = rw.Write([]byte(body))
	}
}

// hunt looks for memory that is used after it went back to a pool: buffers are overwritten when they go back, and used
// again at once. Many clients list pages and get policies at the same time, cancel calls and close connections. What
// they get has to be what a server without the wire path sends. It returns what was wrong, empty for nothing.
func hunt(t *testing.T, within time.Duration, newServices servicetest.Maker) string {
	t.Helper()
	defer buffers.Poison()()
	upstream := httptest.NewServer(http.HandlerFunc(serveSeeded))
	defer upstream.Close()
	endpoint := upstream.URL + "/v1.0"
	tested := servicetest.NewMade(t, newServices, endpoint, func(o *service.Options) { o.MessagePath = false })
	plain := servicetest.NewMade(t, withoutChance, endpoint, func(o *service.Options) { o.MessagePath = true })
	// No deadline: it would go to the server, and end calls there.
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", tested.Tenant))
	defer cancel()
	defer time.AfterFunc(within, cancel).Stop()
	var once sync.Once
	var found string
	report := func(format string, arguments ...any) {
		if ctx.Err() == nil {
			once.Do(func() { found = fmt.Sprintf(format, arguments...) })
			cancel()
		}
	}
	var clients sync.WaitGroup
	calls := make([]int, 8)
	for n := range calls {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), uint64(time.Now().UnixNano())))
			var conn *grpc.ClientConn
			for ; ctx.Err() == nil; calls[n]++ {
				if conn == nil {
					var err error
					if conn, err = grpc.NewClient(tested.Conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
						report("%v", err)
						return
					}
				}
				switch seed := uint64(1 + random.IntN(1<<31-1)); random.IntN(12) {
				case 0:
					// A call that ends at any moment.
					short, stop := context.WithTimeout(ctx, time.Duration(random.IntN(8000))*time.Microsecond)
					_, _ = listSeeded(short, conn, seed, "")
					stop()
				case 1:
					// A connection that ends with a call.
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						_, _ = listSeeded(ctx, conn, seed, "")
					}()
					closing := conn
					time.AfterFunc(time.Duration(random.IntN(8000))*time.Microsecond, func() { _ = closing.Close() })
					<-ended
					_ = conn.Close()
					conn = nil
				case 2, 3, 4:
					comparePolicies(ctx, conn, plain.Conn, seed, report)
				default:
					comparePages(ctx, conn, plain.Conn, seed, report)
				}
			}
			if conn != nil {
				_ = conn.Close()
			}
		})
	}
	clients.Wait()
	total := 0
	for _, n := range calls {
		total += n
	}
	t.Logf("%d rounds of calls", total)
	return found
}

// withoutChance makes services whose Statuses have no jitter, so that they can be compared.
func withoutChance(o service.Options) (*service.Server, error) {
	return service.NewWithoutChance(o, "incident")
}

func listSeeded(ctx context.Context, conn *grpc.ClientConn, seed uint64, token string) (*pb.ListMailboxProtectionUnitsResponse, error) {
	return pb.NewProtectionUnitServiceClient(conn).ListMailboxProtectionUnits(ctx, &pb.ListMailboxProtectionUnitsRequest{
		PageSize: int32(seed), PageToken: token,
	})
}

// comparePolicies compares a policy with that of a server without the wire path.
func comparePolicies(ctx context.Context, tested, plain *grpc.ClientConn, seed uint64, report func(string, ...any)) {
	get := func(conn *grpc.ClientConn) (*pb.GetProtectionPolicyResponse, error) {
		return pb.NewProtectionPolicyServiceClient(conn).GetProtectionPolicy(ctx, &pb.GetProtectionPolicyRequest{ProtectionPolicyId: strconv.FormatUint(seed, 10)})
	}
	got, err := get(tested)
	want, wantErr := get(plain)
	switch {
	case status.Code(err) == codes.Canceled || status.Code(wantErr) == codes.Canceled || ctx.Err() != nil:
	case err != nil || wantErr != nil:
		report("policy %d: %v, want %v", seed, err, wantErr)
	case !proto.Equal(got, want):
		report("policy %d: %v, want %v", seed, got, want)
	}
}

// comparePages compares a page and the next one with those of a server without the wire path.
func comparePages(ctx context.Context, tested, plain *grpc.ClientConn, seed uint64, report func(string, ...any)) {
	var token, plainToken string
	for range 2 {
		got, err := listSeeded(ctx, tested, seed, token)
		want, wantErr := listSeeded(ctx, plain, seed, plainToken)
		if status.Code(err) == codes.Canceled || status.Code(wantErr) == codes.Canceled || ctx.Err() != nil {
			return
		}
		if status.Code(err) != status.Code(wantErr) || status.Code(err) == codes.Internal {
			report("page %d: %v, want %v", seed, err, wantErr)
			return
		}
		token, plainToken = got.GetNextPageToken(), want.GetNextPageToken()
		if err != nil {
			return
		}
		if (token == "") != (plainToken == "") {
			report("page %d: next_page_token %q, want %q", seed, token, plainToken)
			return
		}
		got.NextPageToken, want.NextPageToken = "", ""
		if !proto.Equal(got, want) {
			for i, unit := range want.GetProtectionUnits() {
				if i < len(got.GetProtectionUnits()) && !proto.Equal(got.GetProtectionUnits()[i], unit) {
					report("page %d, unit %d: %v, want %v", seed, i, got.GetProtectionUnits()[i], unit)
				}
			}
			report("page %d differs: %d units, want %d", seed, len(got.GetProtectionUnits()), len(want.GetProtectionUnits()))
			return
		}
		if token == "" {
			return
		}
	}
}

// TestNoPooledMemoryIsAliased hunts for a while. The whole, with the race detector:
//
//	BACKUPSTORAGE_HUNT=10m go test -race -timeout 15m ./service -run PooledMemory
func TestNoPooledMemoryIsAliased(t *testing.T) {
	within := 2 * time.Second
	if text, ok := os.LookupEnv("BACKUPSTORAGE_HUNT"); ok {
		var err error
		if within, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	if found := hunt(t, within, withoutChance); found != "" {
		t.Error(found)
	}
}
