package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// check runs `server check` and returns its lines by tenant.
func check(t *testing.T, in string, arguments ...string) (code int, lines []string, errors string) {
	t.Helper()
	var out bytes.Buffer
	p, err := parse(append([]string{"check"}, arguments...), nil, &out)
	if err == nil {
		err = p.run(streams{in: strings.NewReader(in), out: &out, log: io.Discard})
	}
	if err != nil {
		code, errors = exitCode(err), err.Error()
	}
	if text := strings.TrimSpace(out.String()); text != "" {
		lines = strings.Split(text, "\n")
	}
	return code, lines, errors
}

func TestCheckOnTheEmulator(t *testing.T) {
	code, lines, errors := check(t, "# a file of tenants\n\n"+someGUID+"\n", emulator.TenantA, "@-", strings.ToUpper(emulator.TenantA))
	want := []string{
		emulator.TenantA + "\tok\tservice enabled, permissions not checked",
		someGUID + "\tfailed\tservice disabled",
		emulator.TenantA + "\tok\tservice enabled, permissions not checked",
	}
	if code != 2 || strings.Join(lines, "\n") != strings.Join(want, "\n") || !strings.Contains(errors, "1 of 3") {
		t.Errorf("%d, %q, %s", code, lines, errors)
	}
	if code, lines, errors := check(t, "", emulator.TenantA); code != 0 || len(lines) != 1 || errors != "" {
		t.Errorf("%d, %q, %s", code, lines, errors)
	}
}

// In a pod the flags are those of the container: without them the check is one of the emulator, and says so.
func TestCheckOnTheEmulatorSaysSo(t *testing.T) {
	var out, log bytes.Buffer
	p, err := parse([]string{"check", emulator.TenantA}, nil, &out)
	if err == nil {
		err = p.run(streams{in: strings.NewReader(""), out: &out, log: &log})
	}
	if err != nil || !strings.Contains(log.String(), "built-in emulator") || strings.Contains(out.String(), "built-in") {
		t.Errorf("%v, %s, %s", err, &out, &log)
	}
}

// The first line is that of Redis, which is checked even when a tenant is not ok.
func TestCheckLooksAtRedis(t *testing.T) {
	server := miniredis.RunT(t)
	code, lines, errors := check(t, "", emulator.TenantA, "--redis-url", "redis://"+server.Addr())
	if code != 0 || len(lines) != 2 || !strings.HasPrefix(lines[0], "redis\tok\t") || errors != "" {
		t.Errorf("%d, %q, %s", code, lines, errors)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.RequireAuth("another")
	code, lines, errors = check(t, "", emulator.TenantA, "--redis-url", "redis://"+server.Addr(), "--redis-password-file", password)
	if code != 2 || len(lines) != 2 || !strings.HasPrefix(lines[0], "redis\tfailed\tpassword (") || !strings.Contains(lines[1], "\tok\t") || strings.Contains(lines[0]+errors, "canary") {
		t.Errorf("%d, %q, %s", code, lines, errors)
	}
	server.RequireAuth("canary")
	if code, lines, _ = check(t, "", emulator.TenantA, "--redis-url", "redis://"+server.Addr(), "--redis-password-file", password); code != 0 {
		t.Errorf("%d, %q", code, lines)
	}
}

func TestCheckWithoutTenantsIsOneLine(t *testing.T) {
	for _, arguments := range [][]string{{}, {"contoso.com"}, {"@/nowhere"}, {"@"}, {"--frobnicate"}, {emulator.TenantA, "--graph-endpoint"}, {"--max-calls", "0", emulator.TenantA}} {
		if code, lines, errors := check(t, "", arguments...); code != 1 || len(lines) > 0 || errors == "" || strings.Contains(errors, "\n") {
			t.Errorf("%q: %d, %q, %q", arguments, code, lines, errors)
		}
	}
}

// A tenant that cannot be served says why, in one line.
func TestCheckSaysWhatIsWrong(t *testing.T) {
	u, authority := newUpstream(t), authoritytest.New(t)
	folder := t.TempDir()
	roots, secret := filepath.Join(folder, "roots.pem"), filepath.Join(folder, "secret")
	if err := os.WriteFile(roots, append(u.root, authority.Root()...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	const noConsent, noRoles, down = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000001", "33333333-0000-4000-8000-000000000001"
	authority.Handle(func(r authoritytest.Request) authoritytest.Answer {
		switch r.Tenant {
		case noConsent:
			return authoritytest.Answer{Status: 400, Body: `{"error":"invalid_grant","error_description":"AADSTS65001: canary","error_codes":[65001]}`}
		case noRoles:
			return authoritytest.Answer{Token: authoritytest.JWT(map[string]any{
				"aud": authoritytest.Audience, "tid": r.Tenant, "exp": 4e9, "roles": []string{"BackupRestore-Control.Read.All", "BackupRestore-Restore.ReadWrite.All"},
			})}
		}
		return authoritytest.Answer{}
	})
	u.mu.Lock()
	u.before = func(w http.ResponseWriter, r *http.Request) bool {
		if claims, _ := graph.ReadClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")); claims.Tenant != down {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":{"code":"Forbidden","message":"canary"}}`)
		return true
	}
	u.mu.Unlock()
	flags := []string{
		"--graph-endpoint", u.url, "--graph-authority", authority.URL, "--graph-ca-file", roots,
		"--graph-credential", "client-secret", "--graph-client-id", application, "--graph-client-secret-file", secret,
	}
	code, lines, errors := check(t, "", append(flags, emulator.TenantA, noConsent, noRoles, down, emulator.TenantB)...)
	want := []string{
		emulator.TenantA + "\tok\tservice enabled, permissions granted",
		noConsent + "\tfailed\tno token: consent-missing (token authority refuses the application)",
		noRoles + "\tfailed\tpermissions missing: BackupRestore-Configuration.Read.All, BackupRestore-Configuration.ReadWrite.All, BackupRestore-Control.ReadWrite.All, BackupRestore-Restore.Read.All",
		down + "\tfailed\tFORBIDDEN",
		emulator.TenantB + "\tfailed\tservice disabled",
	}
	// Restore.ReadWrite.All has Restore.Read.All within it.
	want[2] = strings.TrimSuffix(want[2], ", BackupRestore-Restore.Read.All")
	for i := range want {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is not %q: %q", i, want[i], lines)
		}
	}
	if code != 2 || strings.Contains(strings.Join(lines, "")+errors, "canary") {
		t.Errorf("%d, %s", code, errors)
	}
	code, lines, _ = check(t, "", append(append([]string{"--permissions", "BackupRestore-Control.Read.All"}, flags...), noRoles)...)
	if code != 2 || !strings.Contains(lines[0], "service disabled") {
		t.Errorf("with the one permission that is needed: %d, %q", code, lines)
	}
	u.wantNoConnections(t)
}

// Ten thousand tenants take minutes at most: they are checked side by side.
func TestCheckOfManyTenants(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, "%08x-0000-4000-8000-000000000001\n", i)
	}
	code, lines, errors := check(t, file.String(), "@-")
	if code != 2 || len(lines) != n || !strings.Contains(errors, fmt.Sprintf("%d of %d", n, n)) {
		t.Errorf("%d, %d lines, %s", code, len(lines), errors)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, fmt.Sprintf("%08x-", i)) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}
