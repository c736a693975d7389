package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/m365backup/backupstorage/internal/troubled"
)

// orders are the values of `sort` of /tenants. Tenants that are equal are in the order of their ids.
var orders = map[string]func(a, b troubled.Row) int{
	"errors":  func(a, b troubled.Row) int { return cmp.Compare(b.Errors, a.Errors) },
	"calls":   func(a, b troubled.Row) int { return cmp.Compare(b.Calls, a.Calls) },
	"blocked": func(a, b troubled.Row) int { return b.BlockedUntil.Compare(a.BlockedUntil) },
	"lastOK":  func(a, b troubled.Row) int { return a.LastOK.Compare(b.LastOK) },
	"recent":  func(a, b troubled.Row) int { return b.LastError.Compare(a.LastError) },
}

// tenantRow is a row of /tenants as JSON. What is not known is left out.
type tenantRow struct {
	Tenant         string    `json:"tenant"`
	Calls          uint64    `json:"calls"`
	Errors         uint64    `json:"errors"`
	CallerErrors   uint64    `json:"callerErrors"`
	LastOK         time.Time `json:"lastOK,omitzero"`
	LastError      time.Time `json:"lastError,omitzero"`
	LastReason     string    `json:"lastReason,omitempty"`
	LastCause      string    `json:"lastCause,omitempty"`
	BlockedUntil   time.Time `json:"blockedUntil,omitzero"`
	ConsentProblem bool      `json:"consentProblem"`
}

// tenants serves the table as text, or as JSON with `format=json`.
func tenants(table *troubled.Table) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		order, ok := orders[cmp.Or(r.FormValue("sort"), "errors")]
		if !ok {
			http.Error(w, "sort must be errors, calls, blocked, lastOK or recent", http.StatusBadRequest)
			return
		}
		rows := table.Rows()
		slices.SortFunc(rows, func(a, b troubled.Row) int { return cmp.Or(order(a, b), cmp.Compare(a.Tenant, b.Tenant)) })
		if r.FormValue("format") == "json" {
			all := make([]tenantRow, len(rows))
			for i, row := range rows {
				all[i] = tenantRow{
					row.Tenant, row.Calls, row.Errors, row.CallerErrors, row.LastOK, row.LastError, row.LastReason, row.LastCause, row.BlockedUntil, row.ConsentProblem,
				}
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(all)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		text := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(text, "TENANT\tCALLS\tERRORS\tCALLER ERRORS\tLAST OK\tLAST ERROR\tLAST REASON\tLAST CAUSE\tBLOCKED UNTIL\tCONSENT")
		for _, row := range rows {
			consent := "-"
			if row.ConsentProblem {
				consent = "missing"
			}
			fmt.Fprintf(text, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Tenant, row.Calls, row.Errors, row.CallerErrors,
				at(row.LastOK), at(row.LastError), cmp.Or(row.LastReason, "-"), cmp.Or(row.LastCause, "-"), at(row.BlockedUntil), consent)
		}
		_ = text.Flush()
	}
}

func at(when time.Time) string {
	if when.IsZero() {
		return "-"
	}
	return when.UTC().Format(time.RFC3339)
}
