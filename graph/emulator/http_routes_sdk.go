package emulator

import (
	"net/http"
	"slices"
	"strings"
)

// sdkRoutes are the paths that no page documents, but that Microsoft's SDKs can
// call and its tables of permissions name. They lead to the same resources.
func sdkRoutes() []*route {
	get := func(template, permission string, handle handler) *route {
		return &route{method: http.MethodGet, template: template, permission: permission, gate: gateRead, handle: handle}
	}
	routes := []*route{
		get("/restorePoints/{restorePointId}", permSearchRead, getPoint),
		get("/restorePoints/{restorePointId}/protectionUnit", permSearchRead, getPointUnit),
		get("/browseSessions/{browseSessionId}", permRestoreWrite, getAnyBrowse),
		{
			method: http.MethodPost, template: "/browseSessions/{browseSessionId}/browse",
			permission: permRestoreWrite, gate: gateRestore, handle: ofAnyBrowse(startBrowse),
		},
		get("/browseSessions/{browseSessionId}/browse", permRestoreWrite, ofAnyBrowse(nextBrowse)),
		get("/browseSessions/{browseSessionId}/browse(nextFetchToken='{nextFetchToken}')", permRestoreWrite, ofAnyBrowse(nextBrowse)),
	}
	for w := Exchange; w <= SharePoint; w++ {
		in := w.info()
		policies, sessions := "/"+in.policies, "/"+in.name+"RestoreSessions"
		routes = append(routes,
			&route{method: http.MethodGet, template: policies, permission: permConfigRead, gate: gateOpen, handle: listWorkloadPolicies(w)},
			get(policies+"/{policyId}", permConfigRead, ofPolicy(w, getPolicy)),
			&route{
				method: http.MethodDelete, template: policies + "/{policyId}", permission: permConfigWrite,
				gate: gateChange, handle: ofPolicy(w, deletePolicy),
			},
			get(policies+"/{policyId}/"+in.units+"/{unitId}", permConfigRead, getPolicyUnit(w)),
			get("/"+in.units, permConfigRead, listWorkloadUnits(w)),
			get("/"+in.units+"/{unitId}", permConfigRead, getWorkloadUnit(w)),

			get(sessions, permRestoreRead, listWorkloadSessions(w)),
			get(sessions+"/{sessionId}", permRestoreRead, ofSession(w, getSession)),
			&route{
				method: http.MethodDelete, template: sessions + "/{sessionId}", permission: permRestoreWrite,
				gate: gateRestore, handle: ofSession(w, deleteSession),
			},
			get(sessions+"/{sessionId}/"+w.artifacts(wholeUnit)+"/{artifactId}", permRestoreRead, getArtifact(w, false)),
			get(sessions+"/{sessionId}/"+w.artifacts(wholeUnit)+"/{artifactId}/restorePoint", permRestoreRead, getArtifactPoint(w)),
		)
		routes = append(routes, tenantWideRoutes(w)...)
		if w == Exchange {
			mail := sessions + "/{sessionId}/" + w.artifacts(granularMail)
			routes = append(routes,
				get(mail, permRestoreRead, listGranularMail),
				get(mail+"/{artifactId}", permRestoreRead, getArtifact(w, false)),
				get(mail+"/{artifactId}/restorePoint", permRestoreRead, getArtifactPoint(w)),
			)
		} else {
			routes = append(routes, get(sessions+"/{sessionId}/"+w.artifacts(granularItem)+"/{artifactId}", permRestoreWrite, getArtifact(w, true)))
		}
	}
	return routes
}

// tenantWideRoutes are the rules and jobs of all policies of a workload. The SDKs
// can create them nowhere else.
func tenantWideRoutes(w Workload) []*route {
	rules, jobs := "/"+w.info().thing+"InclusionRules", "/"+w.info().units+"BulkAdditionJobs"
	routes := []*route{
		{method: http.MethodGet, template: rules, permission: permConfigRead, gate: gateRead, handle: listAllRules(w)},
		{method: http.MethodPost, template: rules, permission: permConfigWrite, gate: gateChange, handle: inOnlyPolicy(w, createRule(w))},
		{method: http.MethodGet, template: rules + "/{ruleId}", permission: permConfigRead, gate: gateRead, handle: ofAnyRule(w, getRule(w))},
		{method: http.MethodDelete, template: rules + "/{ruleId}", permission: permConfigWrite, gate: gateChange, handle: ofAnyRule(w, deleteRule(w))},
		{method: http.MethodPost, template: rules + "/{ruleId}/run", permission: permConfigWrite, bodyless: true, gate: gateChange, handle: ofAnyRule(w, runRule(w))},

		{method: http.MethodGet, template: jobs, permission: permConfigRead, gate: gateRead, handle: listAllJobs(w)},
		{method: http.MethodPost, template: jobs, permission: permConfigWrite, gate: gateChange, handle: inOnlyPolicy(w, createJob(w))},
		{method: http.MethodGet, template: jobs + "/{jobId}", permission: permConfigRead, gate: gateRead, handle: ofAnyJob(w)},
	}
	if w == SharePoint {
		return routes
	}
	return append(routes,
		&route{method: http.MethodPatch, template: rules + "/{ruleId}", permission: permConfigWrite, gate: gateChange, handle: ofAnyRule(w, updateRule(w))},
		&route{method: http.MethodPost, template: rules + "/{ruleId}/deleteAndUnprotect", permission: permConfigWrite, bodyless: true, gate: gateChange, handle: ofAnyRule(w, deleteAndUnprotect(w))},
	)
}

// allRoutes are all operations: documented ones, those of the SDKs, and the
// numbers of lists.
func allRoutes() []*route {
	routes := append(apiRoutes(), sdkRoutes()...)
	return append(append(routes, counts(routes)...), batchRoute())
}

// typedCollections lead from a type to the collection that has its resources
// alone, per collection of the base type.
func typedCollections(base string) map[string]string {
	types := map[string]string{}
	for w := Exchange; w <= SharePoint; w++ {
		in := w.info()
		switch strings.ToLower(base) {
		case "protectionpolicies":
			types[strings.ToLower(in.policyType)] = in.policies
		case "protectionunits":
			types[strings.ToLower(in.unitType)] = in.units
		case "restoresessions":
			types[strings.ToLower(in.name+"RestoreSession")] = in.name + "RestoreSessions"
		case "browsesessions":
			if w != Exchange {
				types[strings.ToLower(in.name+"BrowseSession")] = in.name + "BrowseSessions"
			}
		}
	}
	return types
}

const castPrefix = "microsoft.graph."

// uncast writes a path with a cast as the path of the typed collection, and an
// action with its namespace as the one without:
//
//	protectionPolicies/1/microsoft.graph.exchangeProtectionPolicy  is  exchangeProtectionPolicies/1
//	protectionPolicies/1/microsoft.graph.deactivate                is  protectionPolicies/1/deactivate
//
// The documented list protectionUnits/microsoft.graph.mailboxProtectionUnit stays as it is.
func uncast(segments []string) []string {
	if !slices.ContainsFunc(segments, func(s string) bool { _, is := cutPrefixFold(s, castPrefix); return is }) {
		return segments
	}
	segments = slices.Clone(segments)
	types := typedCollections(segments[0])
	for _, at := range []int{1, 2} {
		if at >= len(segments) || at == 1 && strings.EqualFold(segments[0], "protectionUnits") {
			continue
		}
		name, isCast := cutPrefixFold(segments[at], castPrefix)
		if typed := types[strings.ToLower(name)]; isCast && typed != "" {
			segments[0] = typed
			segments = slices.Delete(segments, at, at+1)
			break
		}
	}
	last := len(segments) - 1
	switch name, qualified := cutPrefixFold(segments[last], castPrefix); strings.ToLower(name) {
	case "activate", "deactivate", "enable", "search", "browse", "run", "deleteandunprotect", "offboard", "canceloffboard":
		if qualified {
			segments[last] = name
		}
	}
	return segments
}
