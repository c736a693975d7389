package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// wantRefused checks that a call was refused with a reason and a field, and whether a request was sent for it.
func wantRefused(s *servicetest.Server, o *servicetest.Outcome, reason, field string, sent bool, since uint64) {
	s.TB.Helper()
	if o.Code() != codes.InvalidArgument || o.Reason() != reason {
		s.TB.Errorf("got %v %s, want InvalidArgument %s", o.Code(), o.Reason(), reason)
	}
	violations := o.FieldViolations()
	if len(violations) != 1 || violations[0].GetField() != field || violations[0].GetDescription() == "" {
		s.TB.Errorf("violations %v, want one of %s", violations, field)
	}
	if got := len(s.Requests(since)) > 0; got != sent {
		s.TB.Errorf("sent: %v, want %v", got, sent)
	}
	if servicetest.Detail[*errdetails.RequestInfo](o.Status).GetRequestId() == "" {
		s.TB.Error("no RequestInfo")
	}
}

// An id that is no path segment is refused before anything is sent.
func TestAnIDThatIsNoPathSegmentIsRefusedUnsent(t *testing.T) {
	s := servicetest.New(t)
	for name, id := range map[string]string{
		"empty": "", "a dot": ".", "two dots": "..", "a slash": "a/b", "a query": "a?b", "escaped dots": "%2e%2e",
		"257 characters": strings.Repeat("a", 257), "a control character": "a\x01b", "a line break": "a\nb",
		"a full-width character": "ａ", "a fragment": "a#b", "a space": "a b", "a backslash": `a\b`, "a semicolon": "a;b",
		"a quote": "a'b", "a key in brackets": "('a')",
	} {
		t.Run(name, func(t *testing.T) {
			for rpc, request := range map[string]proto.Message{
				"GetProtectionPolicy":            &pb.GetProtectionPolicyRequest{ProtectionPolicyId: id},
				"DeleteProtectionPolicy":         &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: id},
				"ActivateProtectionPolicy":       &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: id},
				"DeactivateProtectionPolicy":     &pb.DeactivateProtectionPolicyRequest{ProtectionPolicyId: id},
				"UpdateExchangeProtectionPolicy": &pb.UpdateExchangeProtectionPolicyRequest{ProtectionPolicyId: id},
			} {
				mark := s.Mark()
				o := s.Try(policies+rpc, request)
				wantRefused(s, o, "INVALID_POLICY_ID", "protection_policy_id", false, mark)
				if got := o.Info().GetDomain(); got != "graph.microsoft.com" {
					t.Errorf("domain %q", got)
				}
			}
			mark := s.Mark()
			o := s.Try(units+"GetProtectionUnit", &pb.GetProtectionUnitRequest{ProtectionUnitId: id})
			wantRefused(s, o, "INVALID_PROTECTION_UNIT_ID", "protection_unit_id", false, mark)
		})
	}
}

// An id that cannot stand in a path is refused with the reason that Graph has for ids that it does not accept.
func TestAnIDThatIsNoPathSegmentHasGraphsReason(t *testing.T) {
	seen := 0
	for _, method := range servicetest.RPCs(t) {
		name := fmt.Sprintf("%s/%s", method.Parent().Name(), method.Name())
		asked := func(id string) (*servicetest.Outcome, bool) {
			request := dynamicpb.NewMessage(method.Input())
			set := false
			for n := range method.Input().Fields().Len() {
				if field := method.Input().Fields().Get(n); strings.HasSuffix(string(field.Name()), "_id") && field.Kind() == protoreflect.StringKind {
					request.Set(field, protoreflect.ValueOfString(id))
					set = true
				}
			}
			s := servicetest.New(t)
			s.User = 1
			return s.Try(name, request), set
		}
		judged, set := asked("no-guid")
		documented := slices.ContainsFunc(graphCall(method).GetErrors(), func(reason pb.ErrorReason) bool { return reason.String() == judged.Reason() })
		if !set || !documented || !strings.HasPrefix(judged.Reason(), "INVALID_") || !strings.HasSuffix(judged.Reason(), "_ID") {
			continue
		}
		seen++
		if refused, _ := asked("a/b"); refused.Reason() != judged.Reason() {
			t.Errorf("%s: %s, Graph's is %s", name, refused.Reason(), judged.Reason())
		}
	}
	if seen < 20 {
		t.Errorf("%d operations were tried", seen)
	}
}

func TestGraphJudgesAnIDThatIsWellFormed(t *testing.T) {
	s := servicetest.New(t)
	for id, reason := range map[string]string{
		"no-guid": "INVALID_POLICY_ID", strings.Repeat("a", 256): "INVALID_POLICY_ID", "...": "INVALID_POLICY_ID",
		"a=,+~_.-": "INVALID_POLICY_ID", unknownPolicy: "POLICY_NOT_FOUND",
	} {
		mark := s.Mark()
		if o := getPolicy(s, id).call; o.Reason() != reason {
			t.Errorf("%q: %s, want %s", id, o.Reason(), reason)
		}
		if len(s.Requests(mark)) != 1 {
			t.Errorf("%q: %d requests were sent", id, len(s.Requests(mark)))
		}
	}
}

func TestLimitsOfPoliciesAreGraphsToJudge(t *testing.T) {
	for _, l := range workloads {
		t.Run(l.name, func(t *testing.T) {
			for _, c := range []struct {
				name    string
				request func(*servicetest.Server) proto.Message
				reason  string
			}{
				{"no unit is fine", func(s *servicetest.Server) proto.Message { return l.create(s, "p", 1, 0) }, ""},
				{"50 units are fine", func(s *servicetest.Server) proto.Message { return l.create(s, "p", 1, 50) }, ""},
				{"51 units are too many", func(s *servicetest.Server) proto.Message { return l.create(s, "p", 1, 51) }, "PROTECTION_UNITS_LIMIT_BREACHED"},
				{"a name of 1,024 characters is fine", func(s *servicetest.Server) proto.Message { return l.create(s, strings.Repeat("ж", 1024), 1, 1) }, ""},
				{"a name of 1,025 characters is too long", func(s *servicetest.Server) proto.Message { return l.create(s, strings.Repeat("ж", 1025), 1, 1) }, "INVALID_DISPLAY_NAME"},
				{"no name is too short", func(s *servicetest.Server) proto.Message { return l.create(s, "", 1, 1) }, "INVALID_DISPLAY_NAME"},
			} {
				t.Run(c.name, func(t *testing.T) {
					s := servicetest.New(t)
					o := s.Try(l.createRPC(), c.request(s))
					if o.Reason() != c.reason {
						t.Errorf("got %v, want %q", o.Status, c.reason)
					}
					if len(s.Requests(0)) != 1 {
						t.Errorf("%d requests were sent", len(s.Requests(0)))
					}
				})
			}
		})
	}
}

func TestAFieldViolationNamesTheFieldOfTheRequest(t *testing.T) {
	for _, l := range workloads {
		s := servicetest.New(t)
		for field, o := range map[string]*servicetest.Outcome{
			"display_name":         s.Try(l.createRPC(), l.create(s, "", 1, 1)),
			l.field:                s.Try(l.createRPC(), l.create(s, "p", 1, 51)),
			"protection_policy_id": s.Try(l.updateRPC(), l.update(s, "..", 1, 1)),
			"add_" + l.field:       s.Try(l.updateRPC(), l.update(s, l.newPolicy(s, 1, 1).GetId(), 1, 51)),
		} {
			violations := o.FieldViolations()
			if len(violations) != 1 || violations[0].GetField() != field {
				t.Errorf("%s: %v, want %s", l.name, violations, field)
			}
		}
	}
}

func TestAnEnumValueUnknownToGraphIsRefused(t *testing.T) {
	s := servicetest.New(t)
	s.User = 1
	for field, events := range map[string][]pb.NotificationEventsType{
		"additional_events[0]": {99},
		"additional_events[1]": {pb.NotificationEventsType_NOTIFICATION_EVENTS_TYPE_NONE, pb.NotificationEventsType_NOTIFICATION_EVENTS_TYPE_UNKNOWN_FUTURE_VALUE},
		"additional_events[2]": {pb.NotificationEventsType_NOTIFICATION_EVENTS_TYPE_NONE, pb.NotificationEventsType_NOTIFICATION_EVENTS_TYPE_NONE, 0},
	} {
		mark := s.Mark()
		o := s.Try(backup+"UpdateEmailNotificationsSetting", &pb.UpdateEmailNotificationsSettingRequest{AdditionalEvents: events})
		wantRefused(s, o, "INVALID_REQUEST", field, false, mark)
	}
	mark := s.Mark()
	o := s.Try(backup+"UpdateEmailNotificationsSetting", &pb.UpdateEmailNotificationsSettingRequest{
		Recipients: &pb.NotificationRecipientsUpdate{Role: []pb.NotificationRecipientsType{77}},
	})
	wantRefused(s, o, "INVALID_REQUEST", "recipients.role[0]", false, mark)
}

func TestPageSizesAndTokensAreChecked(t *testing.T) {
	s := servicetest.New(t)
	l := workloads[0]
	policy := l.newPolicy(s, 1, 30).GetId()
	other := servicetest.New(t)
	list := func(size int32, token string) *pb.ListExchangeProtectionPolicyUnitsRequest {
		return &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: policy, PageSize: size, PageToken: token}
	}
	token := servicetest.Must[pb.ListExchangeProtectionPolicyUnitsResponse](s, l.listRPC(), list(10, "")).GetNextPageToken()
	if token == "" {
		t.Fatal("no second page")
	}
	tenant := servicetest.Must[pb.ListMailboxProtectionUnitsResponse](s, units+"ListMailboxProtectionUnits", &pb.ListMailboxProtectionUnitsRequest{PageSize: 10}).GetNextPageToken()
	mark := s.Mark()
	wantRefused(s, s.Try(l.listRPC(), list(-1, "")), "INVALID_PAGE_SIZE", "page_size", false, mark)
	wantRefused(s, s.Try(l.listRPC(), list(-1, token)), "INVALID_PAGE_SIZE", "page_size", false, mark)
	flip := func(i int) string {
		c := byte('A')
		if token[i] == c {
			c = 'B'
		}
		return token[:i] + string(c) + token[i+1:]
	}
	for name, bad := range map[string]string{
		"one in clear text": "2", "a URL": "https://example.com/next", "one that was cut": token[:len(token)-5],
		"one with a flipped head": flip(0), "one with a flipped middle": flip(len(token) / 2), "one with a flipped end": flip(len(token) - 2),
		"one that is much too long": strings.Repeat("A", 100_000), "one of another list": tenant, "one with more behind it": token + "AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(s, s.Try(l.listRPC(), list(0, bad)), "INVALID_PAGE_TOKEN", "page_token", false, mark)
		})
	}
	t.Run("one of another server", func(t *testing.T) {
		wantRefused(s, other.Try(l.listRPC(), list(0, token)), "INVALID_PAGE_TOKEN", "page_token", false, mark)
	})
	t.Run("one of another tenant", func(t *testing.T) {
		s.Tenant = emulator.TenantB
		defer func() { s.Tenant = emulator.TenantA }()
		wantRefused(s, s.Try(l.listRPC(), list(0, token)), "INVALID_PAGE_TOKEN", "page_token", false, mark)
	})
	t.Run("one with other arguments", func(t *testing.T) {
		request := list(0, token)
		request.ProtectionPolicyId = unknownPolicy
		wantRefused(s, s.Try(l.listRPC(), request), "INVALID_PAGE_TOKEN", "page_token", false, mark)
	})
	t.Run("the right one with another size", func(t *testing.T) {
		page := servicetest.Must[pb.ListExchangeProtectionPolicyUnitsResponse](s, l.listRPC(), list(3, token))
		if len(page.GetProtectionUnits()) == 0 {
			t.Error("the page is empty")
		}
	})
}

func TestTheTenantComesFromTheMetadata(t *testing.T) {
	withDefault := servicetest.New(t, func(o *service.Options) { o.DefaultTenant = strings.ToUpper(emulator.TenantA) })
	without := servicetest.New(t)
	for _, c := range []struct {
		name    string
		server  *servicetest.Server
		tenants []string
		reason  string
		sent    string
	}{
		{"none, with a default", withDefault, nil, "", emulator.TenantA},
		{"another than the default", withDefault, []string{emulator.TenantB}, "", emulator.TenantB},
		{"one in capitals", without, []string{strings.ToUpper(emulator.TenantB)}, "", emulator.TenantB},
		{"none, without a default", without, nil, "TENANT_REQUIRED", ""},
		{"an empty one", withDefault, []string{""}, "INVALID_TENANT_ID", ""},
		{"no GUID", without, []string{"contoso.onmicrosoft.com"}, "INVALID_TENANT_ID", ""},
		{"a GUID in braces", without, []string{"{" + emulator.TenantA + "}"}, "INVALID_TENANT_ID", ""},
		{"two", without, []string{emulator.TenantA, emulator.TenantB}, "INVALID_TENANT_ID", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.server
			s.Tenant = ""
			ctx := s.Context()
			for _, tenant := range c.tenants {
				ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant)
			}
			mark := s.Mark()
			o := s.CallContext(ctx, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
			if c.reason != "" {
				wantRefused(s, o, c.reason, "x-tenant-id", false, mark)
				return
			}
			if o.Status != nil {
				t.Fatal(o.Status)
			}
			if got := s.LastRequest(mark).Tenant; got != c.sent {
				t.Errorf("tenant %s, want %s", got, c.sent)
			}
		})
	}
}

func TestTheRequestIDIsTheCallersWhenItIsAGUID(t *testing.T) {
	s := servicetest.New(t)
	const own = "0f0f0f0f-1111-4222-8333-444444444444"
	for sent, kept := range map[string]bool{own: true, "my-id": false, "": false} {
		ctx := metadata.AppendToOutgoingContext(s.Context(), "x-request-id", sent)
		mark := s.Mark()
		o := s.CallContext(ctx, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
		ids := o.Trailer.Get("x-request-id")
		if len(ids) != 1 || (ids[0] == own) != kept || s.LastRequest(mark).ClientRequestID != ids[0] {
			t.Errorf("sent %q: trailer %v, Graph got %q", sent, ids, s.LastRequest(mark).ClientRequestID)
		}
	}
}
