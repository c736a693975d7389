package service_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// lenient makes a server that asks the emulator as a signed-in administrator.
func lenient(t *testing.T) *servicetest.Server {
	t.Helper()
	s := servicetest.New(t)
	client, err := graph.New(graph.Options{Endpoint: s.Endpoint, Tokens: graph.Unsigned{Lenient: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	l := servicetest.NewOnEndpoint(t, s.Endpoint, func(o *service.Options) { o.Graph, o.AllowAppOnly = client, true })
	l.Emulator = s.Emulator
	return l
}

func TestNamesOfUnitsAreForUsers(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(*testing.T) *servicetest.Server
		user  int
		seen  bool
	}{
		{"an application", func(t *testing.T) *servicetest.Server { return servicetest.New(t) }, 0, false},
		{"a user", func(t *testing.T) *servicetest.Server { return servicetest.New(t) }, 1, true},
		{"an application on a lenient emulator", lenient, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.start(t)
			s.User, s.Tenant = c.user, emulator.TenantC
			list := servicetest.Must[pb.ListMailboxProtectionUnitsResponse](s, units+"ListMailboxProtectionUnits", new(pb.ListMailboxProtectionUnitsRequest))
			if len(list.GetProtectionUnits()) != 20 {
				t.Fatalf("got %d units, want 20", len(list.GetProtectionUnits()))
			}
			for _, unit := range list.GetProtectionUnits() {
				user := unit.GetUser()
				if user == nil {
					t.Fatalf("no mailbox in %v", unit)
				}
				if seen := user.GetDisplayName() != "" && user.GetEmail() != ""; seen != c.seen || user.GetDirectoryObjectId() == "" {
					t.Errorf("names seen: %v, want %v, in %v", seen, c.seen, unit)
				}
			}
		})
	}
}

func TestOffboardingIsForUsers(t *testing.T) {
	offboard := &pb.OffboardProtectionUnitRequest{ProtectionUnitId: emulator.UnitCManual}
	for _, c := range []struct {
		name   string
		start  func(*testing.T) *servicetest.Server
		user   int
		reason string
	}{
		{"an application", func(t *testing.T) *servicetest.Server { return servicetest.New(t) }, 0, "DELEGATED_TOKEN_REQUIRED"},
		// The unit is protected: the emulator judges the request.
		{"a user", func(t *testing.T) *servicetest.Server { return servicetest.New(t) }, 1, "OPERATION_NOT_ALLOWED"},
		{"an application on a lenient emulator", lenient, 0, "OPERATION_NOT_ALLOWED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.start(t)
			s.User, s.Tenant = c.user, emulator.TenantC
			mark := s.Mark()
			o := s.Try(units+"OffboardProtectionUnit", offboard)
			if o.Reason() != c.reason {
				t.Errorf("got %v, want %s", o.Status, c.reason)
			}
			if sent := len(s.Requests(mark)) > 0; sent == (c.reason == "DELEGATED_TOKEN_REQUIRED") {
				t.Errorf("a request was sent: %v", sent)
			}
		})
	}
}

func TestAnAssertionThatNobodyWouldAcceptIsRefused(t *testing.T) {
	s := servicetest.New(t)
	for name, a := range map[string]string{"no JWT": "opaque", "another tenant": emulator.UserAssertion(emulator.TenantB, 1)} {
		mark := s.Mark()
		o := callFor(s, []string{a}, backup+"GetBackupRestore", new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse))
		if o.Code() != codes.Unauthenticated || o.Reason() != "DELEGATED_TOKEN_REJECTED" || len(s.Requests(mark)) != 0 {
			t.Errorf("%s: %v", name, o.Status)
		}
	}
}

func TestUnsignedTokensHaveEveryPermission(t *testing.T) {
	granted := func(assertion string) []string {
		token, err := graph.Unsigned{}.Token(t.Context(), graph.TokenRequest{Tenant: emulator.TenantA, UserAssertion: assertion})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Scopes string   `json:"scp"`
			Roles  []string `json:"roles"`
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		return append(strings.Fields(claims.Scopes), claims.Roles...)
	}
	app, user := granted(""), granted(emulator.UserAssertion(emulator.TenantA, 1))
	for _, method := range servicetest.RPCs(t) {
		needed := graphCall(method).GetPermission()
		wider := strings.Replace(needed, ".Read.All", ".ReadWrite.All", 1)
		for who, has := range map[string][]string{"an application": app, "a user": user} {
			if !slices.Contains(has, needed) && !slices.Contains(has, wider) {
				t.Errorf("%s: %s lacks %s", method.Name(), who, needed)
			}
		}
	}
}
