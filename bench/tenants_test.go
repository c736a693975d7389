package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
	"github.com/m365backup/backupstorage/internal/trial"
)

// The parts run in this program, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		if err := parts[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const manyTenants = 10_000

// A call of one of 10,000 tenants costs what it costs when there is one, and each tenant needs little memory beside its
// token. Tokens come from a stand-in for Microsoft's authority, and are as long as real ones.
func TestTenThousandTenantsCostAsOne(t *testing.T) {
	authority := authoritytest.New(t)
	authority.Handle(func(r authoritytest.Request) authoritytest.Answer {
		return authoritytest.Answer{Token: authoritytest.JWT(map[string]any{
			"aud": authoritytest.Audience, "tid": r.Tenant, "appid": r.ClientID, "exp": time.Now().Add(time.Hour).Unix(),
			"roles": []string{"BackupRestore-Configuration.ReadWrite.All"}, "xms_idrel": strings.Repeat("x", 900),
		})}
	})
	s, err := startStage(t.Context(), options{server: os.Getenv("BENCH_SERVER")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.end(nil); err != nil {
			t.Error(err)
		}
	})
	of := func(n int) string { return fmt.Sprintf("bbbbbbbb-0000-4000-9000-%012x", n%manyTenants) }
	var list bytes.Buffer
	for n := range manyTenants {
		fmt.Fprintln(&list, of(n))
	}
	desk, err := os.ReadFile(s.at("desk/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	s.roots = s.at("roots.pem")
	for file, content := range map[string][]byte{"desk/tenants.txt": list.Bytes(), "roots.pem": append(desk, authority.Root()...), "secret": []byte("secret")} {
		if err := os.WriteFile(s.at(file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server, stop, err := s.another("--graph-credential", "client-secret", "--graph-client-id", "11111111-2222-4333-8444-000000000001",
		"--graph-client-secret-file", s.at("secret"), "--graph-authority", authority.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	how := called[smallCall]
	in, err := proto.Marshal(how.in)
	if err != nil {
		t.Fatal(err)
	}
	calls := func(count, tenants int) time.Duration {
		t.Helper()
		before, err := onCPU(server.process.PID())
		if err != nil {
			t.Fatal(err)
		}
		if err := trial.InFlight(16, count, func(n int) error { return server.call(n, of(n%tenants), how.method, in, nil) }); err != nil {
			t.Fatal(err)
		}
		after, err := onCPU(server.process.PID())
		if err != nil {
			t.Fatal(err)
		}
		return (after - before) / time.Duration(count)
	}
	resident := func() int64 {
		t.Helper()
		bytes, err := trial.Memory(server.process.PID(), "VmRSS")
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	calls(20_000, 1)
	before := resident()
	first := calls(manyTenants, manyTenants)
	if got := len(authority.Requests()); got != manyTenants {
		t.Errorf("%d requests for tokens, want one for each of %d tenants", got, manyTenants)
	}
	calls(20_000, manyTenants)
	after := resident()
	var one, many []time.Duration
	var ratios []float64
	for range 7 {
		one, many = append(one, calls(manyTenants, 1)), append(many, calls(manyTenants, manyTenants))
		ratios = append(ratios, float64(many[len(many)-1])/float64(one[len(one)-1]))
	}
	ratio, each := spreadOf(ratios), float64(after-before)/manyTenants/1000
	t.Logf("a call of one tenant %.3f ms of processor, of one of %d tenants %.3f ms, ratio %v; the first call of a tenant, with its token, %.2f ms; "+
		"resident with one tenant %.0f MB, with all %.0f MB, of each %.1f kB", milliseconds(one).median, manyTenants, milliseconds(many).median, ratio,
		first.Seconds()*1000, mega(before), mega(after), each)
	if ratio.median > 1.3 {
		t.Errorf("a call of one of %d tenants costs %v times one of a single tenant", manyTenants, ratio)
	}
	if each > 20 {
		t.Errorf("each tenant needs %.1f kB", each)
	}
	if now := len(authority.Requests()); now != manyTenants {
		t.Errorf("%d requests for tokens after all calls, want %d", now, manyTenants)
	}
}
