package main

import (
	"bytes"
	"io"
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
