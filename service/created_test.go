package service_test

import (
	"fmt"
	"net/http"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// A create whose response does not name what was created has an unknown outcome: the caller looks before it creates
// again.
func TestCreateWithoutANameIsUnknown(t *testing.T) {
	const id = `"id":"61ec3a77-a61a-4e53-80be-5d0e4cc088d3"`
	for _, test := range []struct{ name, body, cause string }{
		{"an empty object", `{}`, "missing-id"},
		{"a list", `{"value":[{` + id + `}]}`, "wrong-type"},
		{"an empty id", `{"id":"","displayName":"x"}`, "missing-id"},
		{"null as id", `{"id":null}`, "missing-id"},
		{"the type of another resource", `{"@odata.type":"#microsoft.graph.serviceApp",` + id + `}`, "wrong-type"},
		{"the type of another workload", `{` + id + `,"@odata.type":"#microsoft.graph.sharePointProtectionPolicy"}`, "wrong-type"},
		{"an escaped type of another resource", `{"@odata.type":"#microsoft.graph.\u0073erviceApp",` + id + `}`, "wrong-type"},
		{"no type", `{` + id + `}`, ""},
		{"null as type", `{"@odata.type":null,` + id + `}`, ""},
		{"the documented type", `{"@odata.type":"#microsoft.graph.exchangeProtectionPolicy",` + id + `}`, ""},
		{"the documented type, in other letters", `{"@odata.type":"#MICROSOFT.graph.ExchangeProtectionPolicy",` + id + `}`, ""},
		{"the type without namespace", `{"@odata.type":"exchangeProtectionPolicy",` + id + `}`, ""},
		{"the base type", `{"@odata.type":"#microsoft.graph.protectionPolicyBase",` + id + `}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := servicetest.NewOnHandler(t, servicetest.Respond(http.StatusCreated, test.body))
			o := s.Try("ProtectionPolicyService/CreateExchangeProtectionPolicy", &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "x"})
			if test.cause == "" {
				if o.Status != nil {
					t.Errorf("got %v", o.Status)
				}
				return
			}
			metadata := servicetest.InfoOf(o.Status).GetMetadata()
			if servicetest.ReasonOf(o.Status) != "OUTCOME_UNKNOWN" || metadata["cause"] != test.cause || metadata["outcome"] != "unknown" || metadata["verifyWith"] == "" {
				t.Errorf("got %v, want OUTCOME_UNKNOWN for %s", o.Status, test.cause)
			}
		})
	}
}

// Every rpc that creates something is held to it.
func TestEveryCreateNeedsAName(t *testing.T) {
	s := servicetest.NewOnHandler(t, servicetest.Respond(http.StatusCreated, `{}`))
	creates := 0
	for _, method := range servicetest.RPCs(t) {
		spec, _ := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall)
		if !spec.GetCreates() {
			continue
		}
		creates++
		name := fmt.Sprintf("%s/%s", method.Parent().Name(), method.Name())
		if o := s.Try(name, requestWithIDs(t, method)); o.Reason() != "OUTCOME_UNKNOWN" {
			t.Errorf("%s: %v", name, o.Status)
		}
	}
	if creates != 18 {
		t.Errorf("%d rpcs create something", creates)
	}
}
