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

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// recordedTokens is a token source that records the requests for tokens, and fails when it is told to.
type recordedTokens struct {
	mu       sync.Mutex
	requests []graph.TokenRequest
	failure  error
}

func (s *recordedTokens) Token(ctx context.Context, request graph.TokenRequest) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
	if s.failure != nil {
		return "", s.failure
	}
	return graph.Unsigned{}.Token(ctx, request)
}

func (s *recordedTokens) last() graph.TokenRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == 0 {
		return graph.TokenRequest{}
	}
	return s.requests[len(s.requests)-1]
}

// newServerWithTokens starts a server whose requests for tokens are recorded.
func newServerWithTokens(t *testing.T) (*servicetest.Server, *recordedTokens) {
	t.Helper()
	s := servicetest.New(t)
	source := new(recordedTokens)
	client, err := graph.New(graph.Options{Endpoint: s.Endpoint, Tokens: source})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	onReal := servicetest.NewOnEndpoint(t, s.Endpoint, func(o *service.Options) { o.Graph = client })
	onReal.Emulator = s.Emulator
	return onReal, source
}

// assertion is the token of a user. A serial number makes another token of the same user.
func assertion(user string, serial int) string {
	payload := fmt.Sprintf(`{"tid":%q,"oid":%q,"jti":"canary%d"}`, emulator.TenantA, user, serial)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func callFor(s *servicetest.Server, assertions []string, method string, request, response proto.Message) *servicetest.Outcome {
	ctx := s.Context()
	for _, a := range assertions {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-user-assertion", a)
	}
	return s.CallContext(ctx, method, request, response)
}

func TestTheUsersTokenIsTheOneInTheMetadata(t *testing.T) {
	s, source := newServerWithTokens(t)
	maxAssertion := assertion("u", 1)
	maxAssertion += strings.Repeat("a", 12<<10-len(maxAssertion))
	for _, c := range []struct {
		name       string
		assertions []string
		refused    bool
	}{
		{"none", nil, false},
		{"one", []string{assertion("u", 1)}, false},
		{"of the largest size", []string{maxAssertion}, false},
		{"one too large", []string{maxAssertion + "a"}, true},
		{"two", []string{assertion("u", 1), assertion("u", 2)}, true},
		{"an empty one", []string{""}, true},
		{"with Bearer", []string{"Bearer " + assertion("u", 1)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mark := s.Mark()
			o := callFor(s, c.assertions, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
			if c.refused {
				wantRefused(s, o, "INVALID_REQUEST", "x-user-assertion", false, mark)
				return
			}
			if o.Status != nil {
				t.Fatal(o.Status)
			}
			want := graph.TokenRequest{Tenant: emulator.TenantA, UserAssertion: strings.Join(c.assertions, ""), RequestID: strings.Join(o.Trailer.Get("x-request-id"), "")}
			if got := source.last(); got != want {
				t.Errorf("asked for a token with %+v", got)
			}
		})
	}
}

func TestWhatGraphAllowsForUsersOnlyIsRefusedWithoutOne(t *testing.T) {
	s, source := newServerWithTokens(t)
	seen := 0
	for _, method := range servicetest.RPCs(t) {
		if !graphCall(method).GetDelegatedOnly() {
			continue
		}
		seen++
		name := fmt.Sprintf("%s/%s", method.Parent().Name(), method.Name())
		request, response := servicetest.NewMessage(t, method.Input()), servicetest.NewMessage(t, method.Output())
		o := s.Call(name, request, response)
		if o.Code() != codes.FailedPrecondition || o.Reason() != "DELEGATED_TOKEN_REQUIRED" {
			t.Errorf("%s: %v", name, o.Status)
		}
		violations := servicetest.Detail[*errdetails.PreconditionFailure](o.Status).GetViolations()
		if len(violations) != 1 || violations[0].GetSubject() != "x-user-assertion" {
			t.Errorf("%s: violations %v", name, violations)
		}
		if source.last() != (graph.TokenRequest{}) {
			t.Errorf("%s: a token was asked for", name)
		}
		// With a user the server asks Graph.
		if o := callFor(s, []string{assertion("u", 1)}, name, request, response); o.Reason() == "DELEGATED_TOKEN_REQUIRED" {
			t.Errorf("%s is refused with a user, too", name)
		}
		source.mu.Lock()
		source.requests = nil
		source.mu.Unlock()
	}
	if seen != 5 {
		t.Errorf("%d operations for users only, want 5", seen)
	}
}

func TestAUserWhomGraphRefusesHasAnOwnReason(t *testing.T) {
	s, _ := newServerWithTokens(t)
	for _, c := range []struct {
		assertions []string
		code       codes.Code
		reason     string
	}{{nil, codes.FailedPrecondition, "UNAUTHORIZED"}, {[]string{assertion("u", 1)}, codes.Unauthenticated, "DELEGATED_TOKEN_REJECTED"}} {
		fault := emulator.Fault{Operation: "GET /", Status: 401, Code: "InvalidAuthenticationToken", Times: 3}
		id, err := s.Emulator.AddFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		o := callFor(s, c.assertions, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
		info := o.Info()
		if o.Code() != c.code || o.Reason() != c.reason || info.GetMetadata()["httpStatus"] != "401" || info.GetMetadata()["graphCode"] != "InvalidAuthenticationToken" {
			t.Errorf("with %d users: %v", len(c.assertions), o.Status)
		}
		s.Emulator.RemoveFault(id)
	}
}

func TestNoTokenErrorContainsTheToken(t *testing.T) {
	s, source := newServerWithTokens(t)
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
		source.failure = &graph.TokenError{Kind: problem, Err: status.Error(codes.Unknown, "it was "+user)}
		mark := s.Mark()
		o := callFor(s, []string{user}, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
		if o.Code() != want.code || o.Reason() != want.reason || len(s.Requests(mark)) != 0 {
			t.Errorf("problem %d: %v", problem, o.Status)
		}
		if strings.Contains(o.Status.String(), user) {
			t.Errorf("problem %d: the status has the token: %v", problem, o.Status)
		}
	}
	if log := s.Log.String(); strings.Contains(log, user) || strings.Contains(log, "canary") {
		t.Errorf("the log has the token: %s", log)
	}
}

func TestAPageTokenIsGoodForItsUserAlone(t *testing.T) {
	s, _ := newServerWithTokens(t)
	list := func(assertions []string, token string) (string, *servicetest.Outcome) {
		response := new(pb.ListMailboxProtectionUnitsResponse)
		o := callFor(s, assertions, units+"ListMailboxProtectionUnits", &pb.ListMailboxProtectionUnitsRequest{PageSize: 1, PageToken: token}, response)
		return response.GetNextPageToken(), o
	}
	servicetest.Must[pb.CreateExchangeProtectionPolicyResponse](s, policies+"CreateExchangeProtectionPolicy", &pb.CreateExchangeProtectionPolicyRequest{
		DisplayName: "p", MailboxProtectionUnits: newMailboxes(s, 1, 3),
	})
	one, two := []string{assertion("one", 1)}, []string{assertion("two", 1)}
	ofOne, _ := list(one, "")
	ofNobody, _ := list(nil, "")
	if ofOne == "" || ofNobody == "" {
		t.Fatal("there is no second page")
	}
	// The same user continues with a new token.
	if _, o := list([]string{assertion("one", 2)}, ofOne); o.Status != nil {
		t.Error(o.Status)
	}
	if _, o := list(nil, ofNobody); o.Status != nil {
		t.Error(o.Status)
	}
	for name, c := range map[string]struct {
		assertions []string
		token      string
	}{"another user": {two, ofOne}, "nobody": {nil, ofOne}, "a user with the application's": {one, ofNobody}} {
		mark := s.Mark()
		_, o := list(c.assertions, c.token)
		if o.Status == nil {
			t.Errorf("%s went on", name)
			continue
		}
		wantRefused(s, o, "INVALID_PAGE_TOKEN", "page_token", false, mark)
	}
}
