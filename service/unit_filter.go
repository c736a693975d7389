package service

import (
	"strings"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// unitQueries says in OData which units a list asks for. An unset filter, and one without a value, is none.
func unitQueries(filter *pb.ProtectionUnitFilter) []string {
	parts := make([]string, 0, 6)
	add := func(property, operator, join string, literals []string) {
		comparisons := make([]string, len(literals))
		for i, literal := range literals {
			comparisons[i] = property + " " + operator + " " + odataText(literal)
		}
		switch text := strings.Join(comparisons, join); {
		case len(comparisons) == 1 || len(comparisons) > 1 && join == and:
			parts = append(parts, text)
		case len(comparisons) > 1:
			parts = append(parts, "("+text+")")
		}
	}
	add("status", "eq", or, statusNames(filter.GetStatuses()))
	add("status", "ne", and, statusNames(filter.GetExcludedStatuses()))
	add("id", "eq", or, filter.GetProtectionUnitIds())
	add("directoryObjectId", "eq", or, filter.GetDirectoryObjectIds())
	add("siteId", "eq", or, filter.GetSiteIds())
	add("email", "eq", or, filter.GetEmails())
	if len(parts) == 0 {
		return nil
	}
	return []string{"$filter=" + escapeQuery(strings.Join(parts, and))}
}

// How OData joins comparisons.
const and, or = " and ", " or "

// statusNames are Graph's names of states. The numbers are those of the contract: others were refused.
func statusNames(states []pb.ProtectionUnitStatus) []string {
	names := make([]string, len(states))
	for i, state := range states {
		if value := state.Descriptor().Values().ByNumber(state.Number()); value != nil {
			names[i] = contract.Member(value)
		}
	}
	return names
}
