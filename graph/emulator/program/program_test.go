package program_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/graph/emulator/program"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func started(t *testing.T, c program.Config) *program.Running {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	r, err := c.Start(log.New(io.Discard, "", 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s (%v)", url, resp.Status, text, err)
	}
	return string(text)
}

const company = `
tenant: 99999999-9999-4999-8999-999999999999
serviceStatus: enabled
people:
  - mail: alice@corp.example
    displayName: Alice Adams
  - {mail: bob@corp.example, licensed: false}
sites:
  - name: Sales
policies:
  - workload: exchange
    members: [alice@corp.example]
    protectedFor: 48h
messages:
  - {user: alice@corp.example, sender: x@y.example, subject: Hello, received: 2030-01-01T08:00:00Z}
`

func TestASeedOfAFileIsServed(t *testing.T) {
	faults := file(t, "faults.yaml", "- operation: GET /protectionPolicies\n  status: 503\n  retryAfter: [\"2\"]\n  times: 1\n")
	r := started(t, program.Config{Seed: []string{file(t, "company.yaml", company)}, Faults: faults, ClockStopped: true, ClockStart: "2030-01-05T00:00:00Z"})
	// The only tenant of the file is that of requests without a token.
	if users := get(t, http.DefaultClient, r.URL+"/v1.0/users"); !strings.Contains(users, "Alice Adams") {
		t.Errorf("the users are %s", users)
	}
	if clock := get(t, http.DefaultClient, r.URL+"/_emulator/clock"); !strings.Contains(clock, "2030-01-05T00:00:00Z") {
		t.Errorf("the clock is %s", clock)
	}
	resp, err := http.Get(r.URL + "/v1.0/solutions/backupRestore/protectionPolicies")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the rule of the file does not act: %s", resp.Status)
	}
	if policies := get(t, http.DefaultClient, r.URL+"/v1.0/solutions/backupRestore/protectionPolicies"); !strings.Contains(policies, `"status":"active"`) {
		t.Errorf("the policies are %s", policies)
	}
}

func TestWhatIsWrongInAFileIsSaidWithItsLine(t *testing.T) {
	for text, says := range map[string]string{
		"tenant: x\npeople:\n  - mail: a@b.example\n    licenced: true\n":                       `line 4: there is no property "licenced"; there are deleted, displayName, id,`,
		"{\"tenant\": \"x\",\n \"people\": [\n  {\"mail\": \"a@b.example\", \"nick\": \"a\"}]}": `line 3: there is no property "nick"`,
		"tenant: x\nusers: many\n":                                                "line 2: there must be a whole number",
		"tenant: x\ntenant: y\n":                                                  `line 2: the property "tenant" is there twice`,
		"tenant: x\npolicies:\n  - {workload: teams}\n":                           `line 3: "teams" is no good value`,
		"tenant: x\npolicies:\n  - {workload: exchange, protectedFor: a month}\n": `line 3: "a month" is no good value`,
		"tenant: x\npeople: Alice\n":                                              "line 2: there must be a list",
		"tenant: x\npeople:\n  - Alice\n":                                         "line 3: there must be properties",
		"tenant: x\npeople:\n  - mail: 7\n":                                       "line 3: there must be a text; put it into quotes",
		"tenant: x\nmessages:\n  - {user: a, received: yesterday}\n":              "line 3: \"yesterday\" is no time",
		"tenant: x\ndataStoreReady: maybe\n":                                      "line 2: there must be true or false",
		"tenant: [\n":                                                             "did not find",
		"":                                                                        "the file is empty",
		"tenant: x\nownSites: []\n":                                               `line 2: there is no property "ownSites"`,
		"tenant: x\n":                                                             `tenant "x" is not a GUID`,
		"- tenant: 99999999-9999-4999-8999-999999999999\n- tenant: x\n": `tenant "x" is not a GUID`,
	} {
		c := program.Config{Seed: []string{file(t, "seed.yaml", text)}}
		if _, err := c.New(nil); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for says, c := range map[string]program.Config{
		"--scenario":               {Scenario: "story"},
		"--clock-start":            {ClockStart: "tomorrow"},
		"--length protect":         {Length: map[string]string{"protect": "soon"}},
		"there is no length":       {Length: map[string]string{"nap": "1m"}},
		"is negative":              {Length: map[string]string{"protect": "-1m"}},
		"--seed":                   {Seed: []string{"/nowhere"}},
		"--faults":                 {Faults: "/nowhere"},
		`line 1: there is no prop`: {Faults: file(t, "f.json", `{"op":"GET /"}`)},
		"there is no operation":    {Faults: file(t, "f.yaml", "{operation: GET /nothing, status: 500}")},
		"--record":                 {Record: []string{"secrets"}},
		"the external URL":         {ExternalURL: "graph.test"},
		"the default tenant":       {Tenant: "x"},
		"the lifetime of tokens":   {TokenLifetime: -1},
		"clock speed":              {ClockSpeed: -1},
		"set both":                 {TLSKeyFile: "x"},
		"exclude each other":       {TLSKeyFile: "x", TLSCertificateFile: "y", TLSSelfSigned: "z"},
		"--tls-certificate-file":   {TLSKeyFile: "/nowhere", TLSCertificateFile: "/nowhere"},
		"--tls-self-signed":        {TLSSelfSigned: "/nowhere/x"},
		"--listen":                 {Listen: "nowhere:x"},
	} {
		if c.Listen == "" {
			c.Listen = "127.0.0.1:0"
		}
		r, err := c.Start(log.New(io.Discard, "", 0), nil)
		if err == nil {
			r.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestACertificateOfItsOwnIsTrustedByItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	r := started(t, program.Config{TLSSelfSigned: path, Scenario: program.ScenarioTests})
	text, err := os.ReadFile(path)
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("the file has no certificate: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	for _, url := range []string{r.URL, strings.Replace(r.URL, "127.0.0.1", "localhost", 1)} {
		if index := get(t, client, url+"/_emulator/"); !strings.Contains(index, `"defaultTenant": "`+emulator.TenantA) {
			t.Errorf("the index is %s", index)
		}
		get(t, client, url+"/_emulator/ready")
	}
	if _, err := http.Get(r.URL); err == nil {
		t.Error("a certificate that nobody knows is trusted")
	}
}

func TestLengthsAreSetByName(t *testing.T) {
	var lengths emulator.Lengths
	for _, name := range emulator.LengthNames() {
		if err := lengths.Set(name, 0); err != nil {
			t.Error(err)
		}
	}
	if lengths.Protect <= 0 || lengths.Restore.Browse <= 0 {
		t.Errorf("no time at all becomes the default: %+v", lengths)
	}
}
