package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const generated = "<!-- Written by `go generate ./proto` from the contract. Do not edit. -->\n\n"

// prose takes the comment of a reason up to its example, as one line.
func prose(comment string) string {
	text, _, _ := strings.Cut(comment, "ErrorInfo: `")
	return strings.Join(strings.Fields(text), " ")
}

func (c *contract) operationsPage() []byte {
	var page bytes.Buffer
	page.WriteString("# Operations\n\n" + generated)
	page.WriteString("The services of package `m365.backupstorage.v1`. Paths lie under `/v1.0/solutions/backupRestore` of Microsoft " +
		"Graph. The tenant and the user travel in [metadata](../README.md#calling-it). *Retry* says what a repetition does: `safe` " +
		"has no side effects and `idempotent` may be repeated; of the others, when it is open whether the call was done, look first. " +
		"`service_config.json` beside this page says the same to gRPC runtimes. *Least permission* is Microsoft Graph's. " +
		"*Documented reasons* are those that Microsoft has for the operation; others (throttling, authorization, the server's own) " +
		"can come from every rpc: [ERRORS.md](ERRORS.md) has all. The emulator carries every operation out; what it does not do " +
		"stands in [its README](../graph/emulator/README.md#what-it-does-not-do). Tests have every rpc succeed on it, and show how " +
		"each documented reason of each rpc comes out, over real connections.\n")
	last := ""
	for _, r := range c.rpcs {
		if r.service != last {
			fmt.Fprintf(&page, "\n## %s\n\n| rpc | Graph | retry | least permission | documented reasons |\n|---|---|---|---|---|\n", r.service)
			last = r.service
		}
		permission := "`" + r.call.GetPermission() + "`"
		if r.call.GetDelegatedOnly() {
			permission += ", on behalf of a user only"
		}
		var reasons []string
		for _, documented := range r.call.GetErrors() {
			reasons = append(reasons, "`"+documented.String()+"`")
		}
		fmt.Fprintf(&page, "| [%s](%s) | `%s %s` | %s | %s | %s |\n", r.name, r.call.GetDocs(), r.call.GetMethod(), r.call.GetPath(),
			[]string{"", "safe", "idempotent"}[r.level], permission, strings.Join(reasons, " "))
	}
	return page.Bytes()
}

// retryText says when the same request may be sent again.
func (r *reason) retryText() string {
	switch r.spec.GetRetry() {
	case pb.ErrorSpec_AFTER_DELAY:
		return fmt.Sprintf("after RetryInfo, by default %gs", r.spec.GetRetryDelay().AsDuration().Seconds())
	case pb.ErrorSpec_IF_TOLD:
		if r.spec.RetryDelay != nil {
			return fmt.Sprintf("when RetryInfo is there, by default %gs", r.spec.GetRetryDelay().AsDuration().Seconds())
		}
		return "when RetryInfo is there"
	}
	return "no"
}

func (c *contract) errorsPage() []byte {
	var page bytes.Buffer
	page.WriteString("# Error reasons\n\n" + generated)
	for _, paragraph := range c.aboutReasons {
		page.WriteString(paragraph + "\n\n")
	}
	page.WriteString("`errors.json` beside this page has the reasons for programs, in the words of " +
		"[error_spec.proto](m365/backupstorage/v1/error_spec.proto). *Retry* is when the same request may be sent again: RetryInfo " +
		"has Graph's delay, else the default that stands there, and up to a fifth more. What a failed write may have done stands " +
		"behind it. *Detail* is what the Status carries besides ErrorInfo, RetryInfo, RequestInfo and Help. *Documented for* " +
		"(`operations` in the JSON) names rpcs as `operation` in the metadata of ErrorInfo does; Microsoft's pages have the other " +
		"reasons for no single operation.\n")
	groups := []struct {
		title string
		below int32
	}{{"What Graph's Backup Storage API says", 100}, {"HTTP statuses without a known code", 200}, {"What the server says itself", 1000}}
	at := 0
	for _, group := range groups {
		fmt.Fprintf(&page, "\n## %s\n\n| reason | Graph's code | gRPC code | retry | detail | meaning | what to do | documented for |\n|---|---|---|---|---|---|---|---|\n", group.title)
		for ; at < len(c.reasons) && int32(c.reasons[at].number) < group.below; at++ {
			r := &c.reasons[at]
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", r.name, r.graph(), r.codes(), r.retryWork(), r.detail(), r.meaning(), r.spec.GetRemedy()+".", strings.Join(r.operations, ", "))
		}
	}
	return page.Bytes()
}

func (r *reason) graph() string {
	if status := r.spec.GetHttpStatus(); status != 0 && len(r.spec.GetGraphCode()) == 0 {
		return fmt.Sprintf("HTTP %d", status)
	}
	return strings.Join(r.spec.GetGraphCode(), ", ")
}

func (r *reason) codes() string {
	if second := r.spec.GetCodeWithRetryInfo(); second != code.Code_OK {
		return fmt.Sprintf("%s; with RetryInfo %s", r.spec.GetCode(), second)
	}
	return r.spec.GetCode().String()
}

func (r *reason) retryWork() string {
	switch r.spec.GetWork() {
	case pb.ErrorSpec_NONE:
		return r.retryText() + "; nothing was done"
	case pb.ErrorSpec_MAY_HAVE:
		return r.retryText() + "; it may have been done"
	}
	return r.retryText()
}

func (r *reason) detail() string {
	return map[pb.ErrorSpec_Detail]string{
		pb.ErrorSpec_BAD_REQUEST: "BadRequest", pb.ErrorSpec_PRECONDITION_FAILURE: "PreconditionFailure",
		pb.ErrorSpec_QUOTA_FAILURE: "QuotaFailure", pb.ErrorSpec_RESOURCE_INFO: "ResourceInfo",
	}[r.spec.GetDetail()]
}

func (r *reason) meaning() string {
	if r.spec.GetPlanned() {
		return "*Planned: no call gets it yet.* " + r.prose
	}
	return r.prose
}

// entry is a reason in errors.json.
type entry struct {
	Reason            string   `json:"reason"`
	Number            int32    `json:"number"`
	Domain            string   `json:"domain"`
	Code              string   `json:"code"`
	CodeWithRetryInfo string   `json:"codeWithRetryInfo,omitempty"`
	GraphCodes        []string `json:"graphCodes,omitempty"`
	HTTPStatus        int32    `json:"httpStatus,omitempty"`
	Planned           bool     `json:"planned,omitempty"`
	Retry             string   `json:"retry"`
	RetryDelaySeconds float64  `json:"retryDelaySeconds,omitempty"`
	Work              string   `json:"work,omitempty"`
	Detail            string   `json:"detail,omitempty"`
	DocumentedLimit   int32    `json:"documentedLimit,omitempty"`
	Text              string   `json:"text"`
	Description       string   `json:"description"`
	Remedy            string   `json:"remedy"`
	Operations        []string `json:"operations,omitempty"`
}

func (c *contract) errorsJSON() ([]byte, error) {
	var entries []entry
	for _, r := range c.reasons {
		e := entry{
			Reason: r.name, Number: int32(r.number), Domain: r.spec.GetDomain(), Code: r.spec.GetCode().String(),
			Planned:    r.spec.GetPlanned(),
			GraphCodes: r.spec.GetGraphCode(), HTTPStatus: r.spec.GetHttpStatus(), Retry: r.spec.GetRetry().String(),
			RetryDelaySeconds: r.spec.GetRetryDelay().AsDuration().Seconds(), Detail: r.detail(),
			DocumentedLimit: r.spec.GetDocumentedLimit(), Text: r.spec.GetText(), Description: r.prose, Remedy: r.spec.GetRemedy(), Operations: r.operations,
		}
		if second := r.spec.GetCodeWithRetryInfo(); second != code.Code_OK {
			e.CodeWithRetryInfo = second.String()
		}
		if r.spec.GetWork() != pb.ErrorSpec_WORK_UNSPECIFIED {
			e.Work = r.spec.GetWork().String()
		}
		entries = append(entries, e)
	}
	text, err := json.MarshalIndent(entries, "", " ")
	return append(text, '\n'), err
}
