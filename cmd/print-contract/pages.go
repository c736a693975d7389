package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const generated = "<!-- Written by `go generate ./proto` from the contract. Do not edit. -->\n\n"

// prose returns a comment up to the example of its ErrorInfo, as one line. A table keeps its lines.
func prose(comment string) string {
	text, _, _ := strings.Cut(comment, "ErrorInfo: `")
	if strings.HasPrefix(strings.TrimSpace(text), "|") {
		var lines []string
		for line := range strings.Lines(text) {
			lines = append(lines, strings.TrimSpace(line))
		}
		return strings.Join(lines, "\n")
	}
	return strings.Join(strings.Fields(text), " ")
}

func (c *contract) operationsPage() []byte {
	var page bytes.Buffer
	page.WriteString("# Operations\n\n" + generated)
	page.WriteString(`This page lists the rpcs of package ` + "`m365.backupstorage.v1`" + ` by service.

| column | meaning |
|---|---|
| Graph | HTTP method, and the path under ` + "`/v1.0/solutions/backupRestore`" + ` of Microsoft Graph; ` + "`{names}`" + ` are request fields |
| effect | what a call does to backups: READ changes nothing; ADD protects more or creates; CHANGE changes settings; REMOVE protects less or deletes; RESTORE prepares or carries out a restore. A request field with an effect of its own follows: it adds its effect when it is set. Where such a field has ADD, a call that sets only such fields has their effects alone |
| retry | ` + "`safe`" + `: no side effects. ` + "`idempotent`" + `: can be repeated. Empty: when the outcome of a call is unknown, check it before you repeat the call. [service_config.json](service_config.json) has the same rules for gRPC runtimes |
| replay | what a call gets whose ` + "`idempotency_key`" + ` came before: the resource as it is now (READ_CREATED, READ_TARGET), or with it the ids and reasons of the items (STORED_OUTCOME). Empty: the rpc takes no key. [Idempotency keys](../docs/idempotency.md) has the rules |
| verify with | the rpc that shows whether a write was carried out when its response was lost: ` + "`verifyWith`" + ` in the metadata of an error |
| least permission | the least privileged Microsoft Graph permission that allows the operation |
| documented reasons | the error reasons that Microsoft documents for the operation. Every rpc can also fail for other reasons (throttling, authorization, the server's own); [ERRORS.md](ERRORS.md) lists all |

The tenant and the user of a call are in the call's [metadata](../README.md#calling-it). The emulator supports every
operation; [its README](../graph/emulator/README.md#what-it-does-not-do) lists what it leaves out. Tests call every rpc on
the emulator over real connections: they cover success and each documented reason.
`)
	last := ""
	for _, r := range c.rpcs {
		if r.service != last {
			fmt.Fprintf(&page, "\n## %s\n\n| rpc | Graph | effect | retry | replay | verify with | least permission | documented reasons |\n|---|---|---|---|---|---|---|---|\n", r.service)
			last = r.service
		}
		permission := "`" + r.call.GetPermission() + "`"
		if r.call.GetDelegatedOnly() {
			permission += ", only on behalf of a user"
		}
		var reasons []string
		for _, documented := range r.call.GetErrors() {
			reasons = append(reasons, "`"+documented.String()+"`")
		}
		fmt.Fprintf(&page, "| [%s](%s) | `%s %s` | %s | %s | %s | %s | %s | %s |\n", r.name, r.call.GetDocs(), r.call.GetMethod(), r.call.GetPath(),
			r.effects(), []string{"", "safe", "idempotent"}[r.level], r.replay(), r.verifyWith(), permission, strings.Join(reasons, " "))
	}
	c.derivedTable(&page)
	return page.Bytes()
}

// derivedTable lists the rpcs that have no operation of their own.
func (c *contract) derivedTable(page *bytes.Buffer) {
	page.WriteString(`
## Streams, waits and watches

These rpcs stand for no operation of their own: each reads with another rpc, and needs the permission, and has the
effect (READ) and the errors, of that one. [Long lists and waiting](../docs/waiting.md) says how to use them, and what
they cost.

| rpc | kind | reads with |
|---|---|---|
`)
	for _, r := range c.derived {
		kind := "wait"
		switch {
		case r.streams && r.service == "WatchService":
			kind = "watch"
		case r.streams:
			kind = "stream of pages"
		}
		fmt.Fprintf(page, "| %s/%s | %s | `%s` |\n", r.service, r.name, kind, r.call.GetOf())
	}
}

// effects returns the effect of an rpc, and the fields that add another effect.
func (r *rpc) effects() string {
	var text strings.Builder
	text.WriteString(r.call.GetEffect().String())
	for i := range r.input.Fields().Len() {
		field := r.input.Fields().Get(i)
		option, _ := proto.GetExtension(field.Options(), pb.E_GraphField).(*pb.GraphField)
		if effect := option.GetEffect(); effect != pb.GraphCall_EFFECT_UNSPECIFIED {
			fmt.Fprintf(&text, "; `%s`: %s", field.Name(), effect)
		}
	}
	return text.String()
}

// replay returns what a call with a key gets that came before, empty for an rpc without keys.
func (r *rpc) replay() string {
	if r.call.GetReplay() == pb.GraphCall_REPLAY_UNSPECIFIED {
		return ""
	}
	return r.call.GetReplay().String()
}

// verifyWith returns the rpc that shows the outcome, and the states that prove it to the server.
func (r *rpc) verifyWith() string {
	if r.call.GetVerifyWith() == "" {
		return ""
	}
	text := "`" + r.call.GetVerifyWith() + "`"
	if states := r.call.GetOutcomeStates(); len(states) > 0 {
		text += "; carried out when `" + strings.Join(states, "`, `") + "`"
		if r.call.GetOutcomeNeedsChange() {
			text += " and modified after the call"
		}
	}
	return text
}

// retryText returns when the same request can be sent again.
func (r *reason) retryText() string {
	switch r.spec.GetRetry() {
	case pb.ErrorSpec_AFTER_DELAY:
		return fmt.Sprintf("after RetryInfo, by default %gs", r.spec.GetRetryDelay().AsDuration().Seconds())
	case pb.ErrorSpec_IF_TOLD:
		if r.spec.RetryDelay != nil {
			return fmt.Sprintf("after RetryInfo if there is one, by default %gs", r.spec.GetRetryDelay().AsDuration().Seconds())
		}
		return "after RetryInfo if there is one"
	}
	return "never"
}

func (c *contract) errorsPage() []byte {
	var page bytes.Buffer
	page.WriteString("# Error reasons\n\n" + generated)
	for _, paragraph := range c.introduction {
		page.WriteString(paragraph + "\n\n")
	}
	page.WriteString(`## How to read the tables

| column | meaning |
|---|---|
| Graph's code | ` + "`error.code`" + ` of Graph's response, or the HTTP status of a response without a known code |
| gRPC code | the code of the Status |
| fault | who must act before the request can succeed: the caller, the tenant's administrator, Graph, or the operator of this server |
| retry | when the same request can be sent again, and what a failed write may have changed. The delay of RetryInfo is Graph's, otherwise the default in the table, plus up to a fifth |
| detail | the typed detail of the Status, in addition to ErrorInfo, RetryInfo, RequestInfo and Help |
| documented for | the rpcs for which Microsoft documents the reason, in the form of metadata ` + "`operation`" + `; ` + "`operations`" + ` in the JSON |

[errors.json](errors.json) has the same data for programs, with the names of [error_spec.proto](m365/backupstorage/v1/error_spec.proto).
`)
	groups := []struct {
		title string
		below int32
	}{{"Codes of Graph's Backup Storage API", 100}, {"HTTP statuses without a known code", 200}, {"The server's own reasons", 1000}}
	at := 0
	for _, group := range groups {
		fmt.Fprintf(&page, "\n## %s\n\n| reason | Graph's code | gRPC code | fault | retry | detail | meaning | what to do | documented for |\n|---|---|---|---|---|---|---|---|---|\n", group.title)
		for ; at < len(c.reasons) && int32(c.reasons[at].number) < group.below; at++ {
			r := &c.reasons[at]
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.name, r.graph(), r.codes(), strings.ToLower(r.spec.GetFault().String()), r.retrySideEffects(), r.detail(), r.meaning(), r.spec.GetResolution()+".", strings.Join(r.operations, ", "))
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

func (r *reason) retrySideEffects() string {
	switch r.spec.GetSideEffects() {
	case pb.ErrorSpec_NONE:
		return r.retryText() + "; nothing was changed"
	case pb.ErrorSpec_POSSIBLE:
		return r.retryText() + "; the write may have been carried out"
	}
	return r.retryText()
}

func (r *reason) detail() string {
	if r.spec.GetFieldViolation().GetIfNamed() {
		return "BadRequest, if Graph names the field"
	}
	return map[pb.ErrorSpec_Detail]string{
		pb.ErrorSpec_BAD_REQUEST: "BadRequest", pb.ErrorSpec_PRECONDITION_FAILURE: "PreconditionFailure",
		pb.ErrorSpec_QUOTA_FAILURE: "QuotaFailure", pb.ErrorSpec_RESOURCE_INFO: "ResourceInfo",
	}[r.spec.GetDetail()]
}

func (r *reason) meaning() string {
	if r.spec.GetPlanned() {
		return "*Planned: no call returns it yet.* " + r.prose
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
	Fault             string   `json:"fault"`
	SideEffects       string   `json:"sideEffects,omitempty"`
	Detail            string   `json:"detail,omitempty"`
	DocumentedLimit   int32    `json:"documentedLimit,omitempty"`
	Summary           string   `json:"summary"`
	Description       string   `json:"description"`
	Resolution        string   `json:"resolution"`
	Operations        []string `json:"operations,omitempty"`
}

func (c *contract) errorsJSON() ([]byte, error) {
	var entries []entry
	for _, r := range c.reasons {
		e := entry{
			Reason: r.name, Number: int32(r.number), Domain: r.spec.GetDomain(), Code: r.spec.GetCode().String(),
			Planned: r.spec.GetPlanned(), Fault: r.spec.GetFault().String(),
			GraphCodes: r.spec.GetGraphCode(), HTTPStatus: r.spec.GetHttpStatus(), Retry: r.spec.GetRetry().String(),
			RetryDelaySeconds: r.spec.GetRetryDelay().AsDuration().Seconds(), Detail: r.detail(),
			DocumentedLimit: r.spec.GetDocumentedLimit(), Summary: r.spec.GetSummary(), Description: r.prose, Resolution: r.spec.GetResolution(), Operations: r.operations,
		}
		if second := r.spec.GetCodeWithRetryInfo(); second != code.Code_OK {
			e.CodeWithRetryInfo = second.String()
		}
		if r.spec.GetSideEffects() != pb.ErrorSpec_SIDE_EFFECTS_UNSPECIFIED {
			e.SideEffects = r.spec.GetSideEffects().String()
		}
		entries = append(entries, e)
	}
	text, err := json.MarshalIndent(entries, "", " ")
	return append(text, '\n'), err
}
