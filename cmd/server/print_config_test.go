package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The config command says what is in force and where it comes from, and shows no secret.
func TestConfigSaysWhereValuesComeFrom(t *testing.T) {
	const canary = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E=" // 32 bytes in base64.
	env := variables{
		"BACKUPSTORAGE_MAX_CONNECTIONS": "500", "BACKUPSTORAGE_LISTEN": "127.0.0.1:2", "BACKUPSTORAGE_PAGE_TOKEN_KEY": canary,
		"AZURE_CLIENT_ID": someGUID, "AZURE_CLIENT_SECRET": "canary",
	}
	p, err := parse([]string{"config", "--listen", "127.0.0.1:1", realGraph, "--graph-credential", "client-secret"}, env, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.run(streams{out: &out, log: io.Discard}); err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(` {2,}`).ReplaceAllString(out.String(), "|")
	for _, line := range []string{
		"--listen|127.0.0.1:1|flag",
		"--max-connections|500|environment BACKUPSTORAGE_MAX_CONNECTIONS",
		"--max-connections-per-peer|50|default",
		"--tls-client-auth|none|default",
		"--graph-endpoint|https://graph.microsoft.com/v1.0|flag",
		"--graph-client-id|" + someGUID + "|environment AZURE_CLIENT_ID",
		"--page-token-key|set|environment BACKUPSTORAGE_PAGE_TOKEN_KEY",
		"--page-token-key-file|not set|default",
		"AZURE_CLIENT_SECRET|set|environment AZURE_CLIENT_SECRET",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no line %q in\n%s", line, text)
		}
	}
	if strings.Contains(text, canary) || strings.Contains(text, "canary") {
		t.Errorf("a secret is in\n%s", text)
	}
}

func TestConfigHidesPasswordsOfEndpoints(t *testing.T) {
	p, err := parse([]string{"config", "--graph-endpoint", "http://user:canary@127.0.0.1:1/v1.0"}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.run(streams{out: &out}); err != nil || strings.Contains(out.String(), "canary") || !strings.Contains(out.String(), "127.0.0.1:1/v1.0") {
		t.Errorf("%v, %s", err, &out)
	}
}

// The config command reads the files too, and names each that cannot be used. Without it a wrong file is found by the
// restart.
func TestConfigNamesFilesThatCannotBeUsed(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		flags []string
		named []string
	}{
		{[]string{"--page-token-key-file", wrong}, []string{"--page-token-key-file"}},
		{[]string{"--rights-file", wrong, "--audit", "off", "--tls-certificate-file", wrong, "--tls-key-file", wrong}, []string{"--rights-file", "--tls-"}},
		{[]string{realGraph, "--graph-credential", "certificate", "--graph-client-id", someGUID, "--graph-certificate-file", wrong}, []string{"--graph-credential certificate"}},
		{[]string{realGraph, "--graph-credential", "client-secret", "--graph-client-id", someGUID, "--graph-client-secret-file", wrong + "-not"}, []string{"--graph-credential client-secret"}},
	} {
		p, err := parse(append([]string{"config"}, test.flags...), nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err = p.run(streams{out: &out, log: io.Discard})
		if err == nil || exitCode(err) != 1 || !strings.Contains(out.String(), "--listen") {
			t.Fatalf("%v: %v, %s; want an error after the configuration", test.flags, err, &out)
		}
		for _, name := range test.named {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%v: %v does not name %s", test.flags, err, name)
			}
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%v tells what is in a file", err)
		}
	}
}

// A script can tell a no from a command that could not answer.
func TestExitCodeOfANo(t *testing.T) {
	rights := filepath.Join(t.TempDir(), "rights.yaml")
	content := "version: 1\ncallers:\n  - {principal: \"dns:a.example\", tenants: [\"*\"], role: reader}\n"
	if err := os.WriteFile(rights, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(file string) int {
		p, err := parse([]string{"rights", "check", file, "dns:b.example", someGUID, "ProtectionPolicyService/ListProtectionPolicies"}, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		err = p.run(streams{out: io.Discard, log: io.Discard})
		if err == nil {
			t.Fatalf("%s: allowed", file)
		}
		return exitCode(err)
	}
	if code := check(rights); code != 2 {
		t.Errorf("denied is exit code %d", code)
	}
	if code := check(rights + "-not"); code != 1 {
		t.Errorf("a file that is not there is exit code %d", code)
	}
}
