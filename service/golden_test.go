package service_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/internal/audit"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// notProduced are the reasons without a golden file, because a client cannot cause them.
var notProduced = map[pb.ErrorReason]string{
	pb.ErrorReason_CANCELLED: "A client that cancels makes the Status itself and does not read the server's.",
}

const (
	goldenRequest  = "0c111111-2222-4333-8444-555555555555"
	goldenIncident = "1d222222-2222-4333-8444-555555555555"
	goldenGraph    = "2e333333-2222-4333-8444-555555555555"
)

// headerLimit is how many bytes of headers a strict client accepts in one block, such as Python's and many proxies.
const headerLimit = 8192

var goldenStart = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// TestEveryReasonHasTheStatusOfItsGoldenFile causes every reason over real connections, and compares the whole Status
// and its trailers with testdata/status. The files are changed by hand: paste what the test prints into the file of the
// reason when it is right.
func TestEveryReasonHasTheStatusOfItsGoldenFile(t *testing.T) {
	const folder = "testdata/status"
	makers := goldenMakers(t)
	values := pb.ErrorReason(0).Descriptor().Values()
	files := make(map[string]bool)
	for i := 1; i < values.Len(); i++ {
		value, name := pb.ErrorReason(values.Get(i).Number()), string(values.Get(i).Name())
		produce := makers[name]
		delete(makers, name)
		if why := notProduced[value]; (why == "") != (produce != nil) {
			t.Errorf("%s: something produces it: %v; why nothing can: %q", name, produce != nil, why)
			continue
		}
		if produce == nil {
			continue
		}
		files[name+".txt"] = true
		t.Run(name, func(t *testing.T) {
			got := printed(t, produce(t))
			want, err := os.ReadFile(filepath.Join(folder, name+".txt"))
			if err != nil || got != string(want) {
				t.Errorf("differs from %s/%s.txt (%v). The Status is:\n%s", folder, name, err, got)
			}
			if !strings.Contains(got, "\n    reason: "+name+"\n") {
				t.Errorf("the reason is another one")
			}
		})
	}
	for name := range makers {
		t.Errorf("%s is produced and no reason", name)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !files[entry.Name()] {
			t.Errorf("%s/%s is of no reason that is produced", folder, entry.Name())
		}
	}
}

// goldenMaker causes a reason.
type goldenMaker func(t *testing.T) produced

// goldenMakers returns one maker for each reason. For a documented error it takes the first row that is possible.
func goldenMakers(t *testing.T) map[string]goldenMaker {
	t.Helper()
	makers := make(map[string]goldenMaker)
	wanted, producers := expectations(t), producers(t)
	for _, row := range documentedErrors(t) {
		reason, key := wanted[row.graphCode].reason, row.section+"/"+row.graphCode
		possible := slices.IndexFunc(row.operations, func(rpc string) bool { return impossible[key+"/"+rpc] == "" })
		if makers[reason] != nil || possible < 0 {
			continue
		}
		rpc := row.operations[possible]
		produce := producers[key+"/"+rpc]
		if produce == nil {
			produce = producers[key]
		}
		makers[reason] = func(t *testing.T) produced { return produce(newGoldenServer(t), workloadOf(rpc)) }
	}
	for _, row := range table(t, "http_status_errors.tsv") {
		status, err := strconv.Atoi(strings.NewReplacer("4xx", "418", "5xx", "520", "3xx", "307").Replace(row[0]))
		if err != nil {
			t.Fatal(err)
		}
		if row[1] == "GRAPH_RESPONSE_INVALID" || row[1] == "FORBIDDEN" {
			continue
		}
		makers[row[1]] = func(t *testing.T) produced { return goldenStatus(t, status, row[3] == "if told") }
	}
	for reason, produce := range goldenExamples {
		makers[reason] = func(t *testing.T) produced { return produce(newGoldenServer(t)) }
	}
	maps.Copy(makers, goldenOwn)
	return makers
}

// newGoldenServer starts a server whose clock, ids and delays are fixed, with a client that accepts few headers.
func newGoldenServer(t *testing.T, options ...servicetest.Option) *servicetest.Server {
	t.Helper()
	e := emulator.New(emulator.Options{Start: goldenStart, Stopped: true})
	upstream := httptest.NewServer(e)
	t.Cleanup(upstream.Close)
	s := newGoldenServerOn(t, upstream.URL+"/v1.0", options...)
	s.Emulator = e
	return s
}

func newGoldenServerOn(t *testing.T, upstream string, options ...servicetest.Option) *servicetest.Server {
	t.Helper()
	newServices := func(o service.Options) (*service.Server, error) { return service.NewWithoutChance(o, goldenIncident) }
	s := servicetest.NewMade(t, newServices, upstream, options...)
	conn, err := grpc.NewClient(s.Conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithMaxHeaderListSize(headerLimit),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, "x-request-id", goldenRequest), method, request, reply, conn, options...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s.Conn = conn
	return s
}

// goldenStatus reads a policy while the upstream responds with a status and with a code that the contract does not
// know.
func goldenStatus(t *testing.T, status int, retryAfter bool) produced {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", goldenStart.Format(http.TimeFormat))
		w.Header().Set("request-id", goldenGraph)
		w.Header().Set("client-request-id", r.Header.Get("client-request-id"))
		if retryAfter {
			w.Header().Set("Retry-After", "7")
		}
		w.WriteHeader(status)
		w.Write([]byte(`{"error":{"code":"SomethingNew","message":"What Graph says of it."}}`))
	}))
	t.Cleanup(upstream.Close)
	return getPolicy(newGoldenServerOn(t, upstream.URL+"/v1.0"), unknownPolicy)
}

// goldenExamples cause the reasons of codes that only published examples have.
var goldenExamples = map[string]func(s *servicetest.Server) produced{
	"INVALID_STATE_FOR_ACTIVATION": func(s *servicetest.Server) produced {
		policy := workloads[0].newPolicy(s, 1, 1).GetId()
		s.Fault(emulator.Fault{Operation: "POST /protectionPolicies/{id}/activate", Code: "invalidStateForActivation"})
		return activateFails(s, policy)
	},
	"OPERATION_NOT_ALLOWED": func(s *servicetest.Server) produced {
		workloads[0].activePolicy(s)
		s.User = 1
		return fails(s, units+"OffboardProtectionUnit", &pb.OffboardProtectionUnitRequest{ProtectionUnitId: workloads[0].unitID(s.Tenant, 1)})
	},
	"PROTECTION_RESOURCES_NOT_FOUND": func(s *servicetest.Server) produced {
		job := endedJob(s)
		return produced{call: new(servicetest.Outcome), embedded: job.GetError()}
	},
	"EMAIL_NOT_FOUND": func(s *servicetest.Server) produced {
		return produced{call: new(servicetest.Outcome), embedded: endedJob(s).GetFailedResources()[0].GetError()}
	},
	"SITE_URL_NOT_FOUND": func(s *servicetest.Server) produced {
		const service = "ProtectionUnitBulkAdditionJobService/"
		l := workloads[2]
		policy := l.activePolicy(s)
		job := servicetest.Must[pb.CreateSiteProtectionUnitsBulkAdditionJobResponse](s, service+"CreateSiteProtectionUnitsBulkAdditionJob",
			&pb.CreateSiteProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, DisplayName: "sites", SiteWebUrls: []string{"https://a.sharepoint.example/nowhere"}}).GetBulkAdditionJob()
		s.Emulator.Clock().Advance(time.Hour)
		ended := servicetest.Must[pb.GetSiteProtectionUnitsBulkAdditionJobResponse](s, service+"GetSiteProtectionUnitsBulkAdditionJob",
			&pb.GetSiteProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, BulkAdditionJobId: job.GetId()}).GetBulkAdditionJob()
		return produced{call: new(servicetest.Outcome), embedded: ended.GetFailedResources()[0].GetError()}
	},
	"BULK_RESTORE_ARTIFACTS_NOT_RESOLVED": func(s *servicetest.Server) produced {
		return produced{call: new(servicetest.Outcome), embedded: endedBulkRequest(s).GetError()}
	},
	"USER_NOT_BACKEDUP": func(s *servicetest.Server) produced {
		return produced{call: new(servicetest.Outcome), embedded: endedBulkRequest(s).GetFailedResources()[0].GetError()}
	},
	"INVALID_GROUP_ID": func(s *servicetest.Server) produced {
		l := workloads[0]
		policy := l.activePolicy(s)
		expression := "memberOf -any (group.id -in ['" + unknown + "'])"
		created := servicetest.Must[pb.CreateMailboxInclusionRuleResponse](s, l.ruleRPC("Create"), ruleRequest(policy, expression, false)).GetInclusionRule()
		s.Emulator.Clock().Advance(time.Hour)
		rule := servicetest.Must[pb.GetMailboxInclusionRuleResponse](s, l.ruleRPC("Get"), ruleID(policy, created.GetId())).GetInclusionRule()
		return produced{call: new(servicetest.Outcome), embedded: rule.GetError()}
	},
	"DIRECTORY_CONCURRENCY_VIOLATION": func(s *servicetest.Server) produced {
		s.Fault(emulator.Fault{Operation: "POST /exchangeProtectionPolicies", Code: "Directory_ConcurrencyViolation"})
		return fails(s, workloads[0].createRPC(), workloads[0].create(s, "p", 1, 1))
	},
	"INVALID_ITEM": func(s *servicetest.Server) produced {
		l := workloads[0]
		policy := l.activePolicy(s)
		s.Fault(emulator.Fault{Operation: "PATCH /exchangeProtectionPolicies/{id}", InBand: &emulator.InBandError{Code: "Invalid", Message: "The item cannot be added."}})
		return updateItem(s, l, l.update(s, policy, 10, 10))
	},
}

// endedJob is a job that could not find one address.
func endedJob(s *servicetest.Server) *pb.ProtectionUnitBulkAdditionJob {
	s.TB.Helper()
	const service = "ProtectionUnitBulkAdditionJobService/"
	policy := workloads[0].activePolicy(s)
	job := servicetest.Must[pb.CreateMailboxProtectionUnitsBulkAdditionJobResponse](s, service+"CreateMailboxProtectionUnitsBulkAdditionJob",
		&pb.CreateMailboxProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, DisplayName: "mailboxes", Mailboxes: []string{"nobody@a.example"}}).GetBulkAdditionJob()
	s.Emulator.Clock().Advance(time.Hour)
	return servicetest.Must[pb.GetMailboxProtectionUnitsBulkAdditionJobResponse](s, service+"GetMailboxProtectionUnitsBulkAdditionJob",
		&pb.GetMailboxProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, BulkAdditionJobId: job.GetId()}).GetBulkAdditionJob()
}

// endedBulkRequest is a request to restore a user who has no backup.
func endedBulkRequest(s *servicetest.Server) *pb.RestoreArtifactBulkAdditionRequest {
	s.TB.Helper()
	l := workloads[0]
	backedUp(s)
	request := l.bulkRequest(s, l.emptyDraft(s))
	request.DirectoryObjectIds, request.Mailboxes = nil, []string{"nobody@a.example"}
	made := servicetest.Must[pb.CreateMailboxRestoreArtifactsBulkAdditionRequestResponse](s, l.bulkRPC("Create"), request).GetBulkAdditionRequest()
	servicetest.Must[pb.ActivateRestoreSessionResponse](s, "RestoreSessionService/ActivateRestoreSession",
		&pb.ActivateRestoreSessionRequest{RestoreSessionId: request.GetRestoreSessionId()})
	s.Emulator.Clock().Advance(time.Hour)
	return servicetest.Must[pb.GetMailboxRestoreArtifactsBulkAdditionRequestResponse](s, l.bulkRPC("Get"), bulkID(request.GetRestoreSessionId(), made.GetId())).GetBulkAdditionRequest()
}

// goldenOwn cause the server's own reasons, and reasons of Graph's that the server finds before it asks Graph.
var goldenOwn = map[string]goldenMaker{
	"TENANT_REQUIRED": func(t *testing.T) produced {
		s := newGoldenServer(t)
		s.Tenant = ""
		return getPolicy(s, unknownPolicy)
	},
	"INVALID_TENANT_ID": func(t *testing.T) produced {
		s := newGoldenServer(t)
		s.Tenant = notGUID
		return getPolicy(s, unknownPolicy)
	},
	"INVALID_RESOURCE_ID": func(t *testing.T) produced {
		return fails(newGoldenServer(t), apps+"GetServiceApp", &pb.GetServiceAppRequest{ServiceAppId: "a/b"})
	},
	"INVALID_PAGE_TOKEN": func(t *testing.T) produced {
		return fails(newGoldenServer(t), policies+"ListProtectionPolicies", &pb.ListProtectionPoliciesRequest{PageToken: "made up"})
	},
	"INVALID_PAGE_SIZE": func(t *testing.T) produced {
		return fails(newGoldenServer(t), policies+"ListProtectionPolicies", &pb.ListProtectionPoliciesRequest{PageSize: -1})
	},
	"INVALID_REQUEST": func(t *testing.T) produced {
		return fails(newGoldenServer(t), sessions+"UpdateOneDriveForBusinessRestoreSession", &pb.UpdateOneDriveForBusinessRestoreSessionRequest{
			RestoreSessionId: unknown, RemoveDriveRestoreArtifactIds: []string{"1"}, RemoveGranularDriveRestoreArtifactIds: []string{"2"},
		})
	},
	"DELEGATED_TOKEN_REQUIRED": func(t *testing.T) produced {
		return fails(newGoldenServer(t), units+"OffboardProtectionUnit", &pb.OffboardProtectionUnitRequest{ProtectionUnitId: unknown})
	},
	"DELEGATED_TOKEN_REJECTED": withoutToken(graph.TokenError{Kind: graph.TokenAssertionRefused, Cause: graph.CauseUserAssertion, AADSTS: 500133}),
	"INSUFFICIENT_CLAIMS":      withoutToken(graph.TokenError{Kind: graph.TokenClaimsRefused}),
	"CALLER_UNAUTHENTICATED": func(t *testing.T) produced {
		i := newIssuer(t)
		return getPolicy(newGoldenServer(t, func(o *service.Options) { o.Callers = i.callers }), unknownPolicy)
	},
	"CALLER_NOT_ALLOWED": func(t *testing.T) produced {
		i := newIssuer(t)
		s := newGoldenServer(t, func(o *service.Options) { o.Callers = i.callers })
		ctx := metadata.AppendToOutgoingContext(s.Context(), "authorization", "Bearer "+i.token("stranger", nil))
		return produced{call: s.CallContext(ctx, policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy}, new(pb.GetProtectionPolicyResponse))}
	},
	"AUDIT_UNAVAILABLE": func(t *testing.T) produced {
		lines, err := audit.Open(audit.Options{Mode: audit.Required, Path: filepath.Join(t.TempDir(), "audit")})
		if err != nil {
			t.Fatal(err)
		}
		// Nothing can be written to it any more.
		lines.Close()
		return fails(newGoldenServer(t, func(o *service.Options) { o.Audit = lines }), workloads[0].createRPC(), workloads[0].create(newGoldenServer(t), "p", 1, 1))
	},
	"IDEMPOTENCY_KEY_REUSED": func(t *testing.T) produced {
		s := newGoldenServer(t, withKeys)
		create(s, "a", goldenKey)
		return fails(s, createPolicy, named("b", goldenKey))
	},
	"IDEMPOTENCY_KEY_EXPIRED": func(t *testing.T) produced {
		return fails(newGoldenServer(t, withKeys), createPolicy, named("a", "018f0000-0000-7000-8000-000000000000"))
	},
	"IDEMPOTENCY_KEY_IN_USE": func(t *testing.T) produced {
		// It has no time to wait until the lease of the first call is over.
		s := newGoldenServer(t, inUse)
		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		return produced{call: s.CallContext(ctx, createPolicy, named("a", goldenKey), new(pb.CreateExchangeProtectionPolicyResponse))}
	},
	"IDEMPOTENCY_STORE_UNAVAILABLE": func(t *testing.T) produced {
		return fails(newGoldenServer(t, withoutStore), createPolicy, named("a", goldenKey))
	},
	"STREAM_RESUME": func(t *testing.T) produced {
		s := newGoldenServer(t)
		s.Services.Drain()
		o := new(servicetest.Outcome)
		ctx := metadata.AppendToOutgoingContext(s.Context(), "x-request-id", goldenRequest)
		stream, err := pb.NewProtectionUnitStreamServiceClient(s.Conn).StreamMailboxProtectionUnits(ctx, new(pb.ListMailboxProtectionUnitsRequest))
		if err == nil {
			_, err = stream.Recv()
		}
		o.Status, o.Trailer = status.Convert(err).Proto(), stream.Trailer()
		return produced{call: o}
	},
	"CLOUD_NOT_SUPPORTED":           withoutToken(graph.TokenError{Kind: graph.TokenCloud}),
	"GRAPH_CREDENTIALS_UNAVAILABLE": withoutToken(graph.TokenError{Kind: graph.TokenUnavailable}),
	"GRAPH_UNREACHABLE": func(t *testing.T) produced {
		return getPolicy(newGoldenServerOn(t, "http://127.0.0.1:1/v1.0"), unknownPolicy)
	},
	"GRAPH_RESPONSE_INVALID": func(t *testing.T) produced {
		s := newGoldenServer(t)
		s.Fault(emulator.Fault{Operation: "GET /protectionPolicies/{id}", Redirect: "https://elsewhere.example/"})
		return getPolicy(s, unknownPolicy)
	},
	"OUTCOME_UNKNOWN": func(t *testing.T) produced {
		s := newGoldenServer(t)
		s.Fault(emulator.Fault{Operation: "POST /exchangeProtectionPolicies", Status: http.StatusGatewayTimeout, AfterWork: true})
		return fails(s, workloads[0].createRPC(), workloads[0].create(s, "p", 1, 1))
	},
	"DEADLINE_EXCEEDED": func(t *testing.T) produced {
		s := newGoldenServer(t)
		for range 100 {
			// So little time is left that the server does not begin the call. Sometimes too little is left for its
			// response: then the client's runtime makes a Status without details.
			ctx, cancel := context.WithTimeout(s.Context(), 95*time.Millisecond)
			call := s.CallContext(ctx, policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy}, new(pb.GetProtectionPolicyResponse))
			cancel()
			if len(call.Status.GetDetails()) > 0 {
				return produced{call: call}
			}
		}
		t.Fatal("no typed response in time")
		return produced{}
	},
	"SERVER_OVERLOADED": func(t *testing.T) produced {
		reached, release := make(chan struct{}), make(chan struct{})
		upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(reached)
			<-release
		}))
		t.Cleanup(upstream.Close)
		s := newGoldenServerOn(t, upstream.URL+"/v1.0", func(o *service.Options) { o.MaxCalls = 1 })
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			getPolicy(s, unknownPolicy)
		}()
		<-reached
		got := getPolicy(s, unknownPolicy)
		close(release)
		<-ended
		return got
	},
	"UNKNOWN_METHOD": func(t *testing.T) produced {
		return fails(newGoldenServer(t), policies+"NoSuchMethod", new(pb.GetBackupRestoreRequest))
	},
	"INTERNAL": func(t *testing.T) produced {
		return getPolicy(newGoldenServer(t, withTokens(t, servicetest.TokenFunc(func() (string, error) { panic("a fault of the server") }))), unknownPolicy)
	},
}

func withTokens(t *testing.T, source graph.TokenSource) servicetest.Option {
	return func(o *service.Options) {
		client, err := graph.New(graph.Options{Endpoint: "http://127.0.0.1:1/v1.0", Tokens: source})
		if err != nil {
			t.Fatal(err)
		}
		o.Graph = client
	}
}

// withoutToken makes a call for which no token can be had.
func withoutToken(why graph.TokenError) goldenMaker {
	return func(t *testing.T) produced {
		return getPolicy(newGoldenServer(t, withTokens(t, servicetest.TokenFunc(func() (string, error) { return "", &why }))), unknownPolicy)
	}
}

// printed writes a Status and its trailers in a form for people.
func printed(t *testing.T, got produced) string {
	t.Helper()
	s, b := got.embedded, new(strings.Builder)
	if s != nil {
		if got.call.Status != nil {
			t.Fatalf("the call failed: %v", got.call.Status)
		}
		b.WriteString("Embedded in a resource of a call that is OK.\n")
	} else if s = got.call.Status; s == nil {
		t.Fatal("the call succeeded")
	}
	fmt.Fprintf(b, "code: %s\nmessage: %s\ndetails:\n", code.Code(s.GetCode()), s.GetMessage())
	for _, packed := range s.GetDetails() {
		message, err := packed.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "  %s\n", message.ProtoReflect().Descriptor().FullName())
		printFields(b, message.ProtoReflect(), "    ")
	}
	if got.embedded == nil {
		b.WriteString("trailers:\n")
		for _, key := range slices.Sorted(maps.Keys(got.call.Trailer)) {
			if key != "grpc-status-details-bin" {
				fmt.Fprintf(b, "  %s: %s\n", key, strings.Join(got.call.Trailer[key], ", "))
			}
		}
		if len(got.call.Header) > 0 {
			fmt.Fprintf(b, "header: %v\n", got.call.Header)
		}
	}
	return b.String()
}

// printFields writes the fields that are set, in the order of the contract, and maps in the order of their keys.
func printFields(b *strings.Builder, m protoreflect.Message, indent string) {
	for i := range m.Descriptor().Fields().Len() {
		field := m.Descriptor().Fields().Get(i)
		if !m.Has(field) {
			continue
		}
		value := m.Get(field)
		switch {
		case field.IsMap():
			fmt.Fprintf(b, "%s%s:\n", indent, field.Name())
			entries := make(map[string]string)
			value.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				entries[k.String()] = v.String()
				return true
			})
			for _, key := range slices.Sorted(maps.Keys(entries)) {
				fmt.Fprintf(b, "%s  %s: %s\n", indent, key, entries[key])
			}
		case field.IsList():
			for j := range value.List().Len() {
				fmt.Fprintf(b, "%s%s[%d]:\n", indent, field.Name(), j)
				printFields(b, value.List().Get(j).Message(), indent+"  ")
			}
		case field.Message() != nil:
			if d, ok := value.Message().Interface().(*durationpb.Duration); ok {
				fmt.Fprintf(b, "%s%s: %v\n", indent, field.Name(), d.AsDuration())
				continue
			}
			fmt.Fprintf(b, "%s%s:\n", indent, field.Name())
			printFields(b, value.Message(), indent+"  ")
		default:
			fmt.Fprintf(b, "%s%s: %s\n", indent, field.Name(), value.String())
		}
	}
}
