package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// told is what the Status of a failed call says.
type told struct {
	code        codes.Code
	reason      string
	metadata    map[string]string
	retries     bool
	requestID   string
	description string
}

func readStatus(err error) told {
	s := status.Convert(err)
	result := told{code: s.Code(), description: fmt.Sprint(s.Proto())}
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			result.reason, result.metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.RetryInfo:
			result.retries = true
		case *errdetails.RequestInfo:
			result.requestID = d.GetRequestId()
		}
	}
	return result
}

// logLine returns the only line of a log in which a field has a value, among those with a message.
func logLine(t *testing.T, log, message, field, value string) map[string]any {
	t.Helper()
	var found []map[string]any
	for lines := bufio.NewScanner(strings.NewReader(log)); lines.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] == message && line[field] == value {
			found = append(found, line)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines %q have %s %q, want 1: %s", len(found), message, field, value, log)
	}
	return found[0]
}

// refusal is an error response as Microsoft's authority writes it.
func refusal(status int, code string, number int) authoritytest.Answer {
	return authoritytest.Answer{Status: status, Body: fmt.Sprintf(
		`{"error":%q,"error_description":"AADSTS%d: canary-of-a-text. Trace ID: 4e1f8a6c-4d0e-4a53-9a61-8a5e31b50100","error_codes":[%d],"trace_id":"4e1f8a6c-4d0e-4a53-9a61-8a5e31b50100"}`,
		code, number, number)}
}

// The application's secret has expired, it is unknown in a tenant, and a caller named a tenant that does not exist: the
// Status tells them apart, and leads to the line about the token request, also when the failure is an earlier call's.
func TestARefusedTokenIsToldApart(t *testing.T) {
	c := startOnCloud(t)
	answers := map[string]authoritytest.Answer{
		emulator.TenantA: refusal(401, "invalid_client", 7000222),
		emulator.TenantB: refusal(400, "unauthorized_client", 700016),
		emulator.TenantC: refusal(400, "invalid_grant", 50196),
	}
	const unknown = "dddddddd-0000-4000-8000-00000000000d"
	c.authority.Handle(func(r authoritytest.Request) authoritytest.Answer { return answers[r.Tenant] })
	sound := c.authority.Handler()
	c.authority.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/"+unknown) {
			// Microsoft's authority says so as soon as it is asked for the endpoints of the tenant.
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, refusal(400, "invalid_tenant", 90002).Body)
			return
		}
		sound.ServeHTTP(w, r)
	}))
	type failed struct{ tenant, first, again string }
	var all []failed
	tests := []struct {
		tenant, cause, aadsts string
		code                  codes.Code
	}{
		{emulator.TenantA, "application-credential", "7000222", codes.FailedPrecondition},
		{emulator.TenantB, "application-unknown", "700016", codes.FailedPrecondition},
		{unknown, "tenant-unknown", "90002", codes.FailedPrecondition},
		// The authority ends a loop of equal requests: it works again after a while.
		{emulator.TenantC, "other", "50196", codes.Unavailable},
	}
	for _, test := range tests {
		var ids []string
		for range 2 {
			ctx, id := as(t.Context(), test.tenant, "")
			_, err := pb.NewBackupRestoreServiceClient(c.conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest))
			got := readStatus(err)
			if got.reason != "GRAPH_CREDENTIALS_UNAVAILABLE" || got.code != test.code || got.retries != (test.code == codes.Unavailable) ||
				got.metadata["cause"] != test.cause || got.metadata["aadsts"] != test.aadsts || got.requestID != id {
				t.Errorf("want %v of call %s: %v", test, id, got.description)
			}
			if strings.Contains(got.description, test.tenant) || strings.Contains(got.description, "canary") {
				t.Errorf("the Status has the tenant or a text of the authority: %s", got.description)
			}
			ids = append(ids, got.requestID)
		}
		all = append(all, failed{test.tenant, ids[0], ids[1]})
	}
	c.end(t)
	log := c.log.String()
	if strings.Contains(log, "canary") {
		t.Errorf("the log has a text of the authority: %s", log)
	}
	for i, f := range all {
		line := logLine(t, log, "token request failed", "tenant", f.tenant)
		if line["requestId"] != f.first || line["cause"] != tests[i].cause || fmt.Sprintf("%.0f", line["aadsts"]) != tests[i].aadsts ||
			line["authorityRequestId"] != "4e1f8a6c-4d0e-4a53-9a61-8a5e31b50100" {
			t.Errorf("line %v, want request id %s and %v", line, f.first, tests[i])
		}
		for _, id := range []string{f.first, f.again} {
			call := logLine(t, log, "call", "requestId", id)
			if call["tokenRequestId"] != f.first || call["cause"] != tests[i].cause || call["aadsts"] != tests[i].aadsts {
				t.Errorf("line %v, want token request id %s and %v", call, f.first, tests[i])
			}
		}
	}
}

// Graph demands the same claims again and again, although the token has them. Every Status has Graph's status and
// request id, whatever the authority says: a token that is refused as well, no other token, or an error.
func TestARepeatedChallengeKeepsGraphsResponse(t *testing.T) {
	c := startOnCloud(t)
	const claims, graphID = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`, "2e333333-2222-4333-8444-555555555555"
	c.upstream.mu.Lock()
	c.upstream.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(claims))+`"`)
		w.Header().Set("Request-Id", graphID)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":{"code":"InvalidAuthenticationToken","message":"Continuous access evaluation"}}`)
		return true
	}
	c.upstream.mu.Unlock()
	for _, test := range []struct {
		name, tenant string
		answer       authoritytest.Answer
		aadsts       string
		reasons      []string
	}{
		{"a token that is refused as well", emulator.TenantA, authoritytest.Answer{}, "", []string{"UNAUTHORIZED", "INSUFFICIENT_CLAIMS"}},
		{"an interaction", emulator.TenantB, refusal(400, "interaction_required", 50076), "50076", []string{"INSUFFICIENT_CLAIMS", "INSUFFICIENT_CLAIMS"}},
		{"a refused application", emulator.TenantC, refusal(401, "invalid_client", 7000222), "7000222", []string{"UNAUTHORIZED", "UNAUTHORIZED"}},
		{"no response", "dddddddd-0000-4000-8000-00000000000d", authoritytest.Answer{Status: 503}, "", []string{"GRAPH_CREDENTIALS_UNAVAILABLE", "GRAPH_CREDENTIALS_UNAVAILABLE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.authority.Handle(func(r authoritytest.Request) authoritytest.Answer {
				if strings.Contains(r.Claims, "acrs") {
					return test.answer
				}
				return authoritytest.Answer{}
			})
			for _, reason := range test.reasons {
				ctx, _ := as(t.Context(), test.tenant, "")
				_, err := pb.NewBackupRestoreServiceClient(c.conn).GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest))
				got := readStatus(err)
				if got.reason != reason || got.metadata["httpStatus"] != "401" || got.metadata["graphRequestId"] != graphID ||
					got.requestID != graphID || got.metadata["aadsts"] != test.aadsts {
					t.Errorf("want %s with aadsts %q: %s", reason, test.aadsts, got.description)
				}
			}
		})
	}
}
