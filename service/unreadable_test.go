package service_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const byteOrderMark = "\xef\xbb\xbf"

func TestAByteOrderMarkIsNoPartOfAResponse(t *testing.T) {
	const id = "61ec3a77-a61a-4e53-80be-5d0e4cc088d3"
	for _, test := range []struct {
		rpc     string
		request proto.Message
		status  int
		body    string
		reason  string
	}{
		{"ProtectionPolicyService/ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest), 200, `{"value":[]}`, ""},
		{"ProtectionPolicyService/CreateExchangeProtectionPolicy", new(pb.CreateExchangeProtectionPolicyRequest), 201, `{"id":"` + id + `"}`, ""},
		{"ProtectionPolicyService/CreateExchangeProtectionPolicy", new(pb.CreateExchangeProtectionPolicyRequest), 201, `{"@odata.type":"#microsoft.graph.serviceApp","id":"x"}`, "OUTCOME_UNKNOWN"},
		{"ProtectionPolicyService/GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: id}, 200, `{"error":{"code":"PolicyNotFound"}}`, "POLICY_NOT_FOUND"},
		{"ProtectionPolicyService/GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: id}, 404, `{"error":{"code":"PolicyNotFound"}}`, "POLICY_NOT_FOUND"},
	} {
		s := servicetest.NewOnHandler(t, servicetest.Respond(test.status, byteOrderMark+test.body))
		if o := s.Try(test.rpc, test.request); o.Reason() != test.reason {
			t.Errorf("%s, %d %s: got %v", test.rpc, test.status, test.body, o.Status)
		}
	}
}

// TestWhatCannotBeReadStandsInTheLog has a page with values that cannot be read. The call is OK, and the log names
// their properties and nothing of what they hold.
func TestWhatCannotBeReadStandsInTheLog(t *testing.T) {
	const body = `{"value":[{"id":"1","displayName":"Confidential"},
		{"id":"2","createdDateTime":"9999-12-31T23:59:59-08:00","status":"PausedByAdmin","displayName":{"x":"Confidential"}},
		{"id":"3","status":"Confidential Ltd. <a@b.example>"},{"id":"4","status":"PausedByAdmin"}]}`
	s := servicetest.NewOnHandler(t, servicetest.Respond(http.StatusOK, body))
	for range 2 {
		response := new(pb.ListProtectionPoliciesResponse)
		if o := s.Call("ProtectionPolicyService/ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest), response); o.Status != nil {
			t.Fatal(o.Status)
		}
		if p := response.GetProtectionPolicies(); len(p) != 4 || p[1].GetId() != "2" || p[1].GetCreatedDateTime() != nil ||
			p[1].GetStatus() != pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_UNKNOWN_FUTURE_VALUE || p[1].GetDisplayName() != "" {
			t.Errorf("got %v", p)
		}
	}
	log := s.Log.String()
	if strings.Contains(log, "Confidential") || strings.Contains(log, "23:59") {
		t.Errorf("the log has values: %s", log)
	}
	var unread, members []string
	for text := range strings.Lines(log) {
		var line struct {
			Msg, Operation, RequestID, Property, Member string
			Count                                       int
			Values                                      []string
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		switch line.Msg {
		case "values of a response could not be read":
			unread = append(unread, fmt.Sprint(line.Operation, line.Count, line.Values))
		case "unknown enum member":
			members = append(members, line.Property+" "+line.Member)
		default:
			continue
		}
		if !graph.IsGUID(line.RequestID) {
			t.Errorf("no request id: %s", text)
		}
	}
	const want = "ProtectionPolicyService/ListProtectionPolicies2 [value[1].createdDateTime: a date and time of the years 1 to 9999 expected" +
		" value[1].displayName: a string expected]"
	if len(unread) != 2 || unread[0] != want || unread[1] != want {
		t.Errorf("got %q, want twice %q", unread, want)
	}
	// Once a minute each.
	if got := strings.Join(members, ", "); got != "value[].status PausedByAdmin, value[].status (not shown)" {
		t.Errorf("got the members %q", got)
	}
	if s.Services.UnreadValues() != 4 || s.Services.UnknownMembers() != 6 {
		t.Errorf("counted %d and %d, want 4 and 6", s.Services.UnreadValues(), s.Services.UnknownMembers())
	}
}

// TestAResponseOfTheOtherTypeIsInvalid answers each rpc that reads one resource with a list, and each that lists with
// a resource: both would be empty responses otherwise.
func TestAResponseOfTheOtherTypeIsInvalid(t *testing.T) {
	const list, resource = `{"@odata.context":"x","value":[{"id":"1"}]}`, `{"@odata.context":"x","id":"1","status":"active"}`
	s := servicetest.NewOnHandler(t, servicetest.Respond(http.StatusOK, list))
	other := servicetest.NewOnHandler(t, servicetest.Respond(http.StatusOK, resource))
	lists, resources := 0, 0
	for _, method := range servicetest.RPCs(t) {
		if method.Output().Fields().Len() == 0 {
			continue
		}
		on, want := s, "value"
		if isList(method) {
			on, want = other, ""
			lists++
		} else {
			resources++
		}
		on.User = 1
		o := on.Try(fmt.Sprintf("%s/%s", method.Parent().Name(), method.Name()), requestWithIDs(t, method))
		metadata := o.Info().GetMetadata()
		if reason := o.Reason(); reason != "GRAPH_RESPONSE_INVALID" && reason != "OUTCOME_UNKNOWN" || metadata["cause"] != "wrong-type" || metadata["property"] != want {
			t.Errorf("%s: %v", method.FullName(), o.Status)
		}
		if retry := servicetest.Detail[*errdetails.RetryInfo](o.Status); retry != nil {
			t.Errorf("%s: the next response will be the same, but %v", method.FullName(), retry)
		}
	}
	if lists < 20 || resources < 50 {
		t.Errorf("%d lists and %d resources", lists, resources)
	}
}

func isList(method protoreflect.MethodDescriptor) bool {
	return method.Output().Fields().ByName("next_page_token") != nil
}

// requestWithIDs is the request of an rpc with an id wherever the path needs one.
func requestWithIDs(t *testing.T, method protoreflect.MethodDescriptor) proto.Message {
	t.Helper()
	spec, _ := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall)
	request := servicetest.NewMessage(t, method.Input()).ProtoReflect()
	for i := range method.Input().Fields().Len() {
		if field := method.Input().Fields().Get(i); strings.Contains(spec.GetPath(), "{"+string(field.Name())+"}") {
			request.Set(field, protoreflect.ValueOfString("id"))
		}
	}
	return request.Interface()
}

func TestASyntaxErrorSaysWhere(t *testing.T) {
	s := servicetest.NewOnHandler(t, servicetest.Respond(http.StatusOK, `{"value":[{"id":"1"},]}`))
	o := s.Try("ProtectionPolicyService/ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest))
	metadata := o.Info().GetMetadata()
	if o.Reason() != "GRAPH_RESPONSE_INVALID" || metadata["cause"] != "syntax" || metadata["offset"] != "21" {
		t.Errorf("got %v", o.Status)
	}
	if servicetest.Detail[*errdetails.RetryInfo](o.Status) != nil {
		t.Error("the next response will be the same, but there is a RetryInfo")
	}
	if log := s.Log.String(); !strings.Contains(log, `"cause":"syntax","offset":"21"`) {
		t.Errorf("the log: %s", log)
	}
}
