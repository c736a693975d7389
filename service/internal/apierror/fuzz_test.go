package apierror

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

const fuzzID = "5d1e3f5a-0000-4000-8000-000000000001"

// fuzzResponse is what the upstream of FuzzTranslate answers.
type fuzzResponse struct {
	status     int
	retryAfter string
	body       []byte
}

// FuzzTranslate lets an upstream answer anything to any operation, and looks at the Status that comes of it: at that of
// the call, and at that of an item with the same error embedded.
func FuzzTranslate(f *testing.F) {
	for i, body := range []string{
		"", "<html>", `{"error":"text"}`, `{"error":{"code":"PolicyNotFound","message":"m","innerError":{"code":"x","request-id":"r"}}}`,
		`{"error":{"code":"InvalidProtectionUnitId","details":[{"code":"EmailNotFound","message":"one","target":"t"},{},{"message":"m"},{"code":"c"}]}}`,
		`{"error":{"code":"generalException","message":"` + strings.Repeat(`\u202e%ж`, 200) + `"}}`, "{\"code\":\"\xff\x00\\ud800\"}",
		`{"error":{"code":"TooManyActiveRestoreSessions"}}`, `{"error":{"code":"Invalid"}} "remove"`, `{"error":{"code":"BadRequest","message":"` + strings.Repeat("m", 300),
	} {
		for _, status := range []uint16{400, 403, 404, 429, 500, 502, 503, 307} {
			f.Add(status, []string{"", "2.5", "-1", "Fri, 20 Nov 2026 12:00:00 GMT", "1e9"}[i%5], []byte(body), uint8(i*11+int(status)))
		}
	}
	var next atomic.Pointer[fuzzResponse]
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		response := next.Load()
		rw.Header().Set("request-id", fuzzID)
		if response.retryAfter != "" {
			rw.Header().Set("Retry-After", response.retryAfter)
		}
		rw.WriteHeader(response.status)
		rw.Write(response.body)
	}))
	f.Cleanup(upstream.Close)
	client, err := graph.New(graph.Options{Endpoint: upstream.URL, Tokens: graph.Unsigned{}, Repeats: -1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	var calls atomic.Int64
	translator, c := steady(f)
	var methods []string
	for _, op := range c.Operations() {
		methods = append(methods, op.FullMethod)
	}
	slices.Sort(methods)
	f.Fuzz(func(t *testing.T, number uint16, retryAfter string, body []byte, index uint8) {
		// From 300 to 999: what is below is no error.
		// What no header can hold, the client takes for no answer at all.
		retryAfter = strings.ToValidUTF8(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return -1
			}
			return r
		}, retryAfter), "")
		response := &fuzzResponse{status: 300 + (int(number)+400)%700, retryAfter: retryAfter, body: body}
		next.Store(response)
		op := c.OfMethod(methods[int(index)%len(methods)])
		_, err := client.Do(t.Context(), &graph.Request{
			// A tenant that was throttled is left alone for a while, so each call has a tenant of its own.
			Method: op.Spec.GetMethod(), Target: graph.Root, Safe: op.Safe, Tenant: strconv.FormatInt(calls.Add(1), 10),
		})
		if _, ok := errors.AsType[*graph.Error](err); !ok {
			t.Fatalf("%d is no error: %v", response.status, err)
		}
		failure := translator.Translate(op, requestWithIDs(op), "own", err)
		checkFuzzed(t, failure.Status(), failure, op)
		checkFuzzedHead(t, failure, response.status, op)

		item := pb.GraphItemError{JSON: body, ID: "id", Property: "error"}
		e := graph.ErrorBody(body)
		embedded := translator.embedded(op, e, item, e.Details)
		checkFuzzed(t, embedded.Status(), embedded, op)
		_, resources := translator.Embedded(op, item, new(UnknownEmbedded))
		for _, resource := range resources {
			if size := proto.Size(resource.GetError()); size > maxStatus || reasonNamed(resource.GetError()) == nil {
				t.Errorf("failed resource of %d bytes: %v", size, resource)
			}
		}
	})
}

// requestWithIDs is a request of an operation with an id in each field of its path.
func requestWithIDs(op *contract.Operation) protoreflect.Message {
	request := dynamicpb.NewMessage(op.Request)
	for _, s := range op.Path {
		if s.Field != nil {
			request.Set(s.Field, protoreflect.ValueOfString("id"))
		}
	}
	return request
}

// reasonNamed returns the spec of the reason in the first detail, nil when there is none.
func reasonNamed(s *statuspb.Status) *pb.ErrorSpec {
	info := new(errdetails.ErrorInfo)
	if len(s.GetDetails()) == 0 || s.GetDetails()[0].UnmarshalTo(info) != nil {
		return nil
	}
	value := pb.ErrorReason(0).Descriptor().Values().ByName(protoreflect.Name(info.GetReason()))
	if value == nil || value.Number() == 0 {
		return nil
	}
	spec, _ := proto.GetExtension(value.Options(), pb.E_ErrorSpec).(*pb.ErrorSpec)
	if spec.GetDomain() != info.GetDomain() {
		return nil
	}
	return spec
}

// detailOrder is the order of the details of a Status, of which each is there at most once.
var detailOrder = []string{"ErrorInfo", "RetryInfo", "BadRequest", "PreconditionFailure", "QuotaFailure", "ResourceInfo", "RequestInfo", "Help"}

func checkFuzzed(t *testing.T, s *statuspb.Status, f *Failure, op *contract.Operation) {
	t.Helper()
	text, err := proto.Marshal(s)
	if err != nil || len(text) > maxStatus {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	received := new(statuspb.Status)
	if err := proto.Unmarshal(text, received); err != nil {
		t.Fatal(err)
	}
	spec := reasonNamed(received)
	if spec == nil {
		t.Fatalf("no known reason first in %v", received)
	}
	if codes.Code(s.GetCode()) != codes.Code(spec.GetCode()) || s.GetCode() == 0 || status.Code(status.ErrorProto(f.Status())) != codes.Code(s.GetCode()) {
		t.Errorf("%s: code %v, want %v", op.Name, s.GetCode(), spec.GetCode())
	}
	at := 0
	for _, packed := range received.GetDetails() {
		detail, err := packed.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		name := string(detail.ProtoReflect().Descriptor().Name())
		index := slices.Index(detailOrder[at:], name)
		if index < 0 {
			t.Fatalf("%s is out of order in %v", name, received)
		}
		at += index + 1
		checkTexts(t, detail.ProtoReflect())
		switch d := detail.(type) {
		case *errdetails.RetryInfo:
			if delay := d.GetRetryDelay().AsDuration(); delay < MinRetryDelay || delay > time.Hour || spec.GetRetry() == pb.ErrorSpec_NEVER {
				t.Errorf("%s asks to wait for %v", op.Name, delay)
			}
		case *errdetails.ErrorInfo:
			for key, value := range d.GetMetadata() {
				if len(value) > maxValue || value == "" {
					t.Errorf("%s is %q", key, value)
				}
			}
		}
	}
	if len(s.GetMessage()) > maxText || s.GetMessage() == "" || deceives(s.GetMessage()) {
		t.Errorf("message %q", s.GetMessage())
	}
}

// checkTexts looks at all texts of a message, at any depth.
func checkTexts(t *testing.T, m protoreflect.Message) {
	t.Helper()
	check := func(field protoreflect.FieldDescriptor, value protoreflect.Value) {
		switch {
		case field.Message() != nil:
			checkTexts(t, value.Message())
		case field.Kind() == protoreflect.StringKind && deceives(value.String()):
			t.Errorf("%s is %q", field.FullName(), value)
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				check(field.MapValue(), v)
				return true
			})
		case field.IsList():
			for i := range value.List().Len() {
				check(field, value.List().Get(i))
			}
		default:
			check(field, value)
		}
		return true
	})
}

// deceives tells of texts that are not UTF-8, or that show something else than what they are.
func deceives(text string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r >= 0x200B && r <= 0x200D || r == 0xFEFF
	})
}

// checkFuzzedHead looks at what the head of an answer says, which no body changes.
func checkFuzzedHead(t *testing.T, f *Failure, number int, op *contract.Operation) {
	t.Helper()
	if f.metadata["httpStatus"] != strconv.Itoa(number) || f.requestID != fuzzID || f.metadata["graphRequestId"] != fuzzID {
		t.Errorf("%d: metadata %v, request id %q", number, f.metadata, f.requestID)
	}
	want := map[int]string{401: "UNAUTHORIZED", 429: "TOO_MANY_REQUESTS", 503: "SERVICE_UNAVAILABLE", 504: "GATEWAY_TIMEOUT", 509: "BANDWIDTH_LIMIT_EXCEEDED"}[number]
	if number < 400 {
		want = "GRAPH_RESPONSE_INVALID"
	}
	if !op.Safe && (number < 400 || number == 504) {
		want = "OUTCOME_UNKNOWN"
	}
	if want != "" && f.Reason() != want {
		t.Errorf("%d is %s, want %s", number, f.Reason(), want)
	}
}
