// Program go sends requests through the HTTP client of Microsoft's Go SDK, which
// packs bodies, repeats what was throttled and follows redirects by itself. The
// models of the SDK are left out: they take minutes to build.
//
// Usage: go run . http://127.0.0.1:50082
package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	khttp "github.com/microsoft/kiota-http-go"
	graph "github.com/microsoftgraph/msgraph-sdk-go-core"
)

// From the emulator's README.
const (
	tenantA = "aaaaaaaa-0000-4000-8000-00000000000a"
	userA1  = "e0000001-67ef-4440-8a1c-000000000001"
)

// client asks one tenant of the emulator.
type client struct {
	origin string
	token  string
	http   *http.Client
}

// connect makes a client like that of the SDK, for a tenant of the emulator at origin.
func connect(origin, tenant string) *client {
	options := &graph.GraphClientOptions{GraphServiceVersion: "v1.0", GraphServiceLibraryVersion: "1.0.0"}
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"tid":"` + tenant + `"}`))
	return &client{
		origin: origin,
		token:  "e30." + claims + ".", // no signature: the emulator believes a token's claims
		http:   khttp.GetDefaultClient(graph.GetDefaultMiddlewaresWithOptions(options)...),
	}
}

// do sends a request and reads its answer. A body is packed on its way.
func (c *client) do(method, path, body string) (status int, answer map[string]any, sent http.Header, err error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, c.origin+path, reader)
	if err != nil {
		return 0, nil, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &answer)
	}
	return resp.StatusCode, answer, resp.Request.Header, err
}

const root = "/v1.0/solutions/backupRestore"

var errUnexpected = errors.New("unexpected answer")

// want is do for a status that must come.
func (c *client) want(status int, method, path, body string) (map[string]any, error) {
	got, answer, _, err := c.do(method, path, body)
	if err == nil && got != status {
		err = fmt.Errorf("%w: %s %s: %d %v, want %d", errUnexpected, method, path, got, answer, status)
	}
	return answer, err
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . http://127.0.0.1:50082")
		os.Exit(2)
	}
	c := connect(os.Args[1], tenantA)
	passed, failed := 0, 0
	step := func(name string, do func() error) {
		if err := do(); err != nil {
			failed++
			fmt.Printf("FAILED  %s: %v\n", name, err)
			return
		}
		passed++
		fmt.Printf("ok      %s\n", name)
	}
	var policy string
	step("reset, and stop the clock: control calls read packed bodies too", func() error {
		if _, err := c.want(200, "POST", "/_emulator/reset", ""); err != nil {
			return err
		}
		_, err := c.want(200, "POST", "/_emulator/clock", `{"speed":0}`)
		return err
	})
	step("create: the client packs the body, and it is read", func() error {
		status, answer, sent, err := c.do("POST", root+"/exchangeProtectionPolicies",
			`{"displayName":"Mailboxes","mailboxProtectionUnits":[{"directoryObjectId":"`+userA1+`"}]}`)
		if err != nil || status != 201 || answer["displayName"] != "Mailboxes" {
			return fmt.Errorf("%w: %d %v %w", errUnexpected, status, answer, err)
		}
		if sent.Get("Content-Encoding") != "gzip" {
			return fmt.Errorf("%w: the client sent it as it is: %v", errUnexpected, sent)
		}
		policy, _ = answer["id"].(string)
		return nil
	})
	step("update: PATCH", func() error {
		answer, err := c.want(200, "PATCH", root+"/exchangeProtectionPolicies/"+policy, `{"displayName":"Renamed"}`)
		if err == nil && answer["displayName"] != "Renamed" {
			err = fmt.Errorf("%w: %v", errUnexpected, answer)
		}
		return err
	})
	step("activate: POST without a body", func() error {
		_, err := c.want(202, "POST", root+"/protectionPolicies/"+policy+"/activate", "")
		return err
	})
	step("throttled: the client waits as told and repeats, and the packed body arrives", func() error {
		if _, err := c.want(200, "POST", "/_emulator/faults",
			`{"operation":"POST /exchangeRestoreSessions","status":429,"retryAfter":["1"],"times":1}`); err != nil {
			return err
		}
		answer, err := c.want(201, "POST", root+"/exchangeRestoreSessions", `{"@odata.type":"#microsoft.graph.exchangeRestoreSession"}`)
		if err == nil && answer["status"] != "draft" {
			err = fmt.Errorf("%w: %v", errUnexpected, answer)
		}
		return err
	})
	step("batch: a packed one", func() error {
		answer, err := c.want(200, "POST", "/v1.0/$batch", `{"requests":[
			{"id":"1","method":"GET","url":"/solutions/backupRestore"},
			{"id":"2","method":"GET","url":"/solutions/backupRestore/protectionPolicies/x"}]}`)
		if list, _ := answer["responses"].([]any); err == nil && len(list) != 2 {
			err = fmt.Errorf("%w: %v", errUnexpected, answer)
		}
		return err
	})
	step("error: 409 while a policy is active", func() error {
		if _, err := c.want(200, "POST", "/_emulator/clock", `{"advance":"5m"}`); err != nil {
			return err
		}
		_, err := c.want(409, "POST", root+"/exchangeProtectionPolicies", `{"displayName":"Second"}`)
		return err
	})
	fmt.Printf("Go: %d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
