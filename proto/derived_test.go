package proto_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	backupstoragev1 "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// derivedServices have no documented operations.
var derivedServices = []protoreflect.Name{"ProtectionUnitStreamService", "RestoreArtifactStreamService", "WatchService"}

// Streams of pages share the messages of their lists, so that a cut one goes on with either. Nothing else shares a
// message, and nothing but these and the watches streams. buf allows the first for whole files only.
func TestOnlyStreamsOfPagesShareMessages(t *testing.T) {
	lists := map[string]rpc{}
	for _, r := range rpcs() {
		lists[string(r.Parent().Name())+"/"+r.name()] = r
		if r.IsStreamingClient() || r.IsStreamingServer() {
			t.Errorf("%s: streams", r.name())
		}
	}
	counts := map[string]int{}
	users := map[protoreflect.FullName]string{}
	for _, r := range derived() {
		of := r.call.GetOf()
		read, ok := lists[of]
		if !ok {
			t.Errorf("%s: reads with %s, which is no operation", r.name(), of)
			continue
		}
		kind, resource := "", ""
		for _, prefix := range []string{"Stream", "Wait", "Watch"} {
			if name, ok := strings.CutPrefix(r.name(), prefix); ok {
				kind, resource = prefix, name
			}
		}
		counts[kind]++
		if r.IsStreamingServer() != (kind != "Wait") || r.IsStreamingClient() {
			t.Errorf("%s: streams from the server: %t, from the client: %t", r.name(), r.IsStreamingServer(), r.IsStreamingClient())
		}
		if derivedService := slices.Contains(derivedServices, r.Parent().Name()); derivedService != (kind != "Wait") {
			t.Errorf("%s: is in %s", r.name(), r.Parent().Name())
		}
		request, response := pkg.Append(protoreflect.Name(r.name()+"Request")), pkg.Append(protoreflect.Name(r.name()+"Response"))
		want := "Get" + resource
		if kind == "Stream" {
			want, request, response = "List"+resource, read.Input().FullName(), read.Output().FullName()
		}
		if read.name() != want {
			t.Errorf("%s: reads with %s, want %s", r.name(), read.name(), want)
		}
		if r.Input().FullName() != request || r.Output().FullName() != response {
			t.Errorf("%s: takes %s and returns %s, want %s and %s", r.name(), r.Input().FullName(), r.Output().FullName(), request, response)
		}
		for _, m := range []protoreflect.FullName{r.Input().FullName(), r.Output().FullName()} {
			if other := users[m]; other != "" {
				t.Errorf("%s: shares %s with %s", r.name(), m, other)
			}
			users[m] = r.name()
		}
		if r.level != descriptorpb.MethodOptions_NO_SIDE_EFFECTS || !proto.Equal(r.call, &backupstoragev1.GraphCall{Of: of}) {
			t.Errorf("%s: its level is %s, and graph_call %v has more than `of`", r.name(), r.level, r.call)
		}
	}
	if want := map[string]int{"Stream": 11, "Wait": 14, "Watch": 5}; fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("there are %v, want %v", counts, want)
	}
}

// A wait and a watch ask for a resource by the ids of their read, and return it as the read does.
func TestWaitsHaveTheShapeOfTheirReads(t *testing.T) {
	reads := map[string]rpc{}
	for _, r := range rpcs() {
		reads[string(r.Parent().Name())+"/"+r.name()] = r
	}
	fields := func(m protoreflect.MessageDescriptor) (all []string) {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			kind := f.Kind().String()
			switch {
			case f.Message() != nil:
				kind = string(f.Message().Name())
			case f.Enum() != nil:
				kind = string(f.Enum().Name())
			}
			all = append(all, fmt.Sprintf("%s %s %s", f.Cardinality(), kind, f.Name()))
		}
		return all
	}
	for _, r := range derived() {
		read := reads[r.call.GetOf()]
		if strings.HasPrefix(r.name(), "Stream") {
			continue
		}
		status := statusOf(read.Output())
		request := append(fields(read.Input()), "optional string seen")
		response := append(fields(read.Output()), "optional string revision")
		if strings.HasPrefix(r.name(), "Wait") {
			request = append(request, fmt.Sprintf("repeated %s until", status.Enum().Name()), "optional Duration max_wait")
			response = append(response, "optional WaitResult result")
		}
		if got := fields(r.Input()); !slices.Equal(got, request) {
			t.Errorf("%s: the request has %v, want %v", r.name(), got, request)
		}
		if got := fields(r.Output()); !slices.Equal(got, response) {
			t.Errorf("%s: the response has %v, want %v", r.name(), got, response)
		}
	}
}

// statusOf returns the field with the status of a response's resource.
func statusOf(response protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	resource := response.Fields().Get(0).Message()
	if f := resource.Fields().ByName("status"); f != nil {
		return f
	}
	return resource.Fields().ByName("service_status").Message().Fields().ByName("status")
}

// Which states are terminal decides whether a wait hangs, so each is written down here a second time: the states that
// Graph leaves by itself, and of these the short ones.
func TestStatesThatGraphLeavesByItself(t *testing.T) {
	passing := map[string]string{
		"BackupServiceStatus":               "PROTECTION_CHANGE_LOCKED",
		"ProtectionPolicyStatus":            "UPDATING",
		"ProtectionUnitStatus":              "PROTECT_REQUESTED UNPROTECT_REQUESTED REMOVE_REQUESTED OFFBOARD_REQUESTED CANCEL_OFFBOARD_REQUESTED",
		"InclusionRuleStatus":               "DRAFT ACTIVE UPDATE_REQUESTED DELETE_REQUESTED",
		"RestoreSessionStatus":              "ACTIVATING ACTIVE",
		"ProtectionUnitsBulkJobStatus":      "UNKNOWN ACTIVE",
		"RestoreArtifactsBulkRequestStatus": "UNKNOWN ACTIVE",
		"ServiceAppStatus":                  "PENDING_ACTIVE PENDING_INACTIVE",
	}
	short := []protoreflect.Name{"RESTORE_SESSION_STATUS_ACTIVATING"}
	marked := 0
	for _, file := range files() {
		for i := range file.Enums().Len() {
			enum := file.Enums().Get(i)
			want, waited := passing[string(enum.Name())]
			var got []string
			for k := range enum.Values().Len() {
				v := enum.Values().Get(k)
				stay := graphValue(v).GetStay()
				if stay != backupstoragev1.GraphValue_STAY_UNSPECIFIED {
					marked++
				}
				if (stay == backupstoragev1.GraphValue_SHORT) != slices.Contains(short, v.Name()) {
					t.Errorf("%s: stay is %s", v.Name(), stay)
				}
				if stay == backupstoragev1.GraphValue_TERMINAL && (!waited || k < 2) {
					t.Errorf("%s: is terminal, and nobody waits for it", v.Name())
				}
				if k > 1 && stay != backupstoragev1.GraphValue_TERMINAL {
					got = append(got, strings.TrimPrefix(string(v.Name()), upperSnake(string(enum.Name()))+"_"))
				}
			}
			if waited && strings.Join(got, " ") != want {
				t.Errorf("%s: Graph leaves %v by itself, want %s", enum.Name(), got, want)
			}
		}
	}
	if marked != 22 {
		t.Errorf("%d states have a stay, want 22", marked)
	}
}
