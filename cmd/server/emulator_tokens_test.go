package main

import (
	"context"
	"io"
	"log"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/graph/emulator/program"
)

// The server works on the emulator as on Graph: with its own credential, over https, for several tenants and on behalf
// of users.
func TestTheServersCredentialWorksOnTheEmulator(t *testing.T) {
	certificate := filepath.Join(t.TempDir(), "ca.pem")
	upstream := program.Config{Listen: "127.0.0.1:0", Scenario: program.ScenarioTests, TLSSelfSigned: certificate, RequireToken: true}
	running, err := upstream.Start(log.New(io.Discard, "", 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.Stop)
	secret := filepath.Join(files(t, map[string][]byte{"secret": []byte("any")}), "secret")
	r := start(t, "--graph-endpoint", running.URL+"/v1.0", "--graph-authority", running.URL, "--graph-ca-file", certificate,
		"--graph-credential", "client-secret", "--graph-client-id", someGUID, "--graph-client-secret-file", secret)
	policies := pb.NewProtectionPolicyServiceClient(r.conn)
	count := func(ctx context.Context) int {
		t.Helper()
		list, err := policies.ListProtectionPolicies(ctx, new(pb.ListProtectionPoliciesRequest))
		if err != nil {
			t.Fatal(err)
		}
		return len(list.GetProtectionPolicies())
	}
	for tenant, want := range map[string]int{emulator.TenantA: 0, emulator.TenantC: 1, emulator.TenantDemo: 3} {
		ctx, _ := as(t.Context(), tenant, "")
		if got := count(ctx); got != want {
			t.Errorf("tenant %s has %d policies, want %d", tenant, got, want)
		}
	}
	user := emulator.TokenRequest{Tenant: emulator.TenantC, User: emulator.UserID(emulator.TenantC, 1), App: someGUID, Audience: someGUID}
	assertion, err := running.Emulator.Token(user)
	if err != nil {
		t.Fatal(err)
	}
	ctx, _ := as(t.Context(), emulator.TenantC, assertion)
	if reason := changeMail(ctx, r); reason != "" {
		t.Errorf("a user does not change the mail settings: %s", reason)
	}
	ctx, _ = as(t.Context(), emulator.TenantC, emulator.UserAssertion(emulator.TenantC, 1))
	if reason := changeMail(ctx, r); reason == "" {
		t.Error("an assertion without a signature is good where tokens are asked for")
	}
	if _, err := running.Emulator.AddFault(emulator.Fault{Operation: "POST /{tenant}/oauth2/v2.0/token", Code: "AADSTS7000222"}); err != nil {
		t.Fatal(err)
	}
	ctx, _ = as(t.Context(), emulator.TenantB, "")
	_, err = policies.ListProtectionPolicies(ctx, new(pb.ListProtectionPoliciesRequest))
	if err == nil || !strings.Contains(err.Error(), "7000222") && reasonOf(err) == "" {
		t.Errorf("an expired secret: %v", err)
	}
}
