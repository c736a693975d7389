package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// emulator runs the program until the test ends, and returns the first line's URL.
func emulator(t *testing.T, arguments ...string) string {
	t.Helper()
	in, closeIn := io.Pipe()
	out, printed := io.Pipe()
	var log bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(append([]string{"--listen=127.0.0.1:0", "--exit-with-stdin"}, arguments...), in, printed, &log)
		printed.Close()
	}()
	t.Cleanup(func() {
		closeIn.Close()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d: %s", code, log.String())
		}
	})
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return strings.TrimSpace(strings.TrimPrefix(line, "Emulator on "))
}

func ask(t *testing.T, url string) map[string]any {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, resp.Status, err)
	}
	return body
}

func TestTheProgramServesTheDemo(t *testing.T) {
	url := emulator(t)
	policies, _ := ask(t, url+"/v1.0/solutions/backupRestore/protectionPolicies")["value"].([]any)
	if len(policies) != 3 {
		t.Errorf("%d policies, want the three of the demo", len(policies))
	}
}

func TestTheProgramTakesItsFlags(t *testing.T) {
	t.Setenv("BACKUPSTORAGE_EMULATOR_CLOCK_START", "2030-01-02T03:04:05Z")
	url := emulator(t, "--scenario=tests", "--clock-stopped", "--length=protect=1m,restore.run=30s", "--length", "rule=1s", "--record=headers,bodies", "--token-lifetime=5m")
	if now := ask(t, url+"/_emulator/clock")["now"]; now != "2030-01-02T03:04:05Z" {
		t.Errorf("now is %v", now)
	}
	policies, _ := ask(t, url+"/v1.0/solutions/backupRestore/protectionPolicies")["value"].([]any)
	if len(policies) != 0 {
		t.Errorf("%d policies, want none", len(policies))
	}
}

func TestWhatIsWrongIsOneLine(t *testing.T) {
	for _, c := range []struct{ flag, says string }{
		{"--lisen=x", "unknown flag --lisen, did you mean \"--listen\"?; --help lists the flags"}, {"--listen=x", "--listen: "},
		{"--seed=/nowhere", "--seed: open /nowhere"}, {"--scenario=x", `--scenario must be "demo" or "tests"`}, {"serve", "unexpected argument"},
		{"--clock-speed=fast", "--clock-speed"}, {"--length=protect", "--length"}, {"--external-url=x", "the external URL"},
	} {
		var out, log bytes.Buffer
		if code := run([]string{"--listen=127.0.0.1:0", c.flag}, strings.NewReader(""), &out, &log); code != 1 || out.Len() > 0 {
			t.Errorf("%s: exit code %d, printed %q", c.flag, code, out.String())
		}
		if text := log.String(); !strings.HasPrefix(text, "emulator: ") || strings.Count(text, "\n") != 1 || !strings.Contains(text, c.says) {
			t.Errorf("%s: %q", c.flag, text)
		}
	}
}

func TestHelpAndVersionArePrinted(t *testing.T) {
	var help, version, log bytes.Buffer
	if run([]string{"--help"}, nil, &help, &log) != 0 || run([]string{"--version"}, nil, &version, &log) != 0 || log.Len() > 0 {
		t.Errorf("it says %s", log.String())
	}
	if !regexp.MustCompile(`^backupstorage emulator \S+ \(revision \S+, go`).MatchString(version.String()) {
		t.Errorf("the version is %q", version.String())
	}
	for _, text := range []string{"--tls-self-signed=PATH", "$BACKUPSTORAGE_EMULATOR_LISTEN", "curl http://127.0.0.1:8080/v1.0/", "--require-token"} {
		if !strings.Contains(help.String(), text) {
			t.Errorf("the help has no %s:\n%s", text, help.String())
		}
	}
	for line := range strings.SplitSeq(help.String(), "\n") {
		if len(line) > 130 {
			t.Errorf("a line of the help is too wide: %s", line)
		}
	}
}

// The README's table of flags is that of the program, and its seed is one.
func TestTheReadmeIsRight(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	run([]string{"--help"}, nil, &help, io.Discard)
	for _, flag := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(string(text), -1) {
		if !strings.Contains(help.String(), flag) && flag != "--cacert" {
			t.Errorf("the README names %s, which is no flag", flag)
		}
	}
	_, seed, found := strings.Cut(string(text), "```yaml\n")
	seed, _, ended := strings.Cut(seed, "```")
	if !found || !ended {
		t.Fatal("the README has no seed")
	}
	path := filepath.Join(t.TempDir(), "company.yaml")
	if err := os.WriteFile(path, []byte(seed), 0o600); err != nil {
		t.Fatal(err)
	}
	url := emulator(t, "--seed="+path)
	users, _ := ask(t, url+"/v1.0/users")["value"].([]any)
	if len(users) == 0 {
		t.Error("the seed of the README has nobody")
	}
}

// It starts in a moment, and a million users are one line of a seed. The figures of the README are measure.py's.
func TestAMillionUsersAreSeededInASecond(t *testing.T) {
	began := time.Now()
	url := emulator(t)
	if took := time.Since(began); took > time.Second {
		t.Errorf("it serves after %v", took)
	}
	seed := `{"tenant":"99999999-9999-4999-8999-999999999999","users":1000001,"serviceStatus":"enabled",
		"policies":[{"workload":"exchange","units":1000000,"protectedFor":"720h"}]}`
	began = time.Now()
	resp, err := http.Post(url+"/_emulator/seed", "application/json", strings.NewReader(seed))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if took := time.Since(began); resp.StatusCode != http.StatusOK || took > time.Second {
		t.Errorf("the seed takes %v: %s", took, resp.Status)
	}
}
