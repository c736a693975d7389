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
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
)

// wantRefused checks that a call was refused with a reason and a field, and whether a request went out for it.
func (w *world) wantRefused(o *outcome, reason, field string, sent bool, since uint64) {
	w.t.Helper()
	if o.code() != codes.InvalidArgument || o.reason() != reason {
		w.t.Errorf("got %v %s, want InvalidArgument %s", o.code(), o.reason(), reason)
	}
	violations := detail[*errdetails.BadRequest](o.status).GetFieldViolations()
	if len(violations) != 1 || violations[0].GetField() != field || violations[0].GetDescription() == "" {
		w.t.Errorf("violations %v, want one of %s", violations, field)
	}
	if got := len(w.requests(since)) > 0; got != sent {
		w.t.Errorf("sent: %v, want %v", got, sent)
	}
	if detail[*errdetails.RequestInfo](o.status).GetRequestId() == "" {
		w.t.Error("no RequestInfo")
	}
}

func TestAnIDThatIsNoPathSegmentIsRefusedBeforeAnythingIsSent(t *testing.T) {
	w := newWorld(t)
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
				mark := w.mark()
				o := w.fails(policies+rpc, request).call
				w.wantRefused(o, "INVALID_POLICY_ID", "protection_policy_id", false, mark)
				if got := detail[*errdetails.ErrorInfo](o.status).GetDomain(); got != "graph.microsoft.com" {
					t.Errorf("domain %q", got)
				}
			}
			mark := w.mark()
			o := w.fails(units+"GetProtectionUnit", &pb.GetProtectionUnitRequest{ProtectionUnitId: id}).call
			w.wantRefused(o, "INVALID_PROTECTION_UNIT_ID", "protection_unit_id", false, mark)
		})
	}
}

// An id that cannot stand in a path is refused with the reason that Graph has for ids that can but are none.
func TestAnIDThatIsNoPathSegmentHasGraphsReason(t *testing.T) {
	seen := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("m365.backupstorage.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				name := fmt.Sprintf("%s/%s", service.Name(), method.Name())
				asked := func(id string) (*outcome, bool) {
					request := dynamicpb.NewMessage(method.Input())
					set := false
					for n := range method.Input().Fields().Len() {
						if field := method.Input().Fields().Get(n); strings.HasSuffix(string(field.Name()), "_id") && field.Kind() == protoreflect.StringKind {
							request.Set(field, protoreflect.ValueOfString(id))
							set = true
						}
					}
					return newWorld(t).fails(name, request).call, set
				}
				judged, set := asked("no-guid")
				options := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall)
				documented := slices.ContainsFunc(options.GetErrors(), func(reason pb.ErrorReason) bool { return reason.String() == judged.reason() })
				if !set || !documented || !strings.HasPrefix(judged.reason(), "INVALID_") || !strings.HasSuffix(judged.reason(), "_ID") {
					continue
				}
				seen++
				if refused, _ := asked("a/b"); refused.reason() != judged.reason() {
					t.Errorf("%s: %s, Graph's is %s", name, refused.reason(), judged.reason())
				}
			}
		}
		return true
	})
	if seen < 20 {
		t.Errorf("%d operations were tried", seen)
	}
}

func TestGraphJudgesAnIDThatIsWellFormed(t *testing.T) {
	w := newWorld(t)
	for id, reason := range map[string]string{
		"no-guid": "INVALID_POLICY_ID", strings.Repeat("a", 256): "INVALID_POLICY_ID", "...": "INVALID_POLICY_ID",
		"a=,+~_.-": "INVALID_POLICY_ID", unknownPolicy: "POLICY_NOT_FOUND",
	} {
		mark := w.mark()
		if o := w.getPolicy(id).call; o.reason() != reason {
			t.Errorf("%q: %s, want %s", id, o.reason(), reason)
		}
		if len(w.requests(mark)) != 1 {
			t.Errorf("%q: %d requests were sent", id, len(w.requests(mark)))
		}
	}
}

func TestLimitsOfPoliciesAreGraphsToJudge(t *testing.T) {
	for _, l := range workloads {
		t.Run(l.name, func(t *testing.T) {
			for _, c := range []struct {
				name    string
				request func(*world) proto.Message
				reason  string
			}{
				{"no unit is fine", func(w *world) proto.Message { return l.create(w, "p", 1, 0) }, ""},
				{"50 units are fine", func(w *world) proto.Message { return l.create(w, "p", 1, 50) }, ""},
				{"51 units are too many", func(w *world) proto.Message { return l.create(w, "p", 1, 51) }, "PROTECTION_UNITS_LIMIT_BREACHED"},
				{"a name of 1,024 characters is fine", func(w *world) proto.Message { return l.create(w, strings.Repeat("ж", 1024), 1, 1) }, ""},
				{"a name of 1,025 characters is too long", func(w *world) proto.Message { return l.create(w, strings.Repeat("ж", 1025), 1, 1) }, "INVALID_DISPLAY_NAME"},
				{"no name is too short", func(w *world) proto.Message { return l.create(w, "", 1, 1) }, "INVALID_DISPLAY_NAME"},
			} {
				t.Run(c.name, func(t *testing.T) {
					w := newWorld(t)
					o := w.fails(l.createRPC(), c.request(w)).call
					if o.reason() != c.reason {
						t.Errorf("got %v, want %q", o.status, c.reason)
					}
					if len(w.requests(0)) != 1 {
						t.Errorf("%d requests were sent", len(w.requests(0)))
					}
				})
			}
		})
	}
}

func TestAFieldViolationNamesTheFieldOfTheRequest(t *testing.T) {
	for _, l := range workloads {
		w := newWorld(t)
		for field, o := range map[string]*outcome{
			"display_name":         w.fails(l.createRPC(), l.create(w, "", 1, 1)).call,
			l.field:                w.fails(l.createRPC(), l.create(w, "p", 1, 51)).call,
			"protection_policy_id": w.fails(l.updateRPC(), l.update(w, "..", 1, 1)).call,
			"add_" + l.field:       w.fails(l.updateRPC(), l.update(w, l.newPolicy(w, 1, 1).GetId(), 1, 51)).call,
		} {
			violations := detail[*errdetails.BadRequest](o.status).GetFieldViolations()
			if len(violations) != 1 || violations[0].GetField() != field {
				t.Errorf("%s: %v, want %s", l.name, violations, field)
			}
		}
	}
}

func TestAnEnumValueThatGraphCannotBeToldIsRefused(t *testing.T) {
	w := newWorld(t)
	for field, events := range map[string][]pb.NotificationEventsType{
		"additional_events[0]": {99},
		"additional_events[1]": {pb.NotificationEventsType_NOTIFICATION_EVENTS_TYPE_NONE, pb.NotificationEventsType_NOTIFICATION_EVENTS_TYPE_UNKNOWN_FUTURE_VALUE},
		"additional_events[2]": {pb.NotificationEventsType_NOTIFICATION_EVENTS_TYPE_NONE, pb.NotificationEventsType_NOTIFICATION_EVENTS_TYPE_NONE, 0},
	} {
		mark := w.mark()
		o := w.fails(backup+"UpdateEmailNotificationsSetting", &pb.UpdateEmailNotificationsSettingRequest{AdditionalEvents: events}).call
		w.wantRefused(o, "INVALID_REQUEST", field, false, mark)
	}
	mark := w.mark()
	o := w.fails(backup+"UpdateEmailNotificationsSetting", &pb.UpdateEmailNotificationsSettingRequest{
		Recipients: &pb.NotificationRecipientsUpdate{Role: []pb.NotificationRecipientsType{77}},
	}).call
	w.wantRefused(o, "INVALID_REQUEST", "recipients.role[0]", false, mark)
}

func TestPageSizesAndTokensAreChecked(t *testing.T) {
	w := newWorld(t)
	l := workloads[0]
	policy := l.newPolicy(w, 1, 30).GetId()
	other := newWorld(t)
	list := func(size int32, token string) *pb.ListExchangeProtectionPolicyUnitsRequest {
		return &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: policy, PageSize: size, PageToken: token}
	}
	token := must[pb.ListExchangeProtectionPolicyUnitsResponse](w, l.listRPC(), list(10, "")).GetNextPageToken()
	if token == "" {
		t.Fatal("no second page")
	}
	tenant := must[pb.ListMailboxProtectionUnitsResponse](w, units+"ListMailboxProtectionUnits", &pb.ListMailboxProtectionUnitsRequest{PageSize: 10}).GetNextPageToken()
	mark := w.mark()
	w.wantRefused(w.fails(l.listRPC(), list(-1, "")).call, "INVALID_PAGE_SIZE", "page_size", false, mark)
	w.wantRefused(w.fails(l.listRPC(), list(-1, token)).call, "INVALID_PAGE_SIZE", "page_size", false, mark)
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
			w.wantRefused(w.fails(l.listRPC(), list(0, bad)).call, "INVALID_PAGE_TOKEN", "page_token", false, mark)
		})
	}
	t.Run("one of another server", func(t *testing.T) {
		w.wantRefused(other.fails(l.listRPC(), list(0, token)).call, "INVALID_PAGE_TOKEN", "page_token", false, mark)
	})
	t.Run("one of another tenant", func(t *testing.T) {
		w.tenant = emulator.TenantB
		defer func() { w.tenant = emulator.TenantA }()
		w.wantRefused(w.fails(l.listRPC(), list(0, token)).call, "INVALID_PAGE_TOKEN", "page_token", false, mark)
	})
	t.Run("one with other arguments", func(t *testing.T) {
		request := list(0, token)
		request.ProtectionPolicyId = unknownPolicy
		w.wantRefused(w.fails(l.listRPC(), request).call, "INVALID_PAGE_TOKEN", "page_token", false, mark)
	})
	t.Run("the right one with another size", func(t *testing.T) {
		page := must[pb.ListExchangeProtectionPolicyUnitsResponse](w, l.listRPC(), list(3, token))
		if len(page.GetProtectionUnits()) == 0 {
			t.Error("the page is empty")
		}
	})
}

func TestTheTenantComesFromTheMetadata(t *testing.T) {
	withDefault := newWorld(t, func(o *service.Options) { o.DefaultTenant = strings.ToUpper(emulator.TenantA) })
	without := newWorld(t)
	for _, c := range []struct {
		name    string
		world   *world
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
			w := c.world
			w.tenant = ""
			ctx := w.context()
			for _, tenant := range c.tenants {
				ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant)
			}
			mark := w.mark()
			o := w.callWith(ctx, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
			if c.reason != "" {
				w.wantRefused(o, c.reason, "x-tenant-id", false, mark)
				return
			}
			if o.status != nil {
				t.Fatal(o.status)
			}
			if got := w.lastRequest(mark).Tenant; got != c.sent {
				t.Errorf("tenant %s, want %s", got, c.sent)
			}
		})
	}
}

func TestTheRequestIDIsTheCallersWhenItIsAGUID(t *testing.T) {
	w := newWorld(t)
	const own = "0f0f0f0f-1111-4222-8333-444444444444"
	for sent, kept := range map[string]bool{own: true, "my-id": false, "": false} {
		ctx := metadata.AppendToOutgoingContext(w.context(), "x-request-id", sent)
		mark := w.mark()
		o := w.callWith(ctx, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
		ids := o.trailer.Get("x-request-id")
		if len(ids) != 1 || (ids[0] == own) != kept || w.lastRequest(mark).ClientRequestID != ids[0] {
			t.Errorf("sent %q: trailer %v, Graph got %q", sent, ids, w.lastRequest(mark).ClientRequestID)
		}
	}
}
