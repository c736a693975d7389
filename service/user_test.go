package service_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
)

// askedTokens is a token source that remembers what it was asked for and fails when it is told to.
type askedTokens struct {
	mu       sync.Mutex
	requests []graph.TokenRequest
	problem  error
}

func (s *askedTokens) Token(ctx context.Context, request graph.TokenRequest) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
	if s.problem != nil {
		return "", s.problem
	}
	return graph.Unsigned{}.Token(ctx, request)
}

func (s *askedTokens) last() graph.TokenRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == 0 {
		return graph.TokenRequest{}
	}
	return s.requests[len(s.requests)-1]
}

// onRealCredentials starts a server as it is on real credentials: delegated-only operations need a user.
func onRealCredentials(t *testing.T) (*world, *askedTokens) {
	t.Helper()
	w := newWorld(t)
	source := new(askedTokens)
	client, err := graph.New(graph.Options{Endpoint: w.upstream, Tokens: source})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	onReal := newWorldOn(t, w.upstream, func(o *service.Options) { o.Graph, o.AllowAppOnly = client, false })
	onReal.emulator = w.emulator
	return onReal, source
}

// assertion is the token of a user; serial makes it another token of the same user.
func assertion(user string, serial int) string {
	payload := fmt.Sprintf(`{"tid":%q,"oid":%q,"jti":"canary%d"}`, emulator.TenantA, user, serial)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func (w *world) callFor(assertions []string, method string, request, response proto.Message) *outcome {
	ctx := w.context()
	for _, a := range assertions {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-user-assertion", a)
	}
	return w.callWith(ctx, method, request, response)
}

func TestTheUsersTokenIsTheOneInTheMetadata(t *testing.T) {
	w, source := onRealCredentials(t)
	longest := strings.Repeat("a", 12<<10)
	for _, c := range []struct {
		name       string
		assertions []string
		refused    bool
	}{
		{"none", nil, false},
		{"one", []string{assertion("u", 1)}, false},
		{"of the largest size", []string{longest}, false},
		{"one too large", []string{longest + "a"}, true},
		{"two", []string{assertion("u", 1), assertion("u", 2)}, true},
		{"an empty one", []string{""}, true},
		{"with Bearer", []string{"Bearer " + assertion("u", 1)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mark := w.mark()
			o := w.callFor(c.assertions, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
			if c.refused {
				w.wantRefused(o, "INVALID_REQUEST", "x-user-assertion", false, mark)
				return
			}
			if o.status != nil {
				t.Fatal(o.status)
			}
			want := graph.TokenRequest{Tenant: emulator.TenantA, UserAssertion: strings.Join(c.assertions, "")}
			if got := source.last(); got != want {
				t.Errorf("asked for a token with %+v", got)
			}
		})
	}
}

func TestWhatGraphAllowsForUsersOnlyIsRefusedWithoutOne(t *testing.T) {
	w, source := onRealCredentials(t)
	seen := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("m365.backupstorage.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				method := methods.Get(j)
				call, _ := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall)
				if !call.GetDelegatedOnly() {
					continue
				}
				seen++
				name := fmt.Sprintf("%s/%s", method.Parent().Name(), method.Name())
				request, response := messageOf(t, method.Input()), messageOf(t, method.Output())
				o := w.call(name, request, response)
				if o.code() != codes.FailedPrecondition || o.reason() != "DELEGATED_TOKEN_REQUIRED" {
					t.Errorf("%s: %v", name, o.status)
				}
				violations := detail[*errdetails.PreconditionFailure](o.status).GetViolations()
				if len(violations) != 1 || violations[0].GetSubject() != "x-user-assertion" {
					t.Errorf("%s: violations %v", name, violations)
				}
				if source.last() != (graph.TokenRequest{}) {
					t.Errorf("%s: a token was asked for", name)
				}
				// With a user it is Graph's to judge.
				if o := w.callFor([]string{assertion("u", 1)}, name, request, response); o.reason() == "DELEGATED_TOKEN_REQUIRED" {
					t.Errorf("%s is refused with a user, too", name)
				}
				source.mu.Lock()
				source.requests = nil
				source.mu.Unlock()
			}
		}
		return true
	})
	if seen != 5 {
		t.Errorf("%d operations for users only, want 5", seen)
	}
}

func messageOf(t *testing.T, descriptor protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return kind.New().Interface()
}

func TestAUserWhomGraphRefusesIsToldApart(t *testing.T) {
	w, _ := onRealCredentials(t)
	for _, c := range []struct {
		assertions []string
		code       codes.Code
		reason     string
	}{{nil, codes.FailedPrecondition, "UNAUTHORIZED"}, {[]string{assertion("u", 1)}, codes.Unauthenticated, "DELEGATED_TOKEN_REJECTED"}} {
		fault := emulator.Fault{Operation: "GET /", Status: 401, Code: "InvalidAuthenticationToken", Times: 3}
		id, err := w.emulator.AddFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		o := w.callFor(c.assertions, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
		info := detail[*errdetails.ErrorInfo](o.status)
		if o.code() != c.code || o.reason() != c.reason || info.GetMetadata()["httpStatus"] != "401" || info.GetMetadata()["graphCode"] != "InvalidAuthenticationToken" {
			t.Errorf("with %d users: %v", len(c.assertions), o.status)
		}
		w.emulator.RemoveFault(id)
	}
}

func TestNoProblemOfAUsersTokenTellsTheToken(t *testing.T) {
	w, source := onRealCredentials(t)
	user := assertion("u", 1)
	for problem, want := range map[graph.TokenKind]struct {
		code   codes.Code
		reason string
	}{
		graph.TokenUnavailable:      {codes.Unavailable, "GRAPH_CREDENTIALS_UNAVAILABLE"},
		graph.TokenRefused:          {codes.FailedPrecondition, "GRAPH_CREDENTIALS_UNAVAILABLE"},
		graph.TokenAssertionRefused: {codes.Unauthenticated, "DELEGATED_TOKEN_REJECTED"},
		graph.TokenNotDelegable:     {codes.FailedPrecondition, "GRAPH_CREDENTIALS_UNAVAILABLE"},
		graph.TokenClaimsRefused:    {codes.PermissionDenied, "INSUFFICIENT_CLAIMS"},
		graph.TokenCloud:            {codes.FailedPrecondition, "CLOUD_NOT_SUPPORTED"},
	} {
		source.problem = &graph.TokenError{Kind: problem, Err: status.Error(codes.Unknown, "it was "+user)}
		mark := w.mark()
		o := w.callFor([]string{user}, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
		if o.code() != want.code || o.reason() != want.reason || len(w.requests(mark)) != 0 {
			t.Errorf("problem %d: %v", problem, o.status)
		}
		if strings.Contains(o.status.String(), user) {
			t.Errorf("problem %d: the status has the token: %v", problem, o.status)
		}
	}
	if log := w.log.String(); strings.Contains(log, user) || strings.Contains(log, "canary") {
		t.Errorf("the log has the token: %s", log)
	}
}

func TestAPageTokenIsGoodForItsUserAlone(t *testing.T) {
	w, _ := onRealCredentials(t)
	list := func(assertions []string, token string) (string, *outcome) {
		response := new(pb.ListMailboxProtectionUnitsResponse)
		o := w.callFor(assertions, units+"ListMailboxProtectionUnits", &pb.ListMailboxProtectionUnitsRequest{PageSize: 1, PageToken: token}, response)
		return response.GetNextPageToken(), o
	}
	must[pb.CreateExchangeProtectionPolicyResponse](w, policies+"CreateExchangeProtectionPolicy", &pb.CreateExchangeProtectionPolicyRequest{
		DisplayName: "p", MailboxProtectionUnits: w.mailboxes(1, 3),
	})
	one, two := []string{assertion("one", 1)}, []string{assertion("two", 1)}
	ofOne, _ := list(one, "")
	ofNobody, _ := list(nil, "")
	if ofOne == "" || ofNobody == "" {
		t.Fatal("there is no second page")
	}
	// The same user with a new token goes on.
	if _, o := list([]string{assertion("one", 2)}, ofOne); o.status != nil {
		t.Error(o.status)
	}
	if _, o := list(nil, ofNobody); o.status != nil {
		t.Error(o.status)
	}
	for name, c := range map[string]struct {
		assertions []string
		token      string
	}{"another user": {two, ofOne}, "nobody": {nil, ofOne}, "a user with the application's": {one, ofNobody}} {
		mark := w.mark()
		_, o := list(c.assertions, c.token)
		if o.status == nil {
			t.Errorf("%s went on", name)
			continue
		}
		w.wantRefused(o, "INVALID_PAGE_TOKEN", "page_token", false, mark)
	}
}
