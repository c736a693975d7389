package main

import (
	"bytes"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Keys are replaced in three steps while lists are being read, without a restart.
func TestPageTokenKeysAreReadAgain(t *testing.T) {
	key := func(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }
	folder := files(t, map[string][]byte{"keys": []byte(key('a') + "\n")})
	path := filepath.Join(folder, "keys")
	r := start(t, "--page-token-key-file", path, "--reload-interval", "10ms")
	policies := pb.NewProtectionPolicyServiceClient(r.conn)
	for _, name := range []string{"one", "two"} {
		if _, err := policies.CreateExchangeProtectionPolicy(t.Context(), &pb.CreateExchangeProtectionPolicyRequest{DisplayName: name}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(token string) (string, error) {
		response, err := policies.ListProtectionPolicies(t.Context(), &pb.ListProtectionPoliciesRequest{PageSize: 1, PageToken: token})
		return response.GetNextPageToken(), err
	}
	ask := func(token string) string {
		t.Helper()
		next, err := list(token)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	lines := 0
	put := func(content, says string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		lines++
		for begin := time.Now(); strings.Count(r.log.String(), "page-token-keys") < lines; ask("") {
			if time.Since(begin) > 15*time.Second {
				t.Fatalf("not seen: %s", r.log)
			}
		}
		var last string
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, "page-token-keys") {
				last = line
			}
		}
		if !strings.Contains(last, says) {
			t.Errorf("the log does not say %q: %s", says, last)
		}
	}
	old := ask("")
	if old == "" {
		t.Fatal("the list has one page")
	}
	put(key('b')+",\n"+key('a')+"\n", "read again")
	ask(old)
	fresh := ask("")
	put("canary", "cannot be used")
	ask(old)
	put(key('b'), "read again")
	ask(fresh)
	if _, err := list(old); reasonOf(err) != "INVALID_PAGE_TOKEN" {
		t.Errorf("a token of the key that is gone: %v", err)
	}
	for _, secret := range []string{key('a'), key('b'), "canary"} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

func TestWrongFilesOfKeysPreventStart(t *testing.T) {
	const canary = "canary"
	for name, content := range map[string]string{"empty": "", "a short key": "YQ==", "text": canary} {
		c, err := readConfig([]string{"--listen", "127.0.0.1:0", "--page-token-key-file", filepath.Join(files(t, map[string][]byte{"k": []byte(content)}), "k")}, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), c, io.Discard, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "--page-token-key-file: ") || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
