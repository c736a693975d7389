package service_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
)

// Strings that are planted, and must not come out in certain places. No other text has them.
const (
	// canary is a part of each.
	canary = "canary7f3e"
	// canaryText is in what Graph says of the tenant: names, addresses, URLs, messages.
	canaryText = canary + "text"
	// canaryToken is a bearer token, an assertion, a skip token or a claim.
	canaryToken = canary + "token"
	// canaryRequest is in what the caller asks for.
	canaryRequest = canary + "request"
)

// canaryError is an error object with canaries wherever it has a text.
const canaryError = `{"code":"https://` + canaryText + `.example/sites/a","message":"ada@` + canaryText + `.example sent Bearer ` + canaryToken +
	`, eyJh.eyJi.` + canaryToken + ` and ?$skiptoken=` + canaryToken + `","target":"` + canaryText + `",
	"details":[{"code":"EmailNotFound","message":"` + canaryText + ` Bearer ` + canaryToken + `","target":"ada@` + canaryText + `.example"},{"code":"` + canaryText + `@"}],
	"innerError":{"code":"%s","message":"` + canaryText + `","request-id":"` + canaryText + `@","client-request-id":"` + canaryText + `/","date":"` + canaryText + `"}}`

// canaryResource is a good answer with canaries wherever it has a text, of a list and of a single resource in one.
const canaryResource = `{"id":"` + canaryText + `","displayName":"` + canaryText + `","email":"ada@` + canaryText + `.example","siteWebUrl":"https://` + canaryText + `.example",
	"siteName":"` + canaryText + `","error":` + canaryError + `}`

const canaryList = `{"value":[` + canaryResource + `],"@odata.nextLink":"/solutions/backupRestore/x?$skiptoken=` + canaryToken + `",` +
	`"mailboxProtectionUnits@delta":[{"id":"` + canaryText + `","@Core.DataModificationException":{"info":` + canaryError + `,"failedOperation":"remove"}}],` +
	`"displayName":"` + canaryText + `"}`

// canaryFaces are the ways in which the upstream answers.
var canaryFaces = map[string]http.HandlerFunc{
	"resource":        answering(200, fmt.Sprintf(canaryResource, "QuotaExceeded")),
	"unknown trouble": answering(200, fmt.Sprintf(canaryResource, canaryText+"@")),
	"list":            answering(200, strings.ReplaceAll(canaryList, "%s", "EmailNotFound")),
	"refused":         answering(400, `{"error":`+fmt.Sprintf(canaryError, "InvalidProtectionUnitId")+`}`),
	"unknown code":    answering(404, `{"error":`+fmt.Sprintf(canaryError, canaryText+"@")+`}`),
	"unauthorized":    answering(401, `{"error":`+fmt.Sprintf(canaryError, "x")+`}`),
	"forbidden":       answering(403, `{"error":`+fmt.Sprintf(canaryError, "Forbidden")+`}`),
	"throttled":       answering(429, `{"error":`+fmt.Sprintf(canaryError, "x")+`}`),
	"server's code":   answering(500, `{"error":`+fmt.Sprintf(canaryError, "TooManyActiveRestoreSessions")+`}`),
	"failed":          answering(500, `{"error":`+fmt.Sprintf(canaryError, "x")+`}`),
	"unavailable":     answering(503, "<html>"+canaryText+" "+canaryToken),
	"gateway":         answering(504, canaryText+canaryToken),
	"redirect":        answering(302, canaryText),
	"no JSON":         answering(200, canaryText+" "+canaryToken),
	"of another type": answering(200, `{"id":["`+canaryText+`"],"value":"`+canaryToken+`"}`),
}

// canaryUpstream answers with one face at a time, and with canaries in the headers of each.
type canaryUpstream struct {
	mu     sync.Mutex
	face   string
	served map[string]int
	sent   []string
}

func (u *canaryUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	face := u.face
	u.served[face]++
	u.sent = append(u.sent, r.Header.Get("Authorization"))
	u.mu.Unlock()
	h := w.Header()
	h.Set("request-id", "ada@"+canaryText+".example")
	h.Set("client-request-id", strings.Repeat(canaryText, 20))
	h.Set("Location", "https://"+canaryText+".example/?$skiptoken="+canaryToken)
	h.Set("WWW-Authenticate", `Bearer error="insufficient_claims", claims="`+canaryToken+`"`)
	h.Set("Retry-After", canaryText)
	h.Set("Server", canaryText)
	canaryFaces[face](w, r)
}

// what tells how often a face was served, and with which Authorization the first request came.
func (u *canaryUpstream) what(face string) (served int, authorization string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.served[face], u.sent[0]
}

func (u *canaryUpstream) turn(face string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.face = face
}

func TestNothingPlantedComesOutWhereItMustNot(t *testing.T) {
	upstream := &canaryUpstream{served: make(map[string]int)}
	endpoint := newWorldAnswering(t, upstream.ServeHTTP).upstream
	client, err := graph.New(graph.Options{Endpoint: endpoint, Tokens: tokens(func() (string, error) { return canaryToken, nil }), Repeats: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	w := newWorldOn(t, endpoint, func(o *service.Options) { o.Graph = client })

	rpcs, texts, statuses := everyRPC(t), 0, make(map[codes.Code]int)
	for face := range canaryFaces {
		upstream.turn(face)
		for _, rpc := range rpcs {
			w.moves()
			o, response := w.canaryCall(rpc)
			if leak := leaked(w.log.String()); leak != "" {
				t.Fatalf("%s, answered with %q, is logged: %s", rpc.Name(), face, leak)
			}
			if strings.Contains(fmt.Sprint(o.header, o.trailer), canary) {
				t.Errorf("%s, answered with %q: in header or trailer: %v %v", rpc.Name(), face, o.header, o.trailer)
			}
			if o.status == nil {
				texts += strings.Count(prototext.Format(response), canaryText)
				if strings.Contains(prototext.Format(response), canaryToken) {
					t.Errorf("%s, answered with %q: a token is in the response: %v", rpc.Name(), face, response)
				}
				continue
			}
			statuses[codes.Code(o.status.GetCode())]++
			checkCanaryStatus(t, fmt.Sprintf("%s, answered with %q", rpc.Name(), face), o)
		}
	}

	// The canaries were there to come out, and what looks for them in the log finds them.
	for face := range canaryFaces {
		if served, authorization := upstream.what(face); served < len(rpcs)-10 || authorization != "Bearer "+canaryToken {
			t.Errorf("%q was served %d times, for %d rpcs; Graph was sent %q", face, served, len(rpcs), authorization)
		}
	}
	if texts == 0 || len(statuses) < 6 {
		t.Errorf("%d canaries in good answers; codes %v", texts, statuses)
	}
	upstream.turn("refused")
	_, err = client.Do(w.context(), &graph.Request{Method: "GET", Target: graph.Root + "/protectionPolicies", RequestID: unknown, Safe: true})
	var failed *graph.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	for _, careless := range []string{failed.Message, failed.Target, failed.Codes[0], failed.Details[0].Target} {
		slog.New(slog.NewJSONHandler(w.log, nil)).Info("call", "error", careless)
		if leaked(w.log.String()) == "" {
			t.Errorf("%q was logged and is not seen", careless)
		}
	}
}

// canaryCall calls an rpc with canaries in all texts of its request and in its metadata.
func (w *world) canaryCall(rpc protoreflect.MethodDescriptor) (*outcome, proto.Message) {
	w.t.Helper()
	request, response := newMessage(w.t, rpc.Input()), newMessage(w.t, rpc.Output())
	plant(request.ProtoReflect())
	ctx := metadata.AppendToOutgoingContext(w.context(), "authorization", "Bearer "+canaryToken, "x-user-assertion", canaryToken, "x-request-id", canaryText)
	o := w.callWith(ctx, fmt.Sprintf("%s/%s", rpc.Parent().Name(), rpc.Name()), request, response)
	return o, response
}

// plant fills a request: texts with canaries that can stand in a path, and numbers as the contract allows.
func plant(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Name() == "page_token" || field.Name() == "page_size" || field.IsMap() ||
			field.ContainingOneof() != nil && m.WhichOneof(field.ContainingOneof()) != nil {
			continue
		}
		if field.Message() != nil {
			if strings.HasPrefix(string(field.Message().FullName()), "google.") {
				continue
			}
			if field.IsList() {
				plant(m.Mutable(field).List().AppendMutable().Message())
			} else {
				plant(m.Mutable(field).Message())
			}
			continue
		}
		var value protoreflect.Value
		switch field.Kind() {
		case protoreflect.StringKind:
			value = protoreflect.ValueOfString(canaryRequest)
		case protoreflect.EnumKind:
			value = protoreflect.ValueOfEnum(field.Enum().Values().Get(field.Enum().Values().Len() - 1).Number())
		default:
			continue
		}
		if field.IsList() {
			m.Mutable(field).List().Append(value)
		} else {
			m.Set(field, value)
		}
	}
}

// leaked returns the first line of a log that has a canary, or the tenant.
func leaked(log string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, canary) || strings.Contains(line, emulator.TenantA) {
			return line
		}
	}
	return ""
}

// checkCanaryStatus checks that a Status has no token at all, no text of Graph's in its metadata, and one in the rest
// only when Graph refused what the caller did.
func checkCanaryStatus(t *testing.T, what string, o *outcome) {
	t.Helper()
	text := prototext.Format(o.status)
	for _, packed := range o.status.GetDetails() {
		message, err := packed.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		text += prototext.Format(message)
	}
	if strings.Contains(text, canaryToken) {
		t.Errorf("%s: a token is in the Status: %s", what, text)
	}
	info := infoOf(o.status)
	if strings.Contains(fmt.Sprint(info), canary) {
		t.Errorf("%s: %v", what, info)
	}
	refused := strings.HasPrefix(info.GetMetadata()["httpStatus"], "4")
	if strings.Contains(text, canaryText) && !refused {
		t.Errorf("%s: Graph's text is in the Status: %s", what, text)
	}
	if refused && o.status.GetCode() != int32(codes.Internal) && !strings.Contains(o.status.GetMessage(), canaryText) {
		t.Errorf("%s: Graph's text on what the caller did is missing: %s", what, text)
	}
}

func TestATenantThatIsNoneIsNotRepeated(t *testing.T) {
	w := newWorld(t)
	w.tenant = canaryText + "@contoso.example"
	o := w.getPolicy(canaryRequest).call
	if o.reason() != "INVALID_TENANT_ID" || strings.Contains(fmt.Sprint(o.status, o.trailer), canary) || leaked(w.log.String()) != "" {
		t.Errorf("got %v %v, log %s", o.status, o.trailer, w.log)
	}
}
