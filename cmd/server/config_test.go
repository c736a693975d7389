package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func environment(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestAConfigurationThatMakesNoSenseIsOneClearLine(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "c2VjcmV0"
	for _, c := range []struct {
		name      string
		arguments []string
		env       map[string]string
		says      string
	}{
		{"an unknown flag", []string{"--frobnicate"}, nil, "frobnicate"},
		{"an argument", []string{"serve"}, nil, `unexpected argument "serve"`},
		{"every address, without TLS", []string{"--listen", "0.0.0.0:50051"}, nil, "--insecure-listen"},
		{"an address without host", []string{"--listen", ":50051"}, nil, "--insecure-listen"},
		{"an emulator for everybody", []string{"--emulator-listen", "10.0.0.1:80"}, nil, "--insecure-listen"},
		{"a credential that is not there yet", []string{"--graph-credential", "client-secret"}, nil, "--graph-credential"},
		{"an endpoint that is no URL", []string{"--graph-endpoint", "graph.microsoft.com"}, nil, "--graph-endpoint"},
		{"an endpoint elsewhere without a credential", []string{"--graph-endpoint", "https://graph.microsoft.com/v1.0"}, nil, "--insecure-upstream"},
		{"fault rules for no emulator", []string{"--graph-endpoint", "http://127.0.0.1:1/v1.0", "--emulator-faults", "f.json"}, nil, "--emulator-faults"},
		{"no call at once", []string{"--max-calls", "0"}, nil, "--max-calls"},
		{"a negative wait", []string{"--drain-wait", "-1s"}, nil, "--drain-wait"},
		{"a short key", []string{"--page-token-key", secret}, nil, "key 1 is not 32 bytes"},
		{"a short key in the environment", nil, map[string]string{"BACKUPSTORAGE_PAGE_TOKEN_KEY": secret}, "key 1 is not 32 bytes"},
		{"a number that is none in the environment", nil, map[string]string{"BACKUPSTORAGE_MAX_CALLS": secret}, "BACKUPSTORAGE_MAX_CALLS"},
		{"roots that are not there", []string{"--graph-ca-file", "/nowhere"}, nil, "--graph-ca-file"},
		{"roots that are none", []string{"--graph-ca-file", noPEM}, nil, "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var output bytes.Buffer
			_, err := readConfig(c.arguments, environment(c.env), &output)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want a line with %q", err, c.says)
			}
			if strings.Contains(err.Error()+output.String(), secret) {
				t.Error("the value of a key got out")
			}
		})
	}
}

func TestFlagsWinOverTheEnvironment(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	c, err := readConfig([]string{"--listen", "[::1]:1"}, environment(map[string]string{
		"BACKUPSTORAGE_LISTEN": "127.0.0.1:2", "BACKUPSTORAGE_EMULATOR_LISTEN": "localhost:3", "BACKUPSTORAGE_REFLECTION": "false",
		"BACKUPSTORAGE_PAGE_TOKEN_KEY": key + ", " + key,
	}), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if c.listen != "[::1]:1" || c.emulatorListen != "localhost:3" || c.reflection || len(c.pageTokenKeys) != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestListeningForEverybodyIsPossibleWhenItIsSaid(t *testing.T) {
	if _, err := readConfig([]string{"--listen", ":0", "--insecure-listen"}, environment(nil), new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
	if _, err := readConfig([]string{"--graph-endpoint", "https://example.com/v1.0", "--insecure-upstream"}, environment(nil), new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
}
