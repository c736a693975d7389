package proto_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMigratingPageHasEveryPathAndCode holds the page for those who come from Microsoft Graph against Microsoft's
// facts: every documented path leads to its rpc, and every documented code to its reason.
func TestMigratingPageHasEveryPathAndCode(t *testing.T) {
	page, err := os.ReadFile("../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, operation := range table(t, "operations.tsv") {
		path := strings.TrimPrefix(operation["path"], "/solutions/backupRestore")
		if path == "" {
			path = "/"
		}
		target := fmt.Sprintf("`%s/%s`", operation["service"], operation["rpc"])
		if rpc, found := strings.CutPrefix(operation["rpc"], "(page_token of "); found {
			target = fmt.Sprintf("`%s/%s` with `page_token`", operation["service"], strings.TrimSuffix(rpc, ")"))
		}
		if want := fmt.Sprintf("| `%s %s` | %s |\n", operation["method"], path, target); !strings.Contains(string(page), want) {
			t.Errorf("the page does not have %s", want)
		}
	}
	for _, reason := range table(t, "error_reasons.tsv") {
		if want := fmt.Sprintf("| `%s` | `%s` | %s |", reason["graph_code"], reason["reason"], reason["grpc_code"]); !strings.Contains(string(page), want) {
			t.Errorf("the page does not have %s", want)
		}
	}
}
