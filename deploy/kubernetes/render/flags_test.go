package render_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// awaited are flags and variables of the manifests that the server does not have yet. A name that it has must go.
var awaited = map[string]bool{}

// server runs the server of the repository. The go of a test knows the test's own module alone.
func server(t *testing.T, arguments ...string) []byte {
	t.Helper()
	command := exec.Command("go", append([]string{"run", "./cmd/server"}, arguments...)...)
	command.Dir, command.Env = "../../..", append(os.Environ(), "GOFLAGS=-trimpath")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("server %v: %v\n%s", arguments, err, output)
	}
	return output
}

func TestExampleOfRightsIsValid(t *testing.T) {
	t.Parallel()
	table := server(t, "rights", "list", "deploy/kubernetes/overlays/production/rights.yaml")
	if !strings.Contains(string(table), "oidc:https://issuer.example#00001111-aaaa-2222-bbbb-3333cccc4444") {
		t.Errorf("the table has not the caller of the example:\n%s", table)
	}
}

func TestServerHasEachFlag(t *testing.T) {
	t.Parallel()
	help := server(t, "-help")
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
