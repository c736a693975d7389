package main_test

import (
	"fmt"
	"strings"
	"testing"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// recorder is a hook for item errors that keeps what it gets.
type recorder struct{ got []string }

func (r *recorder) options() pb.GraphReadOptions {
	return pb.GraphReadOptions{Error: func(item pb.GraphItemError) (*statuspb.Status, []*pb.FailedResource) {
		r.got = append(r.got, fmt.Sprintf("%s %s %s %s", item.Property, item.Type, item.ID, item.JSON))
		return &statuspb.Status{Message: item.ID}, []*pb.FailedResource{{Target: item.ID}}
	}}
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	if strings.Join(r.got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the hook got\n%s\nwant\n%s", strings.Join(r.got, "\n"), strings.Join(want, "\n"))
	}
}

func TestItemError(t *testing.T) {
	const failure = `{"code" : "x", "a":[1]}`
	tests := []struct{ name, json, want string }{
		{"the id before the error", `{"id":"u1","error":` + failure + `}`, "error protectionUnitBase u1 " + failure},
		{"the id after the error", `{"error":` + failure + `,"id":"u1"}`, "error protectionUnitBase u1 " + failure},
		{"no id", `{"error":` + failure + `}`, "error protectionUnitBase  " + failure},
		{"an escaped id", `{"error":{"code":"\u0041"},"id":"\u0041"}`, `error protectionUnitBase A {"code":"\u0041"}`},
		{"an error of another type", `{"error":5,"id":"u1"}`, "error protectionUnitBase u1 5"},
		{"the last of two errors counts", `{"error":{"code":"a"},"error":` + failure + `,"id":"u1"}`, "error protectionUnitBase u1 " + failure},
		{"an empty object is an error", `{"error":{},"id":"u1"}`, "error protectionUnitBase u1 {}"},
		{"null is no error", `{"id":"u1","error":null}`, ""},
		{"an empty string is no error", `{"id":"u1","error":""}`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var hook recorder
			got, cause := read(t, test.json, new(pb.GetProtectionUnitResponse), hook.options())
			if cause != "" {
				t.Errorf("cause %s", cause)
			}
			if test.want == "" {
				hook.want(t)
			} else {
				hook.want(t, test.want)
			}
			if (got.ProtectionUnit.Error != nil) != (test.want != "") {
				t.Errorf("status %v", got.ProtectionUnit.Error)
			}
		})
	}
}

func TestItemErrorsStayWithTheirItems(t *testing.T) {
	var hook recorder
	got, _ := read(t, `{"value":[{"error":{},"id":"a"},{"id":"b"},{"id":"c","error":{}}]}`,
		new(pb.ListMailboxProtectionUnitsResponse), hook.options())
	hook.want(t, "error protectionUnitBase a {}", "error protectionUnitBase c {}")
	for i, want := range []string{"a", "", "c"} {
		if message := got.ProtectionUnits[i].Error.GetMessage(); message != want {
			t.Errorf("unit %d has the error of %q", i, message)
		}
	}
}

func TestItemErrorOfAnUpdate(t *testing.T) {
	var hook recorder
	got, _ := read(t, `{"mailboxProtectionUnits@delta":[{"@contentId":"1","@Core.DataModificationException":{"failedOperation":"insert"},`+
		`"error":{"code":"y"},"id":"u1"}]}`, new(pb.UpdateExchangeProtectionPolicyResponse), hook.options())
	hook.want(t, `@Core.DataModificationException  u1 {"failedOperation":"insert"}`, `error protectionUnitBase u1 {"code":"y"}`)
	change := got.MailboxProtectionUnits[0]
	if change.Error == nil || change.ProtectionUnit.Error == nil {
		t.Errorf("errors %v and %v", change.Error, change.ProtectionUnit.Error)
	}
}

func TestItemErrorWithDetails(t *testing.T) {
	var hook recorder
	got, _ := read(t, `{"error":{"details":[{}]},"id":"job"}`, new(pb.GetMailboxProtectionUnitsBulkAdditionJobResponse), hook.options())
	hook.want(t, `error protectionUnitsBulkJobBase job {"details":[{}]}`)
	job := got.BulkAdditionJob
	if job.Error.GetMessage() != "job" || len(job.FailedResources) != 1 || job.FailedResources[0].Target != "job" {
		t.Errorf("got %v", job)
	}
}

func TestNoItemErrorsAfterABadText(t *testing.T) {
	for _, text := range []string{`{"id":"u1","error":{}`, `{"error":{},"value":[]}`} {
		var hook recorder
		if _, cause := read(t, text, new(pb.GetProtectionUnitResponse), hook.options()); cause == "" {
			t.Errorf("%s: no error", text)
		}
		hook.want(t)
	}
}

func TestItemErrorWithoutAHook(t *testing.T) {
	got, cause := read(t, `{"id":"u1","error":{"code":"x"}}`, new(pb.GetProtectionUnitResponse), pb.GraphReadOptions{})
	if cause != "" || got.ProtectionUnit.Error != nil || got.ProtectionUnit.Id != "u1" {
		t.Errorf("got %v, cause %q", got, cause)
	}
}
