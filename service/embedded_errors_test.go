package service_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// TestEveryEmbeddedErrorBecomesAStatus has the upstream embed the same error wherever a response can have one. A Status
// has to appear in every message of the contract that has a field for one, and in every rpc that returns such a
// message.
func TestEveryEmbeddedErrorBecomesAStatus(t *testing.T) {
	const failure = `{"code":"x","message":"m","innerError":{"code":"DuplicateArtifactRestoreRequest"},"details":[{"code":"EmailNotFound","target":"ada@a.example"}]}`
	var list atomic.Bool
	s := servicetest.NewOnHandler(t, func(w http.ResponseWriter, _ *http.Request) {
		item := `{"id":"` + unknown + `","@contentId":"1","error":` + failure + `,"@Core.DataModificationException":{"info":` + failure + `,"failedOperation":"add"}}`
		var deltas strings.Builder
		for _, collection := range []string{
			"mailboxProtectionUnits", "driveProtectionUnits", "siteProtectionUnits", "mailboxRestoreArtifacts", "driveRestoreArtifacts",
			"siteRestoreArtifacts", "granularDriveRestoreArtifacts", "granularSiteRestoreArtifacts",
		} {
			deltas.WriteString(`,"` + collection + `@delta":[` + item + `]`)
		}
		value := ""
		if list.Load() {
			value = `,"value":[` + item + `]`
		}
		io.WriteString(w, `{"id":"`+unknown+`","error":`+failure+deltas.String()+value+"}")
	})
	// Some rpcs are for users only.
	s.User = 1
	seen := make(map[protoreflect.FullName]bool)
	rpcs := 0
	for _, rpc := range servicetest.RPCs(t) {
		if !holdsStatus(rpc.Output(), make(map[protoreflect.FullName]bool)) {
			continue
		}
		rpcs++
		list.Store(isList(rpc))
		o, response := callAny(s, rpc)
		if o.Status != nil {
			t.Errorf("%s: %v", rpc.Name(), o.Status)
			continue
		}
		found := 0
		eachStatus(response.ProtoReflect(), func(holder protoreflect.Message, s *statuspb.Status) {
			found++
			seen[holder.Descriptor().FullName()] = true
			checkEmbedded(t, fmt.Sprintf("%s of %s", holder.Descriptor().Name(), rpc.Name()), holder, s)
		})
		// The artifacts of a new session get their errors later.
		if found == 0 && !strings.HasPrefix(string(rpc.Name()), "Create") && rpc.Parent().Name() != "RestorePointService" {
			t.Errorf("%s: no error in %v", rpc.Name(), response)
		}
	}
	var want []protoreflect.FullName
	protoregistry.GlobalTypes.RangeMessages(func(m protoreflect.MessageType) bool {
		if strings.HasPrefix(string(m.Descriptor().FullName()), "m365.backupstorage.v1.") && statusField(m.Descriptor()) != nil {
			want = append(want, m.Descriptor().FullName())
		}
		return true
	})
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) || len(want) < 10 {
		t.Errorf("errors came out in %v, want %v", got, want)
	}
	t.Logf("%d messages through %d rpcs", len(want), rpcs)
}

func checkEmbedded(t *testing.T, what string, holder protoreflect.Message, s *statuspb.Status) {
	t.Helper()
	reason, retry := "DUPLICATE_ARTIFACT_RESTORE_REQUEST", true
	if holder.Descriptor().Name() == "FailedResource" {
		reason, retry = "EMAIL_NOT_FOUND", false
	}
	if servicetest.ReasonOf(s) != reason || (servicetest.Detail[*errdetails.RetryInfo](s) != nil) != retry {
		t.Errorf("%s: got %v, want %s", what, s, reason)
	}
	if _, ok := servicetest.InfoOf(s).GetMetadata()["httpStatus"]; ok || servicetest.Detail[*errdetails.RequestInfo](s) != nil {
		t.Errorf("%s: the call was OK, and the Status speaks of a failed one: %v", what, s)
	}
}

// statusField is the field of a message that holds an embedded error, nil when it has none.
func statusField(d protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	if f := d.Fields().ByName("error"); f != nil && f.Message() != nil && f.Message().FullName() == "google.rpc.Status" {
		return f
	}
	return nil
}

// holdsStatus reports whether a message, or one in it, can hold an embedded error.
func holdsStatus(d protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[d.FullName()] || !strings.HasPrefix(string(d.FullName()), "m365.") {
		return false
	}
	seen[d.FullName()] = true
	if statusField(d) != nil {
		return true
	}
	for i := range d.Fields().Len() {
		if field := d.Fields().Get(i); field.Message() != nil && !field.IsMap() && holdsStatus(field.Message(), seen) {
			return true
		}
	}
	return false
}

// eachStatus visits the embedded errors of a message and of all messages in it.
func eachStatus(m protoreflect.Message, visit func(holder protoreflect.Message, s *statuspb.Status)) {
	if f := statusField(m.Descriptor()); f != nil && m.Has(f) {
		if s, ok := m.Get(f).Message().Interface().(*statuspb.Status); ok {
			visit(m, s)
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				eachStatus(value.List().Get(i).Message(), visit)
			}
		default:
			eachStatus(value.Message(), visit)
		}
		return true
	})
}

// callAny calls an rpc with a request that the server accepts.
func callAny(s *servicetest.Server, rpc protoreflect.MethodDescriptor) (*servicetest.Outcome, proto.Message) {
	s.TB.Helper()
	request, response := servicetest.NewMessage(s.TB, rpc.Input()), servicetest.NewMessage(s.TB, rpc.Output())
	fields := request.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); field.Kind() == protoreflect.StringKind && !field.IsList() && field.Name() != "page_token" && field.Name() != "idempotency_key" {
			request.ProtoReflect().Set(field, protoreflect.ValueOfString(unknown))
		}
	}
	return s.Call(fmt.Sprintf("%s/%s", rpc.Parent().Name(), rpc.Name()), request, response), response
}

func TestAnErrorInA200IsNoEmptyResource(t *testing.T) {
	const list = policies + "ListProtectionPolicies"
	call := map[string]func(s *servicetest.Server) *servicetest.Outcome{
		"read":  read,
		"write": write,
		"list": func(s *servicetest.Server) *servicetest.Outcome {
			return s.Try(list, new(pb.ListProtectionPoliciesRequest))
		},
		"delete": func(s *servicetest.Server) *servicetest.Outcome { return deletePolicy(s, unknownPolicy).call },
	}
	for _, c := range []struct {
		name, body  string
		read, write string
	}{
		{"a known code", ` {"error" : {"code":"PolicyNotFound","message":"m"}}`, "POLICY_NOT_FOUND", "POLICY_NOT_FOUND"},
		{"an unknown code", `{"error":{"code":"new","message":"m"}}`, "GRAPH_RESPONSE_INVALID", "OUTCOME_UNKNOWN"},
		{"a text", "{\n\t\"error\": \"broken\"}", "GRAPH_RESPONSE_INVALID", "OUTCOME_UNKNOWN"},
		{"nothing wrong", `{"error":null,"id":"1","displayName":"p","value":null}`, "", ""},
	} {
		for kind, do := range call {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				s := servicetest.NewOnHandler(t, servicetest.Respond(200, c.body, "request-id", "graph-1"))
				o, want := do(s), c.read
				if kind == "write" || kind == "delete" {
					want = c.write
				}
				if o.Reason() != want || (o.Status == nil) != (want == "") {
					t.Fatalf("got %v, want %q", o.Status, want)
				}
				if want != "" && (o.Info().GetMetadata()["httpStatus"] != "200" || o.Info().GetMetadata()["graphRequestId"] != "graph-1") {
					t.Errorf("got %v", o.Status)
				}
			})
		}
	}
}
