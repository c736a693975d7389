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
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
)

// notProduced are the reasons without a golden file, because no call of a client can bring them about.
var notProduced = map[pb.ErrorReason]string{
	pb.ErrorReason_CALLER_UNAUTHENTICATED: "The server does not ask its callers who they are yet.",
	pb.ErrorReason_CALLER_NOT_ALLOWED:     "The server does not ask its callers who they are yet.",
	pb.ErrorReason_CANCELLED:              "A client that cancels makes the Status itself and does not read the server's.",
}

const (
	goldenRequest  = "0c111111-2222-4333-8444-555555555555"
	goldenIncident = "1d222222-2222-4333-8444-555555555555"
	goldenGraph    = "2e333333-2222-4333-8444-555555555555"
)

// headerLimit is what a careful client takes of header in one block, in bytes: that of Python and of many proxies.
const headerLimit = 8192

var goldenStart = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// TestEveryReasonHasTheStatusOfItsGoldenFile brings every reason about, over real connections, and holds the whole
// Status and its trailers against testdata/status. The files are changed by hand: what the test prints for a reason
// can be pasted into its file when it is right.
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

// goldenMaker brings a reason about.
type goldenMaker func(t *testing.T) produced

// goldenMakers are one way for each reason. Of a documented error it is that of the first row in which it can come
// about.
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
		makers[reason] = func(t *testing.T) produced { return produce(newGoldenWorld(t), workloadOf(rpc)) }
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
		makers[reason] = func(t *testing.T) produced { return produce(newGoldenWorld(t)) }
	}
	maps.Copy(makers, goldenOwn)
	return makers
}

// newGoldenWorld is a world in which nothing is left to chance or to the clock, with a client that takes little header.
func newGoldenWorld(t *testing.T, options ...option) *world {
	t.Helper()
	e := emulator.New(emulator.Options{Start: goldenStart, Stopped: true})
	upstream := httptest.NewServer(e)
	t.Cleanup(upstream.Close)
	w := newGoldenWorldOn(t, upstream.URL+"/v1.0", options...)
	w.emulator = e
	return w
}

func newGoldenWorldOn(t *testing.T, upstream string, options ...option) *world {
	t.Helper()
	w := newWorldMade(t, func(o service.Options) (*service.Server, error) { return service.NewWithoutChance(o, goldenIncident) },
		graph.Options{Endpoint: upstream, Repeats: -1}, options...)
	conn, err := grpc.NewClient(w.conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithMaxHeaderListSize(headerLimit),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, "x-request-id", goldenRequest), method, request, reply, conn, options...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w.conn = conn
	return w
}

// goldenStatus reads while the upstream answers with a status and a code that the contract does not know.
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
	return newGoldenWorldOn(t, upstream.URL+"/v1.0").getPolicy(unknownPolicy)
}

// goldenExamples are the reasons of codes that stand in published examples only.
var goldenExamples = map[string]func(w *world) produced{
	"INVALID_STATE_FOR_ACTIVATION": func(w *world) produced {
		policy := workloads[0].newPolicy(w, 1, 1).GetId()
		w.fault(emulator.Fault{Operation: "POST /protectionPolicies/{id}/activate", Code: "invalidStateForActivation"})
		return w.activateFails(policy)
	},
	"OPERATION_NOT_ALLOWED": func(w *world) produced {
		workloads[0].activePolicy(w)
		return w.fails(units+"OffboardProtectionUnit", &pb.OffboardProtectionUnitRequest{ProtectionUnitId: workloads[0].unitID(w.tenant, 1)})
	},
	"PROTECTION_RESOURCES_NOT_FOUND": func(w *world) produced {
		job := w.endedJob()
		return produced{call: new(outcome), inside: job.GetError()}
	},
	"EMAIL_NOT_FOUND": func(w *world) produced {
		return produced{call: new(outcome), inside: w.endedJob().GetFailedResources()[0].GetError()}
	},
	"SITE_URL_NOT_FOUND": func(w *world) produced {
		const service = "ProtectionUnitBulkAdditionJobService/"
		l := workloads[2]
		policy := l.activePolicy(w)
		job := must[pb.CreateSiteProtectionUnitsBulkAdditionJobResponse](w, service+"CreateSiteProtectionUnitsBulkAdditionJob",
			&pb.CreateSiteProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, DisplayName: "sites", SiteWebUrls: []string{"https://a.sharepoint.example/nowhere"}}).GetBulkAdditionJob()
		w.emulator.Clock().Advance(time.Hour)
		ended := must[pb.GetSiteProtectionUnitsBulkAdditionJobResponse](w, service+"GetSiteProtectionUnitsBulkAdditionJob",
			&pb.GetSiteProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, BulkAdditionJobId: job.GetId()}).GetBulkAdditionJob()
		return produced{call: new(outcome), inside: ended.GetFailedResources()[0].GetError()}
	},
	"BULK_RESTORE_ARTIFACTS_NOT_RESOLVED": func(w *world) produced {
		return produced{call: new(outcome), inside: w.endedBulkRequest().GetError()}
	},
	"USER_NOT_BACKEDUP": func(w *world) produced {
		return produced{call: new(outcome), inside: w.endedBulkRequest().GetFailedResources()[0].GetError()}
	},
	"INVALID_GROUP_ID": func(w *world) produced {
		l := workloads[0]
		policy := l.activePolicy(w)
		expression := "memberOf -any (group.id -in ['" + unknown + "'])"
		created := must[pb.CreateMailboxInclusionRuleResponse](w, l.ruleRPC("Create"), ruleRequest(policy, expression, false)).GetInclusionRule()
		w.emulator.Clock().Advance(time.Hour)
		rule := must[pb.GetMailboxInclusionRuleResponse](w, l.ruleRPC("Get"), ruleID(policy, created.GetId())).GetInclusionRule()
		return produced{call: new(outcome), inside: rule.GetError()}
	},
	"INVALID_ITEM": func(w *world) produced {
		l := workloads[0]
		policy := l.activePolicy(w)
		w.fault(emulator.Fault{Operation: "PATCH /exchangeProtectionPolicies/{id}", InBand: &emulator.InBandError{Code: "Invalid", Message: "The item cannot be added."}})
		return w.item(l, l.update(w, policy, 10, 10))
	},
}

// endedJob is a job that could not find one address.
func (w *world) endedJob() *pb.ProtectionUnitBulkAdditionJob {
	w.t.Helper()
	const service = "ProtectionUnitBulkAdditionJobService/"
	policy := workloads[0].activePolicy(w)
	job := must[pb.CreateMailboxProtectionUnitsBulkAdditionJobResponse](w, service+"CreateMailboxProtectionUnitsBulkAdditionJob",
		&pb.CreateMailboxProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, DisplayName: "mailboxes", Mailboxes: []string{"nobody@a.example"}}).GetBulkAdditionJob()
	w.emulator.Clock().Advance(time.Hour)
	return must[pb.GetMailboxProtectionUnitsBulkAdditionJobResponse](w, service+"GetMailboxProtectionUnitsBulkAdditionJob",
		&pb.GetMailboxProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, BulkAdditionJobId: job.GetId()}).GetBulkAdditionJob()
}

// endedBulkRequest is a request to restore somebody who has no backup.
func (w *world) endedBulkRequest() *pb.RestoreArtifactBulkAdditionRequest {
	w.t.Helper()
	l := workloads[0]
	w.backedUp()
	request := l.bulkRequest(w, l.emptyDraft(w))
	request.DirectoryObjectIds, request.Mailboxes = nil, []string{"nobody@a.example"}
	made := must[pb.CreateMailboxRestoreArtifactsBulkAdditionRequestResponse](w, l.bulkRPC("Create"), request).GetBulkAdditionRequest()
	w.emulator.Clock().Advance(time.Hour)
	return must[pb.GetMailboxRestoreArtifactsBulkAdditionRequestResponse](w, l.bulkRPC("Get"), bulkID(request.GetRestoreSessionId(), made.GetId())).GetBulkAdditionRequest()
}

// goldenOwn are the server's own reasons, and Graph's that come about before Graph is asked.
var goldenOwn = map[string]goldenMaker{
	"TENANT_REQUIRED": func(t *testing.T) produced {
		w := newGoldenWorld(t)
		w.tenant = ""
		return w.getPolicy(unknownPolicy)
	},
	"INVALID_TENANT_ID": func(t *testing.T) produced {
		w := newGoldenWorld(t)
		w.tenant = notGUID
		return w.getPolicy(unknownPolicy)
	},
	"INVALID_RESOURCE_ID": func(t *testing.T) produced {
		return newGoldenWorld(t).fails(apps+"GetServiceApp", &pb.GetServiceAppRequest{ServiceAppId: "a/b"})
	},
	"INVALID_PAGE_TOKEN": func(t *testing.T) produced {
		return newGoldenWorld(t).fails(policies+"ListProtectionPolicies", &pb.ListProtectionPoliciesRequest{PageToken: "made up"})
	},
	"INVALID_PAGE_SIZE": func(t *testing.T) produced {
		return newGoldenWorld(t).fails(policies+"ListProtectionPolicies", &pb.ListProtectionPoliciesRequest{PageSize: -1})
	},
	"INVALID_REQUEST": func(t *testing.T) produced {
		return newGoldenWorld(t).fails(sessions+"UpdateOneDriveForBusinessRestoreSession", &pb.UpdateOneDriveForBusinessRestoreSessionRequest{
			RestoreSessionId: unknown, RemoveDriveRestoreArtifactIds: []string{"1"}, RemoveGranularDriveRestoreArtifactIds: []string{"2"},
		})
	},
	"DELEGATED_TOKEN_REQUIRED": func(t *testing.T) produced {
		w := newGoldenWorldOn(t, "http://127.0.0.1:1/v1.0", func(o *service.Options) { o.AllowAppOnly = false })
		return w.fails(units+"OffboardProtectionUnit", &pb.OffboardProtectionUnitRequest{ProtectionUnitId: unknown})
	},
	"DELEGATED_TOKEN_REJECTED":      withoutToken(graph.TokenAssertionRefused),
	"INSUFFICIENT_CLAIMS":           withoutToken(graph.TokenClaimsRefused),
	"CLOUD_NOT_SUPPORTED":           withoutToken(graph.TokenCloud),
	"GRAPH_CREDENTIALS_UNAVAILABLE": withoutToken(graph.TokenUnavailable),
	"GRAPH_UNREACHABLE": func(t *testing.T) produced {
		return newGoldenWorldOn(t, "http://127.0.0.1:1/v1.0").getPolicy(unknownPolicy)
	},
	"GRAPH_RESPONSE_INVALID": func(t *testing.T) produced {
		w := newGoldenWorld(t)
		w.fault(emulator.Fault{Operation: "GET /protectionPolicies/{id}", Redirect: "https://elsewhere.example/"})
		return w.getPolicy(unknownPolicy)
	},
	"OUTCOME_UNKNOWN": func(t *testing.T) produced {
		w := newGoldenWorld(t)
		w.fault(emulator.Fault{Operation: "POST /exchangeProtectionPolicies", Status: http.StatusGatewayTimeout, AfterWork: true})
		return w.fails(workloads[0].createRPC(), workloads[0].create(w, "p", 1, 1))
	},
	"DEADLINE_EXCEEDED": func(t *testing.T) produced {
		w := newGoldenWorld(t)
		for range 100 {
			// So little time is left that the server does not begin. Sometimes too little for its answer: the client's
			// runtime makes its own then, which has no details.
			ctx, cancel := context.WithTimeout(w.context(), 95*time.Millisecond)
			call := w.callWith(ctx, policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy}, new(pb.GetProtectionPolicyResponse))
			cancel()
			if len(call.status.GetDetails()) > 0 {
				return produced{call: call}
			}
		}
		t.Fatal("no typed answer in time")
		return produced{}
	},
	"SERVER_OVERLOADED": func(t *testing.T) produced {
		reached, release := make(chan struct{}), make(chan struct{})
		upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(reached)
			<-release
		}))
		t.Cleanup(upstream.Close)
		w := newGoldenWorldOn(t, upstream.URL+"/v1.0", func(o *service.Options) { o.MaxCalls = 1 })
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.getPolicy(unknownPolicy)
		}()
		<-reached
		got := w.getPolicy(unknownPolicy)
		close(release)
		<-ended
		return got
	},
	"UNKNOWN_METHOD": func(t *testing.T) produced {
		return newGoldenWorld(t).fails(policies+"NoSuchMethod", new(pb.GetBackupRestoreRequest))
	},
	"INTERNAL": func(t *testing.T) produced {
		return newGoldenWorld(t, withTokens(t, tokens(func() (string, error) { panic("a fault of the server") }))).getPolicy(unknownPolicy)
	},
}

// tokens gives every call what a function says.
type tokens func() (string, error)

func (f tokens) Token(context.Context, graph.TokenRequest) (string, error) { return f() }

func withTokens(t *testing.T, source graph.TokenSource) option {
	return func(o *service.Options) {
		client, err := graph.New(graph.Options{Endpoint: "http://127.0.0.1:1/v1.0", Tokens: source})
		if err != nil {
			t.Fatal(err)
		}
		o.Graph = client
	}
}

// withoutToken makes a call for which there is no token.
func withoutToken(problem graph.TokenKind) goldenMaker {
	return func(t *testing.T) produced {
		return newGoldenWorld(t, withTokens(t, tokens(func() (string, error) { return "", &graph.TokenError{Kind: problem} }))).getPolicy(unknownPolicy)
	}
}

// printed writes a Status and the trailers that came with it for people.
func printed(t *testing.T, got produced) string {
	t.Helper()
	s, b := got.inside, new(strings.Builder)
	if s != nil {
		if got.call.status != nil {
			t.Fatalf("the call failed: %v", got.call.status)
		}
		b.WriteString("Inside a resource of a call that is OK.\n")
	} else if s = got.call.status; s == nil {
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
	if got.inside == nil {
		b.WriteString("trailers:\n")
		for _, key := range slices.Sorted(maps.Keys(got.call.trailer)) {
			if key != "grpc-status-details-bin" {
				fmt.Fprintf(b, "  %s: %s\n", key, strings.Join(got.call.trailer[key], ", "))
			}
		}
		if len(got.call.header) > 0 {
			fmt.Fprintf(b, "header: %v\n", got.call.header)
		}
	}
	return b.String()
}

// printFields writes the fields that are set in their order, and maps by their keys.
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
