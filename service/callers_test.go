package service_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// The tenants of these tests: the callers have the first one, nobody has the second one, and the third does not exist.
const (
	grantedTenant = "11111111-2222-4333-8444-000000000001"
	othersTenant  = "11111111-2222-4333-8444-000000000002"
	unknownTenant = "99999999-9999-4999-8999-999999999999"
)

// identified is a server with identities, an issuer of tokens, and counts of what reaches the world behind it.
type identified struct {
	*servicetest.Server
	tb      testing.TB
	callers *service.Callers
	key     *ecdsa.PrivateKey
	// requests counts what reaches Graph, tokens what reaches the token authority.
	requests, tokens atomic.Int64
}

// rightsText has a caller for each way to have rights. Their names are those of the `sub` of their tokens.
const rightsText = `version: 1
issuers:
  - {issuer: https://issuer.example, audience: backupstorage, principalClaim: sub, jwksFile: keys.json}
callers:
  - {principal: "oidc:https://issuer.example#admin", tenants: ["` + grantedTenant + `"], role: admin}
  - {principal: "oidc:https://issuer.example#delegate", tenants: ["` + grantedTenant + `"], role: admin, onBehalfOfUsers: true}
  - {principal: "oidc:https://issuer.example#reader", tenants: ["` + grantedTenant + `"], role: reader}
  - {principal: "oidc:https://issuer.example#adder", tenants: ["` + grantedTenant + `"], permissions: [PERMISSIONS], effects: [READ, ADD]}
  - {principal: "oidc:https://issuer.example#late", tenants: ["` + grantedTenant + `"], role: admin, notAfter: 2020-01-01T00:00:00Z}
  - {principal: "oidc:https://issuer.example#elsewhere", tenants: ["` + othersTenant + `"], role: admin}
`

// newIssuer is the issuer of an identified server, and the rights of its callers.
func newIssuer(tb testing.TB) *identified {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	s := &identified{tb: tb, key: key}
	if s.callers, err = service.NewCallers(slog.New(slog.DiscardHandler)); err != nil {
		tb.Fatal(err)
	}
	permissions := make(map[string]bool)
	for _, method := range servicetest.RPCs(tb) {
		spec, _ := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall)
		permissions[spec.GetPermission()] = true
	}
	var names []string
	for name := range permissions {
		names = append(names, name)
	}
	s.use(tb, strings.Replace(rightsText, "PERMISSIONS", strings.Join(names, ", "), 1))
	return s
}

func newIdentified(tb testing.TB, options ...servicetest.Option) *identified {
	tb.Helper()
	s := newIssuer(tb)
	e := emulator.New(emulator.Options{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		e.ServeHTTP(w, r)
	}))
	tb.Cleanup(upstream.Close)
	client, err := graph.New(graph.Options{Endpoint: upstream.URL + "/v1.0", Tokens: countingTokens{&s.tokens}, UserAgent: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	options = append([]servicetest.Option{func(o *service.Options) { o.Graph, o.Callers = client, s.callers }}, options...)
	s.Server = servicetest.NewOnEndpoint(tb, upstream.URL+"/v1.0", options...)
	return s
}

// use replaces the rights file.
func (s *identified) use(tb testing.TB, text string) {
	tb.Helper()
	keys := s.jwks()
	file, err := s.callers.Parse([]byte(text), func(string) ([]byte, error) { return keys, nil })
	if err == nil {
		err = s.callers.Use(file)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// jwks is the issuer's set of keys.
func (s *identified) jwks() []byte {
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		s.tb.Fatal(err)
	}
	return keys
}

// countingTokens is an authority that counts what it is asked.
type countingTokens struct{ asked *atomic.Int64 }

func (c countingTokens) Token(ctx context.Context, request graph.TokenRequest) (string, error) {
	c.asked.Add(1)
	return graph.Unsigned{}.Token(ctx, request)
}

// token is a token of the issuer for a caller; change can change its claims.
func (s *identified) token(name string, change func(map[string]any)) string {
	claims := map[string]any{
		"iss": "https://issuer.example", "aud": "backupstorage", "sub": name, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}
	if change != nil {
		change(claims)
	}
	payload, _ := json.Marshal(claims)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: "1"}}, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		s.tb.Fatal(err)
	}
	text, _ := signed.CompactSerialize()
	return text
}

// call calls an rpc with a token, none for the empty one, in a tenant.
func (s *identified) call(method protoreflect.MethodDescriptor, request proto.Message, token, tenant string, more ...string) *servicetest.Outcome {
	ctx, cancel := context.WithTimeout(s.TB.Context(), 20*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, more...)
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	if tenant != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant)
	}
	return s.CallContext(ctx, fmt.Sprintf("%s/%s", method.Parent().Name(), method.Name()), request, new(emptypb.Empty))
}

// plain is a Status without what tells one call from another.
func plain(s *statuspb.Status) string {
	copied := proto.CloneOf(s)
	for _, d := range copied.GetDetails() {
		if strings.HasSuffix(d.GetTypeUrl(), ".RequestInfo") {
			d.Value = nil
		}
		if strings.HasSuffix(d.GetTypeUrl(), ".ErrorInfo") {
			info := servicetest.InfoOf(s)
			delete(info.Metadata, "operation")
			d.Value, _ = proto.MarshalOptions{Deterministic: true}.Marshal(info)
		}
		if strings.HasSuffix(d.GetTypeUrl(), ".Help") {
			d.Value = nil
		}
	}
	text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(copied)
	return string(text)
}

// TestEveryRPCAsksWhoCalls calls each rpc as everybody who must not, and looks at what got through: nothing.
func TestEveryRPCAsksWhoCalls(t *testing.T) {
	s := newIdentified(t)
	tokens := map[string]string{}
	for _, name := range []string{"admin", "delegate", "reader", "adder", "late", "elsewhere", "stranger"} {
		tokens[name] = s.token(name, nil)
	}
	expired := s.token("admin", func(c map[string]any) { c["exp"] = time.Now().Add(-2 * time.Hour).Unix() })
	assertion := s.token("user", nil)
	statuses := make(map[string]map[string]bool)
	denied := func(method protoreflect.MethodDescriptor, request proto.Message, what, want, token, tenant string, more ...string) {
		t.Helper()
		before, beforeTokens := s.requests.Load(), s.tokens.Load()
		o := s.call(method, request, token, tenant, more...)
		if o.Reason() != want {
			t.Errorf("%s, %s: got %v, want %s", method.FullName(), what, o.Status, want)
			return
		}
		if s.requests.Load() != before || s.tokens.Load() != beforeTokens {
			t.Errorf("%s, %s: something was sent", method.FullName(), what)
		}
		if statuses[want] == nil {
			statuses[want] = make(map[string]bool)
		}
		statuses[want][plain(o.Status)] = true
	}
	removing := 0
	for _, method := range servicetest.RPCs(t) {
		spec, _ := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall)
		request := requestWithIDs(t, method)
		denied(method, request, "no identity", "CALLER_UNAUTHENTICATED", "", grantedTenant)
		denied(method, request, "an expired token", "CALLER_UNAUTHENTICATED", expired, grantedTenant)
		denied(method, request, "a caller that nobody knows", "CALLER_NOT_ALLOWED", tokens["stranger"], grantedTenant)
		denied(method, request, "another caller's tenant", "CALLER_NOT_ALLOWED", tokens["admin"], othersTenant)
		denied(method, request, "an unknown tenant", "CALLER_NOT_ALLOWED", tokens["admin"], unknownTenant)
		denied(method, request, "a caller of another tenant", "CALLER_NOT_ALLOWED", tokens["elsewhere"], grantedTenant)
		denied(method, request, "after notAfter", "CALLER_NOT_ALLOWED", tokens["late"], grantedTenant)
		denied(method, request, "on behalf of a user without the right", "CALLER_NOT_ALLOWED", tokens["admin"], grantedTenant, "x-user-assertion", assertion)
		if spec.GetEffect() != pb.GraphCall_READ {
			denied(method, request, "a write of a reader", "CALLER_NOT_ALLOWED", tokens["reader"], grantedTenant)
		}
		if spec.GetEffect() == pb.GraphCall_REMOVE {
			removing++
			denied(method, request, "a removal of who may add", "CALLER_NOT_ALLOWED", tokens["adder"], grantedTenant)
		}
		for i := range method.Input().Fields().Len() {
			field := method.Input().Fields().Get(i)
			option, _ := proto.GetExtension(field.Options(), pb.E_GraphField).(*pb.GraphField)
			if option.GetEffect() != pb.GraphCall_REMOVE {
				continue
			}
			removing++
			with := proto.Clone(request).ProtoReflect()
			with.Mutable(field).List().Append(protoreflect.ValueOfString("id"))
			denied(method, with.Interface(), "a field that removes", "CALLER_NOT_ALLOWED", tokens["adder"], grantedTenant)
		}
		// Who may, does: whatever Graph says then.
		if o := s.call(method, request, tokens["admin"], grantedTenant); slices.Contains([]string{"CALLER_UNAUTHENTICATED", "CALLER_NOT_ALLOWED"}, o.Reason()) {
			t.Errorf("%s is denied to an admin: %v", method.FullName(), o.Status)
		}
	}
	for reason, all := range statuses {
		if len(all) != 1 {
			t.Errorf("%s comes as %d different Statuses", reason, len(all))
		}
	}
	if removing < 13 {
		t.Errorf("%d removals were tried", removing)
	}
	if log := s.Log.String(); strings.Contains(log, tokens["admin"]) || strings.Contains(log, assertion) {
		t.Error("a token is in the log")
	}
}

// TestRightsAreThoseOfTheMoment takes rights away and gives them while the connection lasts.
func TestRightsAreThoseOfTheMoment(t *testing.T) {
	s := newIdentified(t)
	method := methodNamed(t, "ListProtectionPolicies")
	token := s.token("admin", nil)
	if o := s.call(method, new(pb.ListProtectionPoliciesRequest), token, grantedTenant); o.Status != nil {
		t.Fatal(o.Status)
	}
	s.use(t, "version: 1\nissuers:\n  - {issuer: https://issuer.example, audience: backupstorage, principalClaim: sub, jwksFile: k}\n"+
		"callers:\n  - {principal: \"oidc:https://issuer.example#reader\", tenants: [\""+grantedTenant+"\"], role: reader}\n")
	if o := s.call(method, new(pb.ListProtectionPoliciesRequest), token, grantedTenant); o.Reason() != "CALLER_NOT_ALLOWED" {
		t.Errorf("after the rights are gone: %v", o.Status)
	}
	if o := s.call(method, new(pb.ListProtectionPoliciesRequest), s.token("reader", nil), grantedTenant); o.Status != nil {
		t.Errorf("the new caller: %v", o.Status)
	}
}

func methodNamed(tb testing.TB, name protoreflect.Name) protoreflect.MethodDescriptor {
	tb.Helper()
	for _, method := range servicetest.RPCs(tb) {
		if method.Name() == name {
			return method
		}
	}
	tb.Fatalf("no rpc %s", name)
	return nil
}

// TestBadTokensHaveOneAnswer has tokens that are wrong in every way.
func TestBadTokensHaveOneAnswer(t *testing.T) {
	s := newIdentified(t)
	good := s.token("admin", nil)
	method := methodNamed(t, "ListProtectionPolicies")
	with := func(header, payload string) string {
		encode := base64.RawURLEncoding.EncodeToString
		return strings.Join([]string{encode([]byte(header)), encode([]byte(payload)), strings.Split(good, ".")[2]}, ".")
	}
	in := func(name string, value any) string {
		return s.token("admin", func(c map[string]any) { c[name] = value })
	}
	answers := make(map[string]bool)
	for name, token := range map[string]string{
		"no JWT": "opaque", "alg none": with(`{"alg":"none"}`, `{"sub":"admin"}`), "HS256": with(`{"alg":"HS256"}`, `{"sub":"admin"}`),
		"crit": with(`{"alg":"ES256","crit":["x"],"x":1}`, `{"sub":"admin"}`), "20 kB": good + strings.Repeat("A", 7000),
		"an odd key id": with(`{"alg":"ES256","kid":"\u0000../../x"}`, `{"sub":"admin"}`), "expired": in("exp", 1), "early": in("nbf", time.Now().Add(time.Hour).Unix()),
		"another audience": in("aud", "other"), "another issuer": in("iss", "https://other.example"), "an ID token": in("nonce", "n"), "another signature": good[:len(good)-4] + "AAAA",
	} {
		o := s.call(method, new(pb.ListProtectionPoliciesRequest), token, grantedTenant)
		if o.Reason() != "CALLER_UNAUTHENTICATED" {
			t.Errorf("%s: %v", name, o.Status)
			continue
		}
		answers[plain(o.Status)] = true
	}
	two := s.call(method, new(pb.ListProtectionPoliciesRequest), good, grantedTenant, "authorization", "Bearer "+good)
	if two.Reason() != "CALLER_UNAUTHENTICATED" {
		t.Errorf("two headers: %v", two.Status)
	}
	if answers[plain(two.Status)] = true; len(answers) != 1 {
		t.Errorf("%d different answers", len(answers))
	}
	if log := s.Log.String(); !strings.Contains(log, `"denied":"expired"`) || !strings.Contains(log, `"denied":"audience"`) || strings.Contains(log, good) {
		t.Errorf("the log says %s", log)
	}
}

// TestStrangersMakeNoMemory has strangers send large messages: they are refused before the server reads them.
func TestStrangersMakeNoMemory(t *testing.T) {
	s := newIdentified(t)
	c := newStalledClient(t, s.Conn.Target())
	for stream := range 50 {
		c.flood(uint32(2*stream+1), 7<<20, time.Minute)
	}
	if o := s.call(methodNamed(t, "ListProtectionPolicies"), new(pb.ListProtectionPoliciesRequest), s.token("admin", nil), grantedTenant); o.Status != nil {
		t.Fatal(o.Status)
	}
	if held := s.Services.InboundBytes(); held > 1<<20 {
		t.Errorf("%d bytes of strangers are held", held)
	}
	if n := strings.Count(s.Log.String(), `"reason":"CALLER_UNAUTHENTICATED"`); n == 0 {
		t.Error("no stranger was refused")
	}
}

// TestStrangersWithFarDeadlinesMakeNoMemory has them ask for deadlines that no call has. They are refused later, with a
// part of their messages there.
func TestStrangersWithFarDeadlinesMakeNoMemory(t *testing.T) {
	s := newIdentified(t)
	c := newStalledClient(t, s.Conn.Target())
	for stream := range 50 {
		c.flood(uint32(2*stream+1), 1<<20, 20*time.Hour)
	}
	if o := s.call(methodNamed(t, "ListProtectionPolicies"), new(pb.ListProtectionPoliciesRequest), s.token("admin", nil), grantedTenant); o.Status != nil {
		t.Fatal(o.Status)
	}
	for began := time.Now(); s.Services.InboundBytes() > 0; runtime.GC() {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d bytes of strangers are held", s.Services.InboundBytes())
		}
	}
	if n := strings.Count(s.Log.String(), `"reason":"CALLER_UNAUTHENTICATED"`); n == 0 {
		t.Error("no stranger was refused")
	}
}

// TestUnknownMethodsFollowIdentity says to callers alone which methods there are.
func TestUnknownMethodsFollowIdentity(t *testing.T) {
	s := newIdentified(t)
	err := s.Conn.Invoke(s.TB.Context(), "/m365.backupstorage.v1.ProtectionPolicyService/Nothing", new(emptypb.Empty), new(emptypb.Empty))
	if got := servicetest.ReasonOf(status.Convert(err).Proto()); got != "CALLER_UNAUTHENTICATED" {
		t.Errorf("a stranger: %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.token("admin", nil))
	err = s.Conn.Invoke(ctx, "/m365.backupstorage.v1.ProtectionPolicyService/Nothing", new(emptypb.Empty), new(emptypb.Empty))
	if got := servicetest.ReasonOf(status.Convert(err).Proto()); got != "UNKNOWN_METHOD" {
		t.Errorf("a caller: %v", err)
	}
}
