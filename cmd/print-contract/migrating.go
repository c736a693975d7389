package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
)

const migratingIntroduction = `For programs that call Microsoft Graph's Backup Storage API, by HTTP or with one of Microsoft's SDKs, and are to call this server. Find the path and the error codes that your program uses, and see what stands in their place.

## What moves where

| in a request to Graph | in a call |
|---|---|
| ` + "`Authorization`" + ` with a token of a tenant | ` + "`x-tenant-id`" + `: the server gets the token. A user's token goes into ` + "`x-user-assertion`" + `, see [the README](../README.md#calling-it) |
| ` + "`client-request-id`" + ` | ` + "`x-request-id`" + ` |
| ids in the path | fields of the request message, named as in the tables below |
| ` + "`$top`" + `, ` + "`@odata.nextLink`" + ` | ` + "`page_size`" + `, ` + "`next_page_token`" + ` and ` + "`page_token`" + `. A page iterator of an SDK becomes a loop that ends at an empty ` + "`next_page_token`" + ` |
| ` + "`$filter`" + ` | typed fields of the list's request message |
| ` + "`@odata.type`" + `, casts in the path | an rpc for each type |
| a property in camelCase | a field in snake_case: ` + "`displayName`" + ` is ` + "`display_name`" + ` |
| leaving a property out of a PATCH | leaving its field unset |

| in an error of Graph | in a Status |
|---|---|
| ` + "`error.code`" + ` (JavaScript ` + "`GraphError.code`" + `; .NET, Java, Python and Go ` + "`ODataError`" + `, its ` + "`error`" + `, its ` + "`code`" + `) | ` + "`ErrorInfo.reason`" + `, by the table of codes. The code itself is in the metadata ` + "`graphCode`" + ` |
| the HTTP status (` + "`statusCode`" + `, ` + "`responseStatusCode`" + `) | metadata ` + "`httpStatus`" + `; the gRPC code says of which kind the error is |
| ` + "`Retry-After`" + ` | ` + "`RetryInfo`" + `. Take the retry handler of the SDK away: the server repeats what can do no harm |
| ` + "`request-id`" + ` | metadata ` + "`graphRequestId`" + ` |
| ` + "`error.message`" + ` | the message of the Status, for people alone |
| no response at all: a timeout, a cut connection | ` + "`GRAPH_UNREACHABLE`" + `, ` + "`DEADLINE_EXCEEDED`" + `, or ` + "`OUTCOME_UNKNOWN`" + ` for a write that may have been done |
| no token: an ` + "`AADSTS`" + ` number of the token authority | ` + "`GRAPH_CREDENTIALS_UNAVAILABLE`" + ` with the metadata ` + "`aadsts`" + ` |

[OPERATIONS.md](../proto/OPERATIONS.md) says more of each rpc, [ERRORS.md](../proto/ERRORS.md) of each reason.
`

// migratingPage leads from Graph to the contract: paths, codes and statuses, in the order in which one looks them up.
func (c *contract) migratingPage() []byte {
	var page bytes.Buffer
	page.WriteString("# Migrating from Microsoft Graph\n\n" + generated + migratingIntroduction)

	page.WriteString("\n## From a path to its rpc\n\nPaths are under `/v1.0/solutions/backupRestore`. An SDK writes them " +
		"as a chain: `solutions.backupRestore.protectionPolicies`. Where a path has several rpcs, the type of the body, a " +
		"cast, or the filter tells them apart.\n\n| Graph | rpc |\n|---|---|\n")
	rpcs := slices.Clone(c.rpcs)
	slices.SortStableFunc(rpcs, func(a, b rpc) int {
		return cmp.Or(strings.Compare(a.call.GetPath(), b.call.GetPath()), strings.Compare(a.call.GetMethod(), b.call.GetMethod()))
	})
	for _, r := range rpcs {
		if strings.HasSuffix(r.call.GetPath(), "/browse") {
			// The second form of the operation, for its further pages: Graph's parameter nextFetchToken is a page token here.
			fmt.Fprintf(&page, "| `GET %s` | `%s/%s` with `page_token` |\n", r.call.GetPath(), r.service, r.name)
		}
		fmt.Fprintf(&page, "| `%s %s` | `%s/%s` |\n", r.call.GetMethod(), cmp.Or(r.call.GetPath(), "/"), r.service, r.name)
	}

	page.WriteString("\n## From an error code to its reason\n\nCase does not matter. A code that is not here gets the " +
		"reason of its HTTP status. An error inside a resource has the same codes and reasons: it is a Status in a field.\n\n" +
		"| `error.code` | reason | gRPC code | repeat |\n|---|---|---|---|\n")
	var rows []string
	for i := range c.reasons {
		r := &c.reasons[i]
		for _, name := range r.spec.GetGraphCode() {
			rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", name, r.row()))
		}
	}
	slices.SortFunc(rows, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	page.WriteString(strings.Join(rows, ""))

	var deciding []string
	for i := range c.reasons {
		if spec := c.reasons[i].spec; spec.GetStatusDecides() {
			deciding = append(deciding, strconv.Itoa(int(spec.GetHttpStatus())))
		}
	}
	page.WriteString("\n## From an HTTP status to its reason\n\nFor responses without a code of the table above, and for " +
		"the statuses " + strings.Join(deciding, ", ") + " whatever their code is.\n\n" +
		"| status | reason | gRPC code | repeat |\n|---|---|---|---|\n")
	rows = rows[:0]
	for i := range c.reasons {
		if r := &c.reasons[i]; r.spec.GetHttpStatus() != 0 {
			rows = append(rows, fmt.Sprintf("| %d | %s |\n", r.spec.GetHttpStatus(), r.row()))
		}
	}
	slices.Sort(rows)
	page.WriteString(strings.Join(rows, ""))
	for _, class := range []struct{ status, reason string }{{"other 4xx", "CLIENT_ERROR"}, {"other 5xx", "SERVER_ERROR"}} {
		for i := range c.reasons {
			if r := &c.reasons[i]; r.name == class.reason {
				fmt.Fprintf(&page, "| %s | %s |\n", class.status, r.row())
			}
		}
	}
	return page.Bytes()
}

// row is what the tables of codes and of statuses say of a reason.
func (r *reason) row() string {
	text := r.spec.GetCode().String()
	if second := r.spec.GetCodeWithRetryInfo(); second != code.Code_OK {
		text += ", with RetryInfo " + second.String()
	}
	return fmt.Sprintf("`%s` | %s | %s", r.name, text, r.retryText())
}
