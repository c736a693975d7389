package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const jobs = "ProtectionUnitBulkAdditionJobService/"

// Graph judges these values. Whatever it rejects is named by the field, and by the index where there is one.
func TestWhatGraphRejectsIsNamedByItsField(t *testing.T) {
	s := servicetest.New(t)
	l := workloads[0]
	backedUp(s)
	policy, session := emulator.SeededPolicyID(s.Tenant, l.kind()), l.emptyDraft(s)
	object, address := emulator.UserID(s.Tenant, 1), "adele.1@a.example"
	unit := l.unitID(s.Tenant, 1)
	job := func(addresses, ids []string) proto.Message {
		return &pb.CreateMailboxProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: policy, DisplayName: "job", Mailboxes: addresses, DirectoryObjectIds: ids}
	}
	many := func(n int, text string) []string { return slices.Repeat([]string{text}, n) }
	adding := func(ids ...string) *pb.UpdateExchangeProtectionPolicyRequest {
		request := &pb.UpdateExchangeProtectionPolicyRequest{ProtectionPolicyId: policy}
		for _, id := range ids {
			request.AddMailboxProtectionUnits = append(request.AddMailboxProtectionUnits, &pb.NewMailboxProtectionUnit{DirectoryObjectId: id})
		}
		return request
	}
	removing := adding(emulator.UserID(s.Tenant, 40))
	removing.RemoveMailboxProtectionUnitIds = []string{unit, ""}
	bulk := func(ids ...string) proto.Message {
		request := l.bulkRequest(s, session)
		request.DirectoryObjectIds = ids
		return request
	}
	const update, createJob, search = policies + "UpdateExchangeProtectionPolicy", jobs + "CreateMailboxProtectionUnitsBulkAdditionJob", restorePoints + "SearchRestorePoints"
	for _, c := range []struct {
		name, rpc string
		request   proto.Message
		reason    string
		field     string
	}{
		{"a page size above the maximum", policies + "ListProtectionPolicies", &pb.ListProtectionPoliciesRequest{PageSize: 1000}, "BAD_REQUEST", "page_size"},
		{"a page size of units", l.listRPC(), &pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: policy, PageSize: 1000}, "BAD_REQUEST", "page_size"},
		{"a page size that is not supported", restorePoints + "ListRestorePoints",
			&pb.ListRestorePointsRequest{ProtectionUnitId: unit, ProtectionDateTimeBefore: timestamppb.Now(), PageSize: 5}, "BAD_REQUEST", "page_size"},
		{"a job without resources", createJob, job(nil, nil), "BAD_REQUEST", "mailboxes"},
		{"a job with 50,001 addresses", createJob, job(many(50_001, address), nil), "BAD_REQUEST", "mailboxes"},
		{"a job with 50,001 ids", createJob, job(many(1, address), many(50_000, object)), "BAD_REQUEST", "directory_object_ids"},
		{"a malformed unit id in a search", search, &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{unit, notGUID}}, "INVALID_PROTECTION_UNIT_ID", "protection_unit_ids[1]"},
		{"an empty unit id in a search", search, &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{unit, ""}}, "INVALID_PROTECTION_UNIT_ID", "protection_unit_ids[1]"},
		{"a unit twice in a search", search, &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{unit, unit}}, "INVALID_SEARCH_REQUEST", "protection_unit_ids[1]"},
		{"a malformed policy id of a search", search, &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{unit}, PolicyId: "x"}, "INVALID_SEARCH_REQUEST", "policy_id"},
		{"a unit of another policy in a search", search, &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{unit}, PolicyId: unknownPolicy}, "INVALID_SEARCH_REQUEST", "protection_unit_ids[0]"},
		{"a malformed policy id of a list", restorePoints + "ListRestorePoints",
			&pb.ListRestorePointsRequest{ProtectionUnitId: unit, ProtectionDateTimeBefore: timestamppb.Now(), PolicyId: "x"}, "INVALID_SEARCH_REQUEST", "policy_id"},
		{"a malformed unit id to add", update, adding(emulator.UserID(s.Tenant, 40), notGUID), "INVALID_PROTECTION_UNIT_ID", "add_mailbox_protection_units[1].directory_object_id"},
		{"an empty unit id to add", update, adding(emulator.UserID(s.Tenant, 40), ""), "INVALID_PROTECTION_UNIT_ID", "add_mailbox_protection_units[1]"},
		{"an empty unit id to remove", update, removing, "INVALID_PROTECTION_UNIT_ID", "remove_mailbox_protection_unit_ids[1]"},
		{"a unit twice", update, adding(emulator.UserID(s.Tenant, 40), emulator.UserID(s.Tenant, 40)), "DUPLICATE_PROTECTION_UNIT_IN_LIST", "add_mailbox_protection_units[1]"},
		{"51 units", update, adding(many(51, object)...), "PROTECTION_UNITS_LIMIT_BREACHED", "add_mailbox_protection_units"},
		{"a malformed unit id of a new policy", l.createRPC(), l.unit(notGUID), "INVALID_PROTECTION_UNIT_ID", "mailbox_protection_units[0].directory_object_id"},
		{"a bulk request without resources", l.bulkRPC("Create"), bulk(), "BULK_RESTORE_INVALID_CREATE_REQUEST", "mailboxes"},
		{"a malformed id of a bulk request", l.bulkRPC("Create"), bulk(object, "x"), "BULK_RESTORE_INVALID_CREATE_REQUEST", "directory_object_ids[1]"},
		{"10,001 resources of a bulk request", l.bulkRPC("Create"), bulk(many(10_001, object)...), "BULK_RESTORE_RESTORATION_RESOURCES_COUNT_EXCEEDS_LIMIT", "directory_object_ids"},
		{"a malformed restore point", sessions + "UpdateExchangeRestoreSession", &pb.UpdateExchangeRestoreSessionRequest{RestoreSessionId: session, AddMailboxRestoreArtifacts: []*pb.NewMailboxRestoreArtifact{
			artifact(l.newest(s, 1), toNew), artifact("x", toNew),
		}}, "INVALID_RESTORE_POINT", "add_mailbox_restore_artifacts[1].restore_point.id"},
		{"a recipient without an address", backup + "UpdateEmailNotificationsSetting", &pb.UpdateEmailNotificationsSettingRequest{Recipients: &pb.NotificationRecipientsUpdate{
			CustomRecipients: &pb.NotificationCustomRecipients{Items: []*pb.NotificationCustomRecipient{{Email: "a@b.example"}, {Email: "x"}}},
		}}, "BAD_REQUEST", "recipients.custom_recipients.items[1].email"},
		{"an app owner that is no tenant", backup + "EnableBackupRestore", enableRequest(notGUID), "INVALID_APP_OWNER_TENANT_ID", "app_owner_tenant_id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Some rpcs are for users only.
			s.User = 1
			o := s.Try(c.rpc, c.request)
			violations := o.FieldViolations()
			if o.Reason() != c.reason || len(violations) != 1 || violations[0].GetField() != c.field || violations[0].GetReason() != c.reason || violations[0].GetDescription() == "" {
				t.Errorf("got %s of %v, want %s of %s", o.Reason(), violations, c.reason, c.field)
			}
		})
	}
}

// The texts are of the forms that Graph, and the libraries that it is made with, have been seen to write.
func TestTheFieldIsFoundInTextsOfGraph(t *testing.T) {
	list := &pb.ListMailboxProtectionUnitsRequest{PageSize: 1000, Filter: &pb.ProtectionUnitFilter{Emails: []string{"o'hara@a.example", "a@b.example"}, SiteIds: []string{"s"}}}
	for name, c := range map[string]struct {
		status       int
		error, field string
	}{
		"the option":                   {400, `"message":"Invalid value '1000' for $top query option found."`, "page_size"},
		"the limit of OData":           {400, `"message":"The limit of '999' for Top query has been exceeded. The value from the incoming request is '1000'."`, "page_size"},
		"the size of a page":           {400, `"message":"The maximum allowed page size is 999"`, "page_size"},
		"the filter":                   {400, `"message":"Invalid filter clause: syntax error at position 7."`, "filter"},
		"a property of the filter":     {400, `"message":"Could not find a property named 'siteId' on type 'microsoft.graph.mailboxProtectionUnit'."`, "filter.site_ids"},
		"a value in quotes":            {400, `"message":"The literal 'A@B.example' is no address."`, "filter.emails[1]"},
		"a target that is an option":   {422, `"message":"m","target":"$filter"`, "filter"},
		"a target that is a property":  {413, `"message":"m","target":"email"`, "filter.emails"},
		"a target that is an element":  {400, `"message":"m","target":"email/1"`, "filter.emails[1]"},
		"an element that is not there": {400, `"message":"m","target":"email[2]"`, "filter.emails"},
		"a target that is a value":     {400, `"message":"$top","target":"O'Hara@a.example"`, "filter.emails[0]"},
		"English words":                {400, `"message":"The status and the id are wrong; send an email."`, ""},
		"another option":               {400, `"message":"$select is not supported","target":"$select"`, ""},
		"nothing":                      {400, `"message":"The request is wrong."`, ""},
		"no text":                      {422, `"target":""`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := servicetest.NewOnHandler(t, servicetest.Respond(c.status, `{"error":{"code":"SomethingNew",`+c.error+`}}`))
			o := s.Try(units+"ListMailboxProtectionUnits", list)
			var fields []string
			for _, v := range o.FieldViolations() {
				fields = append(fields, v.GetField())
			}
			if got := strings.Join(fields, " "); got != c.field || !strings.HasPrefix(fmt.Sprint(o.Code()), "InvalidArgument") {
				t.Errorf("got %v of %q, want %q", o.Code(), got, c.field)
			}
		})
	}
}
