package render_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// awaited are flags and variables of the manifests that the server does not have yet. A name that it has must go.
var awaited = map[string]bool{
	"admin-listen": true, "expect-upstream": true, "page-token-key-file": true, "redis-url": true,
	"tls-certificate-file": true, "tls-key-file": true, "tls-client-ca-file": true, "tls-client-auth": true,
	"rights-file": true, "audit": true, "audit-file": true,
}

func TestServerHasEachFlag(t *testing.T) {
	t.Parallel()
	// The go of a test knows this module alone.
	command := exec.Command("go", "run", "./cmd/server", "-help")
	command.Dir, command.Env = "../../..", append(os.Environ(), "GOFLAGS=-trimpath")
	help, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^\s+--?([a-z][a-z-]*)`).FindAllSubmatch(help, -1) {
		has[string(match[1])] = true
	}
	if len(has) < 20 {
		t.Fatalf("the help of the server shows %d flags:\n%s", len(has), help)
	}
	for name := range awaited {
		if has[name] {
			t.Errorf("the server has --%s: remove it from awaited", name)
		}
	}
	for _, name := range overlays {
		m := overlay(t, name)
		var used []string
		for _, argument := range m.Container().Args {
			flag, _, _ := strings.Cut(strings.TrimPrefix(argument, "--"), "=")
			used = append(used, flag)
		}
		for _, variable := range m.Container().Env {
			flag, found := strings.CutPrefix(variable.Name, "BACKUPSTORAGE_")
			if found {
				used = append(used, strings.ToLower(strings.ReplaceAll(flag, "_", "-")))
			}
		}
		for _, flag := range used {
			if !has[flag] && !awaited[flag] {
				t.Errorf("%s: the server has no --%s", name, flag)
			}
		}
	}
}
