package service_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// canaryError is an error object with canaries in all its texts.
const canaryError = `{"code":"https://` + servicetest.CanaryText + `.example/sites/a","message":"ada@` + servicetest.CanaryText + `.example sent Bearer ` + servicetest.CanaryToken +
	`, eyJh.eyJi.` + servicetest.CanaryToken + ` and ?$skiptoken=` + servicetest.CanaryToken + `","target":"` + servicetest.CanaryText + `",
	"details":[{"code":"EmailNotFound","message":"` + servicetest.CanaryText + ` Bearer ` + servicetest.CanaryToken + `","target":"ada@` + servicetest.CanaryText + `.example"},{"code":"` + servicetest.CanaryText + `@"}],
	"innerError":{"code":"%s","message":"` + servicetest.CanaryText + `","request-id":"` + servicetest.CanaryText + `@","client-request-id":"` + servicetest.CanaryText + `/","date":"` + servicetest.CanaryText + `"}}`

// canaryResource is a valid response with canaries in all its texts. It can be read as a list and as a single resource.
const canaryResource = `{"id":"` + servicetest.CanaryText + `","displayName":"` + servicetest.CanaryText + `","email":"ada@` + servicetest.CanaryText + `.example","siteWebUrl":"https://` + servicetest.CanaryText + `.example",
	"siteName":"` + servicetest.CanaryText + `","error":` + canaryError + `}`

const canaryList = `{"value":[` + canaryResource + `],"@odata.nextLink":"/solutions/backupRestore/x?$skiptoken=` + servicetest.CanaryToken + `",` +
	`"mailboxProtectionUnits@delta":[{"id":"` + servicetest.CanaryText + `","@Core.DataModificationException":{"info":` + canaryError + `,"failedOperation":"remove"}}],` +
	`"displayName":"` + servicetest.CanaryText + `"}`

// canaryResponses are the responses of the upstream by name.
var canaryResponses = map[string]http.HandlerFunc{
	"resource":        servicetest.Respond(200, fmt.Sprintf(canaryResource, "QuotaExceeded")),
	"unknown trouble": servicetest.Respond(200, fmt.Sprintf(canaryResource, servicetest.CanaryText+"@")),
	"list":            servicetest.Respond(200, strings.ReplaceAll(canaryList, "%s", "EmailNotFound")),
	"refused":         servicetest.Respond(400, `{"error":`+fmt.Sprintf(canaryError, "InvalidProtectionUnitId")+`}`),
	"unknown code":    servicetest.Respond(404, `{"error":`+fmt.Sprintf(canaryError, servicetest.CanaryText+"@")+`}`),
	"unauthorized":    servicetest.Respond(401, `{"error":`+fmt.Sprintf(canaryError, "x")+`}`),
	"forbidden":       servicetest.Respond(403, `{"error":`+fmt.Sprintf(canaryError, "Forbidden")+`}`),
	"throttled":       servicetest.Respond(429, `{"error":`+fmt.Sprintf(canaryError, "x")+`}`),
	"server's code":   servicetest.Respond(500, `{"error":`+fmt.Sprintf(canaryError, "TooManyActiveRestoreSessions")+`}`),
	"failed":          servicetest.Respond(500, `{"error":`+fmt.Sprintf(canaryError, "x")+`}`),
	"unavailable":     servicetest.Respond(503, "<html>"+servicetest.CanaryText+" "+servicetest.CanaryToken),
	"gateway":         servicetest.Respond(504, servicetest.CanaryText+servicetest.CanaryToken),
	"redirect":        servicetest.Respond(302, servicetest.CanaryText),
	"no JSON":         servicetest.Respond(200, servicetest.CanaryText+" "+servicetest.CanaryToken),
	"of another type": servicetest.Respond(200, `{"id":["`+servicetest.CanaryText+`"],"value":"`+servicetest.CanaryToken+`"}`),
}

// canaryUpstream responds with one of canaryResponses, and with canaries in the headers.
type canaryUpstream struct {
	mu     sync.Mutex
	next   string
	served map[string]int
	sent   []string
}

func (u *canaryUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	name := u.next
	u.served[name]++
	u.sent = append(u.sent, r.Header.Get("Authorization"))
	u.mu.Unlock()
	h := w.Header()
	h.Set("request-id", "ada@"+servicetest.CanaryText+".example")
	h.Set("client-request-id", strings.Repeat(servicetest.CanaryText, 20))
	h.Set("Location", "https://"+servicetest.CanaryText+".example/?$skiptoken="+servicetest.CanaryToken)
	h.Set("WWW-Authenticate", `Bearer error="insufficient_claims", claims="`+servicetest.CanaryToken+`"`)
	h.Set("Retry-After", servicetest.CanaryText)
	h.Set("Server", servicetest.CanaryText)
	canaryResponses[name](w, r)
}

// stats returns how often a response was served, and the Authorization of the first request.
func (u *canaryUpstream) stats(name string) (served int, authorization string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.served[name], u.sent[0]
}

func (u *canaryUpstream) setNext(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.next = name
}

func TestNoCanaryAppearsWhereItMustNot(t *testing.T) {
	t.Run("without keys", func(t *testing.T) { sendCanaries(t, "") })
	t.Run("with keys", func(t *testing.T) { sendCanaries(t, uuid.NewString()) })
}

// sendCanaries calls each rpc for each response. With a key all calls have it: the tenants and rpcs differ.
func sendCanaries(t *testing.T, key string) {
	t.Helper()
	upstream := &canaryUpstream{served: make(map[string]int)}
	endpoint := servicetest.NewOnHandler(t, upstream.ServeHTTP).Endpoint
	client, err := graph.New(graph.Options{Endpoint: endpoint, Tokens: servicetest.TokenFunc(func() (string, error) { return servicetest.CanaryToken, nil }), Repeats: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s := servicetest.NewOnEndpoint(t, endpoint, withKeys, func(o *service.Options) { o.Graph = client })

	rpcs, texts, statuses := servicetest.RPCs(t), 0, make(map[codes.Code]int)
	for name := range canaryResponses {
		upstream.setNext(name)
		for _, rpc := range rpcs {
			s.NextTenant()
			o, response := canaryCall(s, rpc, key)
			if leak := servicetest.Leak(s.Log.String()); leak != "" {
				t.Fatalf("%s, response %q, is logged: %s", rpc.Name(), name, leak)
			}
			if key != "" && strings.Contains(s.Log.String(), key) {
				t.Fatalf("%s, response %q: the key is logged", rpc.Name(), name)
			}
			if strings.Contains(fmt.Sprint(o.Header, o.Trailer), servicetest.Canary) {
				t.Errorf("%s, response %q: in header or trailer: %v %v", rpc.Name(), name, o.Header, o.Trailer)
			}
			if o.Status == nil {
				texts += strings.Count(prototext.Format(response), servicetest.CanaryText)
				if strings.Contains(prototext.Format(response), servicetest.CanaryToken) {
					t.Errorf("%s, response %q: a token is in the response: %v", rpc.Name(), name, response)
				}
				continue
			}
			statuses[codes.Code(o.Status.GetCode())]++
			checkCanaryStatus(t, fmt.Sprintf("%s, response %q", rpc.Name(), name), o)
		}
	}

	// The canaries were sent, and the check of the log recognizes them.
	for name := range canaryResponses {
		if served, authorization := upstream.stats(name); served < len(rpcs)-10 || authorization != "Bearer "+servicetest.CanaryToken {
			t.Errorf("%q was served %d times, for %d rpcs; Graph was sent %q", name, served, len(rpcs), authorization)
		}
	}
	if texts == 0 || len(statuses) < 6 {
		t.Errorf("%d canaries in good responses; codes %v", texts, statuses)
	}
	upstream.setNext("refused")
	_, err = client.Do(s.Context(), &graph.Request{Method: "GET", Target: graph.Root + "/protectionPolicies", RequestID: unknown, Safe: true})
	var failed *graph.Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	for _, careless := range []string{failed.Message, failed.Target, failed.Codes[0], failed.Details[0].Target} {
		slog.New(slog.NewJSONHandler(s.Log, nil)).Info("call", "error", careless)
		if servicetest.Leak(s.Log.String()) == "" {
			t.Errorf("%q was logged and is not seen", careless)
		}
	}
}

// canaryCall calls an rpc with canaries in all texts of its request and in its metadata.
func canaryCall(s *servicetest.Server, rpc protoreflect.MethodDescriptor, key string) (*servicetest.Outcome, proto.Message) {
	s.TB.Helper()
	request, response := servicetest.NewMessage(s.TB, rpc.Input()), servicetest.NewMessage(s.TB, rpc.Output())
	servicetest.FillWithCanaries(request.ProtoReflect())
	if field := rpc.Input().Fields().ByName("idempotency_key"); field != nil && key != "" {
		request.ProtoReflect().Set(field, protoreflect.ValueOfString(key))
	}
	ctx := metadata.AppendToOutgoingContext(s.Context(), "authorization", "Bearer "+servicetest.CanaryToken, "x-user-assertion", servicetest.CanaryToken, "x-request-id", servicetest.CanaryText)
	o := s.CallContext(ctx, fmt.Sprintf("%s/%s", rpc.Parent().Name(), rpc.Name()), request, response)
	return o, response
}

// checkCanaryStatus checks that a Status has no token, that its metadata have no text of Graph's, and that the rest has
// one only when Graph refused what the caller did.
func checkCanaryStatus(t *testing.T, what string, o *servicetest.Outcome) {
	t.Helper()
	text := prototext.Format(o.Status)
	for _, packed := range o.Status.GetDetails() {
		message, err := packed.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		text += prototext.Format(message)
	}
	if strings.Contains(text, servicetest.CanaryToken) {
		t.Errorf("%s: a token is in the Status: %s", what, text)
	}
	info := o.Info()
	if strings.Contains(fmt.Sprint(info), servicetest.Canary) {
		t.Errorf("%s: %v", what, info)
	}
	refused := strings.HasPrefix(info.GetMetadata()["httpStatus"], "4")
	if strings.Contains(text, servicetest.CanaryText) && !refused {
		t.Errorf("%s: Graph's text is in the Status: %s", what, text)
	}
	if refused && o.Status.GetCode() != int32(codes.Internal) && !strings.Contains(o.Status.GetMessage(), servicetest.CanaryText) {
		t.Errorf("%s: Graph's text on what the caller did is missing: %s", what, text)
	}
}

func TestAMalformedTenantIsNotRepeated(t *testing.T) {
	s := servicetest.New(t)
	s.Tenant = servicetest.CanaryText + "@contoso.example"
	o := getPolicy(s, servicetest.CanaryRequest).call
	if o.Reason() != "INVALID_TENANT_ID" || strings.Contains(fmt.Sprint(o.Status, o.Trailer), servicetest.Canary) || servicetest.Leak(s.Log.String()) != "" {
		t.Errorf("got %v %v, log %s", o.Status, o.Trailer, s.Log)
	}
}
