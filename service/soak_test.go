package service_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// soakVariable says for how long the clients call; .ci/run says a minute.
const soakVariable = "BACKUPSTORAGE_SOAK"

const soakClients = 64

// TestManyClientsOnEveryRPCCauseNothingImpossible has 64 clients call every rpc, on a clock that runs fast. Requests
// are random, with ids from earlier responses. Each failure has to be typed, and each change in the ledger has to be
// one that the documentation allows.
func TestManyClientsOnEveryRPCCauseNothingImpossible(t *testing.T) {
	if testing.Short() {
		t.Skip("64 clients call for two seconds; the whole: " + soakVariable + "=1m go test -race ./service -run ManyClients")
	}
	length, err := time.ParseDuration(cmp.Or(os.Getenv(soakVariable), "2s"))
	if err != nil {
		t.Fatal(err)
	}
	e := emulator.New(emulator.Options{Speed: 3600, LedgerSize: 5_000_000})
	upstream := httptest.NewServer(e)
	t.Cleanup(upstream.Close)
	s := servicetest.NewOnEndpoint(t, upstream.URL+"/v1.0")
	s.Emulator = e
	rpcs := servicetest.RPCs(t)
	known := &pool{ids: make(map[string][]string)}
	seen := new(tally)
	deadline := time.Now().Add(length)
	var clients sync.WaitGroup
	for n := range soakClients {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 7))
			for i := 0; time.Now().Before(deadline); i++ {
				// Every client starts at another rpc and calls all in turn, so that a short run calls each rpc too.
				rpc := rpcs[(n*len(rpcs)/soakClients+i)%len(rpcs)]
				soakCall(s, random, rpc, known, seen)
			}
		})
	}
	clients.Wait()
	seen.check(t, rpcs)
	ledger := e.Ledger(0)
	if ledger.Dropped != 0 {
		t.Errorf("the ledger lost %d entries", ledger.Dropped)
	}
	t.Logf("%d calls, %d ledger entries, %d rpcs succeeded at least once", seen.calls, len(ledger.Entries), len(seen.succeeded))
	checkTransitions(t, ledger.Entries)
}

// soakCall calls one rpc with a random request, and keeps the ids of its response.
func soakCall(s *servicetest.Server, random *rand.Rand, rpc protoreflect.MethodDescriptor, known *pool, seen *tally) {
	tenant := []string{emulator.TenantA, emulator.TenantA, emulator.TenantC, emulator.TenantB}[random.IntN(4)]
	g := &generator{random: random, tenant: tenant, known: known, now: s.Emulator.Clock().Now()}
	request, response := servicetest.NewMessage(s.TB, rpc.Input()).ProtoReflect(), servicetest.NewMessage(s.TB, rpc.Output()).ProtoReflect()
	g.fill(request, string(rpc.Name()))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant)
	// Users call what is for them alone, and half of the rest.
	if graphCall(rpc).GetDelegatedOnly() || random.IntN(2) == 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-user-assertion", emulator.UserAssertion(tenant, 1+random.IntN(9)))
	}
	o := s.CallContext(ctx, string(rpc.Parent().Name())+"/"+string(rpc.Name()), request.Interface(), response.Interface())
	seen.add(rpc, o)
	if o.Status == nil {
		known.learn(tenant, response)
	}
}

// tally counts what the clients saw.
type tally struct {
	mu        sync.Mutex
	calls     int
	called    map[protoreflect.FullName]bool
	succeeded map[protoreflect.FullName]bool
	wrong     []string
}

func (s *tally) add(rpc protoreflect.MethodDescriptor, o *servicetest.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.called == nil {
		s.called, s.succeeded = make(map[protoreflect.FullName]bool), make(map[protoreflect.FullName]bool)
	}
	s.calls++
	s.called[rpc.FullName()] = true
	if o.Status == nil {
		s.succeeded[rpc.FullName()] = true
		return
	}
	switch o.Code() {
	case codes.Internal, codes.Unknown, codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		s.wrong = append(s.wrong, fmt.Sprintf("%s: %v", rpc.Name(), o.Status))
	default:
		if o.Reason() == "" {
			s.wrong = append(s.wrong, fmt.Sprintf("%s: untyped %v", rpc.Name(), o.Status))
		}
	}
}

func (s *tally) check(t *testing.T, rpcs []protoreflect.MethodDescriptor) {
	t.Helper()
	for _, rpc := range rpcs {
		if !s.called[rpc.FullName()] {
			t.Errorf("%s was not called", rpc.Name())
		}
	}
	for i, line := range s.wrong {
		if i == 10 {
			t.Errorf("and %d more", len(s.wrong)-i)
			break
		}
		t.Error(line)
	}
}

// pool has the ids of earlier responses, by tenant and kind.
type pool struct {
	mu  sync.Mutex
	ids map[string][]string
}

// maxIDs is how many ids of a kind are kept.
const maxIDs = 200

func (p *pool) add(tenant, kind, id string) {
	if id == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.ids[tenant+kind]
	if len(list) >= maxIDs {
		list = list[1:]
	}
	p.ids[tenant+kind] = append(list, id)
}

func (p *pool) any(random *rand.Rand, tenant, kind string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if list := p.ids[tenant+kind]; len(list) > 0 {
		return list[random.IntN(len(list))]
	}
	return "99999999-0000-4000-8000-000000000000"
}

// learn keeps the ids of all resources in a response, by the name of their message.
func (p *pool) learn(tenant string, message protoreflect.Message) {
	name := string(message.Descriptor().Name())
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() != nil && field.IsList():
			for i := range value.List().Len() {
				p.learn(tenant, value.List().Get(i).Message())
			}
		case field.Message() != nil && !field.IsMap():
			p.learn(tenant, value.Message())
		case field.Name() == "id":
			p.add(tenant, name, value.String())
		case field.Name() == "item_key" || field.Name() == "search_response_id":
			p.add(tenant, string(field.Name()), value.String())
		}
		return true
	})
}

// generator fills requests.
type generator struct {
	random *rand.Rand
	tenant string
	known  *pool
	now    time.Time
}

// kinds are the messages whose ids the fields of requests have.
var kinds = map[string]string{
	"protection_policy_id": "ProtectionPolicy", "protection_unit_id": "ProtectionUnit", "protection_unit_ids": "ProtectionUnit",
	"inclusion_rule_id": "InclusionRule", "bulk_addition_job_id": "ProtectionUnitBulkAdditionJob", "service_app_id": "ServiceApp",
	"restore_session_id": "RestoreSession", "bulk_addition_request_id": "RestoreArtifactBulkAdditionRequest",
	"restore_point_id": "RestorePoint", "browse_session_id": "BrowseSession", "search_response_id": "search_response_id",
	"item_key": "item_key", "browse_location_item_key": "item_key",
}

func (g *generator) fill(message protoreflect.Message, rpc string) {
	for i := range message.Descriptor().Fields().Len() {
		field := message.Descriptor().Fields().Get(i)
		required := strings.HasSuffix(string(field.Name()), "_id") || field.Name() == "display_name" || field.ContainingOneof() != nil
		if !required && g.random.IntN(3) == 0 || field.Name() == "page_token" {
			continue
		}
		if field.ContainingOneof() != nil && message.WhichOneof(field.ContainingOneof()) != nil && g.random.IntN(2) == 0 {
			continue
		}
		switch {
		case field.IsList():
			list := message.Mutable(field).List()
			for range 1 + g.random.IntN(3) {
				if field.Message() != nil {
					g.fill(list.AppendMutable().Message(), rpc)
				} else {
					list.Append(g.value(field, message, rpc))
				}
			}
		case field.Message() == nil:
			message.Set(field, g.value(field, message, rpc))
		case field.Message().FullName() == "google.protobuf.Timestamp":
			at := g.now.Add(time.Duration(g.random.IntN(48)-24) * time.Hour)
			if field.Name() == "effective_date_time" {
				at = g.now.Add(time.Duration(5+g.random.IntN(30)) * 24 * time.Hour)
			}
			message.Set(field, protoreflect.ValueOfMessage(timestamppb.New(at).ProtoReflect()))
		default:
			g.fill(message.Mutable(field).Message(), rpc)
		}
	}
}

func (g *generator) value(field protoreflect.FieldDescriptor, around protoreflect.Message, rpc string) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.EnumKind:
		// The server itself refuses zero in a list and unknownFutureValue, which other tests check.
		values := field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(min(2+g.random.IntN(3), values.Len()-1)).Number())
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(g.random.IntN(2) == 0)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(1 + g.random.IntN(50)))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(g.text(string(field.Name()), string(around.Descriptor().Name()), rpc))
	}
	return field.Default()
}

func (g *generator) text(field, around, rpc string) string {
	user := 1 + g.random.IntN(40)
	switch {
	case field == "directory_object_id" || field == "directory_object_ids":
		return emulator.UserID(g.tenant, user)
	case field == "site_id" || field == "site_ids":
		return emulator.SiteID(g.tenant, 1+g.random.IntN(40))
	case field == "app_owner_tenant_id":
		return g.tenant
	case field == "service_app_id":
		return emulator.DefaultApp
	case kinds[field] != "":
		return g.known.any(g.random, g.tenant, kinds[field])
	case field == "id" && around == "RestorePointReference":
		return g.known.any(g.random, g.tenant, "RestorePoint")
	case field == "id":
		return g.known.any(g.random, g.tenant, "item_key")
	case strings.HasPrefix(field, "remove_") && strings.Contains(field, "unit"):
		return g.known.any(g.random, g.tenant, "ProtectionUnit")
	case strings.HasPrefix(field, "remove_"):
		return g.known.any(g.random, g.tenant, "RestoreArtifact")
	case field == "mailbox_expression" || field == "drive_expression":
		return "(memberOf -any (group.id -in ['" + emulator.GroupID(g.tenant, 1+g.random.IntN(2)) + "']))"
	case field == "site_expression":
		return "(displayName -contains 'Site')"
	case field == "display_name":
		return rpc
	}
	return fmt.Sprintf("%s %d", field, user)
}
