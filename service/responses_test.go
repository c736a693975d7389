package service_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

func TestAClaimsChallengeHasAReasonOfItsOwn(t *testing.T) {
	const challenge = `Bearer error="insufficient_claims", claims="eyJhY2Nlc3MifQ=="`
	for _, c := range []struct {
		name, body, challenge string
		status                int
		reason                string
	}{
		{"as the code", `{"error":{"code":"insufficient_claims"}}`, "", 403, "INSUFFICIENT_CLAIMS"},
		{"as the inner code", `{"error":{"code":"Forbidden","innerError":{"code":"insufficient_claims"}}}`, "", 403, "INSUFFICIENT_CLAIMS"},
		{"as the header", `{"error":{"code":"accessDenied"}}`, challenge, 403, "INSUFFICIENT_CLAIMS"},
		{"as the header of Forbidden", `{"error":{"code":"Forbidden"}}`, challenge, 403, "INSUFFICIENT_CLAIMS"},
		{"beside a known code", `{"error":{"code":"PolicyActionNotAllowed"}}`, challenge, 403, "POLICY_ACTION_NOT_ALLOWED"},
		{"of a 401, which keeps its meaning", `{"error":{"code":"insufficient_claims"}}`, challenge, 401, "UNAUTHORIZED"},
		{"missing", `{"error":{"code":"accessDenied"}}`, "", 403, "FORBIDDEN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := read(servicetest.NewOnHandler(t, servicetest.Respond(c.status, c.body, "WWW-Authenticate", c.challenge)))
			if o.Reason() != c.reason {
				t.Fatalf("got %v, want %s", o.Status, c.reason)
			}
			if permission := o.Info().GetMetadata()["permission"]; (permission != "") != (o.Code() == codes.PermissionDenied) {
				t.Errorf("permission %q with %v", permission, o.Code())
			}
			if strings.Contains(o.Status.String(), "eyJ") {
				t.Errorf("the claims are in the Status: %v", o.Status)
			}
		})
	}
}

func TestAStatusOutsideHTTPIsAnInvalidResponse(t *testing.T) {
	for _, status := range []int{600, 999} {
		s := servicetest.NewOnHandler(t, servicetest.Respond(status, `{"error":{"code":"new"}}`))
		for reason, o := range map[string]*servicetest.Outcome{"GRAPH_RESPONSE_INVALID": read(s), "OUTCOME_UNKNOWN": write(s)} {
			metadata := o.Info().GetMetadata()
			if o.Reason() != reason || metadata["cause"] != "status" || metadata["httpStatus"] != fmt.Sprint(status) {
				t.Errorf("%d: got %v, want %s", status, o.Status, reason)
			}
		}
	}
}

func TestAPageThatIsGoneKeepsGraphsCode(t *testing.T) {
	s := servicetest.NewOnHandler(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("$skiptoken") == "" {
			rw.Write([]byte(`{"value":[],"@odata.nextLink":"/solutions/backupRestore/protectionPolicies?$skiptoken=2"}`))
			return
		}
		rw.WriteHeader(http.StatusGone)
		rw.Write([]byte(`{"error":{"code":"syncStateNotFound"}}`))
	})
	const list = policies + "ListProtectionPolicies"
	first := servicetest.Must[pb.ListProtectionPoliciesResponse](s, list, new(pb.ListProtectionPoliciesRequest))
	o := s.Try(list, &pb.ListProtectionPoliciesRequest{PageToken: first.GetNextPageToken()})
	metadata := o.Info().GetMetadata()
	if o.Reason() != "INVALID_PAGE_TOKEN" || metadata["graphCode"] != "syncStateNotFound" || metadata["httpStatus"] != "410" {
		t.Errorf("got %v", o.Status)
	}
}

func TestASearchIsRefusedForWhatItLacks(t *testing.T) {
	const unit = "e0000011-f1af-426c-8b0c-000000000003"
	period := &pb.TimePeriod{StartDateTime: timestamppb.Now(), EndDateTime: timestamppb.Now()}
	for _, c := range []struct {
		name, method string
		request      proto.Message
		field        string
	}{
		{"a list without a time", "ListRestorePoints", &pb.ListRestorePointsRequest{ProtectionUnitId: unit}, "protection_date_time_before"},
		{"a list without a unit", "ListRestorePoints", &pb.ListRestorePointsRequest{ProtectionDateTimeBefore: timestamppb.Now()}, "protection_unit_id"},
		{"a search without a time", "SearchRestorePoints", &pb.SearchRestorePointsRequest{ProtectionUnitIds: []string{unit}}, "protection_time_period"},
		{"a search without units", "SearchRestorePoints", &pb.SearchRestorePointsRequest{ProtectionTimePeriod: period}, "protection_unit_ids"},
		{"a search that lacks nothing", "SearchRestorePoints", &pb.SearchRestorePointsRequest{ProtectionTimePeriod: period, ProtectionUnitIds: []string{unit}}, "protection_time_period"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := servicetest.NewOnHandler(t, servicetest.Respond(400, `{"error":{"code":"InvalidSearchRequest"}}`))
			violations := s.Try(restorePoints+c.method, c.request).FieldViolations()
			if len(violations) != 1 || violations[0].GetField() != c.field || violations[0].GetReason() != "INVALID_SEARCH_REQUEST" || violations[0].GetDescription() == "" {
				t.Errorf("got %v, want the field %s", violations, c.field)
			}
		})
	}
}

func TestEachSeparateErrorNamesItsOwnField(t *testing.T) {
	s := servicetest.NewOnHandler(t, servicetest.Respond(400, `{"error":{"code":"InvalidProtectionUnitId","details":[
		{"code":"InvalidDisplayName","message":"a"},{"code":"EmailNotFound","message":"b"},{"code":"New","message":"c"}]}}`))
	var got []string
	for _, v := range write(s).FieldViolations() {
		got = append(got, v.GetField()+" "+v.GetReason()+" "+v.GetDescription())
	}
	want := []string{
		"display_name INVALID_DISPLAY_NAME InvalidDisplayName: a",
		"mailbox_protection_units EMAIL_NOT_FOUND EmailNotFound: b",
		"mailbox_protection_units INVALID_PROTECTION_UNIT_ID New: c",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
}

func TestEmbeddedErrorsAreReadLikeThoseOfCalls(t *testing.T) {
	job := func(body string) *statuspb.Status {
		s := servicetest.NewOnHandler(t, servicetest.Respond(200, `{"id":"1","error":`+body+`}`))
		return servicetest.Must[pb.GetMailboxProtectionUnitsBulkAdditionJobResponse](s, "ProtectionUnitBulkAdditionJobService/GetMailboxProtectionUnitsBulkAdditionJob",
			&pb.GetMailboxProtectionUnitsBulkAdditionJobRequest{ProtectionPolicyId: unknownPolicy, BulkAdditionJobId: unknown}).GetBulkAdditionJob().GetError()
	}
	for _, c := range []struct {
		name, body, reason string
		code               codes.Code
		text               bool
	}{
		{"a known code", `{"code":"ProtectionResourcesNotFound","message":"graph's text"}`, "PROTECTION_RESOURCES_NOT_FOUND", codes.NotFound, true},
		{"an inner code", `{"code":"x","message":"graph's text","innerError":{"code":"EmailNotFound"}}`, "EMAIL_NOT_FOUND", codes.NotFound, true},
		{"no code, and details that have one", `{"details":[{"code":"new"},{"code":"SiteUrlNotFound","message":"m"}]}`, "SITE_URL_NOT_FOUND", codes.NotFound, false},
		{"an unknown code, with a message of our own", `{"code":"new","message":"graph's text"}`, "UNKNOWN_ERROR", codes.Unknown, false},
		{"a list", `[{"code":"ProtectionResourcesNotFound","message":"graph's text"}]`, "PROTECTION_RESOURCES_NOT_FOUND", codes.NotFound, true},
		{"a text", `"graph's text"`, "UNKNOWN_ERROR", codes.Unknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := job(c.body)
			if servicetest.ReasonOf(got) != c.reason || codes.Code(got.GetCode()) != c.code || strings.Contains(got.GetMessage(), "graph's text") != c.text {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestTheErrorOfARuleHasItsSeparateErrors(t *testing.T) {
	s := servicetest.NewOnHandler(t, servicetest.Respond(200, `{"id":"1","error":{"code":"invalidGroupId","message":"m","details":[
		{"code":"invalidGroupId","message":"group 1"},{"code":"ProtectionUnitAlreadyExists","message":"user 2"}]}}`))
	rule := servicetest.Must[pb.GetMailboxInclusionRuleResponse](s, "InclusionRuleService/GetMailboxInclusionRule",
		&pb.GetMailboxInclusionRuleRequest{ProtectionPolicyId: unknownPolicy, InclusionRuleId: unknown}).GetInclusionRule()
	violations := servicetest.FieldViolationsOf(rule.GetError())
	if len(violations) != 2 || violations[0].GetDescription() != "invalidGroupId: group 1" || violations[1].GetReason() != "PROTECTION_UNIT_ALREADY_EXISTS" {
		t.Errorf("got %v", violations)
	}
}

func TestOnlyAFailedRemovalMeansThatTheItemIsNotThere(t *testing.T) {
	for exception, want := range map[string]string{
		`{"info":{"code":"Invalid","message":"m"},"failedOperation":"remove"}`:                           "PROTECTION_UNIT_NOT_FOUND",
		`{"info":{"code":"Invalid","message":"m"},"failedOperation":"Remove"}`:                           "PROTECTION_UNIT_NOT_FOUND",
		`{"info":{"code":"Invalid","target":"remove"},"failedOperation":"add"}`:                          "INVALID_ITEM",
		`{"info":{"code":"Invalid"},"failedOperation":["remove"]}`:                                       "INVALID_ITEM",
		`{"info":{"code":"ProtectionUnitAlreadyExists"},"failedOperation":"remove"}`:                     "PROTECTION_UNIT_ALREADY_EXISTS",
		`{"info":{"code":"Invalid","innererror":{"code":"EmailNotFound"}},"failedOperation":"remove"}`:   "EMAIL_NOT_FOUND",
		`{"info":{"code":"new","message":"m"},"failedOperation":"remove","responseCode":409,"x":[null]}`: "UNKNOWN_ERROR",
	} {
		s := servicetest.NewOnHandler(t, servicetest.Respond(200, `{"mailboxProtectionUnits@delta":[{"id":"`+unknown+`","@contentId":"7","@Core.DataModificationException":`+exception+`}]}`))
		changes := servicetest.Must[pb.UpdateExchangeProtectionPolicyResponse](s, policies+"UpdateExchangeProtectionPolicy",
			&pb.UpdateExchangeProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy}).GetMailboxProtectionUnits()
		if len(changes) != 1 || servicetest.ReasonOf(changes[0].GetError()) != want || changes[0].GetContentId() != "7" {
			t.Errorf("%s: got %v, want %s", exception, changes, want)
		}
	}
}

func TestUnknownCodesAreCountedAndFlaggedAndNotLogged(t *testing.T) {
	const code = "SomethingNew"
	for _, c := range []struct {
		name, body string
		status     int
		want       map[string]uint64
	}{
		{"an unknown code of a call", `{"error":{"code":"` + code + `"}}`, 400, map[string]uint64{"call": 1}},
		{"an unknown inner code", `{"error":{"code":"PolicyNotFound","innerError":{"code":"` + code + `"}}}`, 404, map[string]uint64{"call": 1}},
		{"unknown codes in details", `{"error":{"code":"InvalidPolicyId","details":[{"code":"` + code + `"},{"code":"` + code + `"},{"code":"EmailNotFound"}]}}`, 400, map[string]uint64{"detail": 2}},
		{"an unknown code of an embedded error", `{"error":{"code":"` + code + `"}}`, 200, map[string]uint64{"resource": 1}},
		{"a known code", `{"error":{"code":"PolicyNotFound","innerError":{"date":"x"}}}`, 404, nil},
		{"a generic code", `{"error":{"code":"UnknownError"}}`, 500, nil},
		{"no code", "", 500, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := servicetest.NewOnHandler(t, servicetest.Respond(c.status, c.body))
			getUnit(s, unknown)
			want := map[string]uint64{"call": 0, "resource": 0, "detail": 0}
			maps.Copy(want, c.want)
			if got := s.Services.UnknownCodes(); !maps.Equal(got, want) {
				t.Errorf("counted %v, want %v", got, want)
			}
			if flagged := strings.Contains(s.Log.String(), `"unknownCode":true`); flagged != (want["call"] > 0) {
				t.Errorf("flagged is %v: %s", flagged, s.Log)
			}
			if strings.Contains(s.Log.String(), code) {
				t.Errorf("the code is in the log: %s", s.Log)
			}
		})
	}
}

func TestAnAddressInsteadOfACodeIsLeftOut(t *testing.T) {
	for _, code := range []string{"ada@contoso.example", "https://contoso.example/sites/a", "Bearer opaque"} {
		o := read(servicetest.NewOnHandler(t, servicetest.Respond(404, `{"error":{"code":"`+code+`","innerError":{"code":"`+code+`!"}}}`)))
		metadata := o.Info().GetMetadata()
		if _, present := metadata["graphCode"]; o.Reason() != "NOT_FOUND" || present || strings.Contains(o.Status.String(), code) {
			t.Errorf("got %v", o.Status)
		}
	}
}

func TestARemovalAtFaultIsTheFieldThatIsNamed(t *testing.T) {
	for code, reason := range map[string]string{
		"InvalidProtectionUnitId": "INVALID_PROTECTION_UNIT_ID", "DuplicateProtectionUnitInList": "DUPLICATE_PROTECTION_UNIT_IN_LIST",
		"ProtectionUnitsLimitBreached": "PROTECTION_UNITS_LIMIT_BREACHED",
	} {
		s := servicetest.NewOnHandler(t, servicetest.Respond(400, `{"error":{"code":"`+code+`"}}`))
		for _, l := range workloads {
			o := s.Try(l.updateRPC(), l.update(s, unknownPolicy, 1, 0, notGUID))
			violations := o.FieldViolations()
			if want := "remove_" + strings.TrimSuffix(l.field, "s") + "_ids"; o.Reason() != reason || len(violations) != 1 || violations[0].GetField() != want {
				t.Errorf("got %s of %v, want %s of %s", o.Reason(), violations, reason, want)
			}
		}
	}
}
