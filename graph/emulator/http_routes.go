package emulator

import "net/http"

const (
	permControlRead  = "BackupRestore-Control.Read.All"
	permControlWrite = "BackupRestore-Control.ReadWrite.All"
	permConfigRead   = "BackupRestore-Configuration.Read.All"
	permConfigWrite  = "BackupRestore-Configuration.ReadWrite.All"
	permSearchRead   = "BackupRestore-Search.Read.All"
	permRestoreRead  = "BackupRestore-Restore.Read.All"
	permRestoreWrite = "BackupRestore-Restore.ReadWrite.All"
)

// apiRoutes is the v1.0 table of documented operations.
func apiRoutes() []*route {
	routes := []*route{
		{method: http.MethodGet, template: "/", permission: permControlRead, gate: gateOpen, handle: getRoot},
		{method: http.MethodPost, template: "/enable", permission: permControlWrite, gate: gateOpen, handle: enableService},
		{method: http.MethodGet, template: "/emailNotificationsSetting", permission: permControlWrite, gate: gateRead, handle: getNotifications},
		{method: http.MethodPatch, template: "/emailNotificationsSetting", permission: permControlWrite, delegatedOnly: true, gate: gateRead, handle: patchNotifications},

		// Listing the policies is how a tenant that is still disabled gets its
		// data store, so it cannot ask for the service to be on.
		{method: http.MethodGet, template: "/protectionPolicies", permission: permConfigRead, gate: gateOpen, handle: listPolicies},
		{method: http.MethodGet, template: "/protectionPolicies/{policyId}", permission: permConfigRead, gate: gateRead, handle: getPolicy},
		{method: http.MethodDelete, template: "/protectionPolicies/{policyId}", permission: permConfigWrite, gate: gateChange, handle: deletePolicy},
		{method: http.MethodPost, template: "/protectionPolicies/{policyId}/activate", permission: permConfigWrite, bodyless: true, gate: gateChange, handle: activatePolicy},
		{method: http.MethodPost, template: "/protectionPolicies/{policyId}/deactivate", permission: permConfigWrite, bodyless: true, gate: gateChange, handle: deactivatePolicy},

		{method: http.MethodGet, template: "/protectionUnits", permission: permConfigRead, gate: gateRead, handle: listAllUnits},
		{method: http.MethodGet, template: "/protectionUnits/{unitId}", permission: permConfigRead, gate: gateRead, handle: getUnit},
		{method: http.MethodPost, template: "/protectionUnits/{unitId}/offboard", permission: permConfigWrite, delegatedOnly: true, bodyless: true, gate: gateChange, handle: offboardUnit},
		{method: http.MethodPost, template: "/protectionUnits/{unitId}/cancelOffboard", permission: permConfigWrite, delegatedOnly: true, bodyless: true, gate: gateChange, handle: cancelOffboard},

		{method: http.MethodGet, template: "/serviceApps", permission: permControlRead, gate: gateOpen, handle: listServiceApps},
		{method: http.MethodPost, template: "/serviceApps", permission: permControlWrite, gate: gateOpen, handle: createServiceApp},
		{method: http.MethodGet, template: "/serviceApps/{serviceAppId}", permission: permControlRead, gate: gateOpen, handle: getServiceApp},
		{method: http.MethodDelete, template: "/serviceApps/{serviceAppId}", permission: permControlWrite, gate: gateOpen, handle: deleteServiceApp},
		{method: http.MethodPost, template: "/serviceApps/{serviceAppId}/activate", permission: permControlWrite, delegatedOnly: true, gate: gateOpen, handle: activateServiceApp},
		{method: http.MethodPost, template: "/serviceApps/{serviceAppId}/deactivate", permission: permControlWrite, delegatedOnly: true, bodyless: true, gate: gateOpen, handle: deactivateServiceApp},

		{method: http.MethodGet, template: "/restorePoints", permission: permSearchRead, gate: gateRead, handle: listPoints},
		{method: http.MethodPost, template: "/restorePoints/search", permission: permSearchRead, gate: gateRead, handle: searchPoints},
		{method: http.MethodGet, template: "/restoreSessions", permission: permRestoreRead, gate: gateRead, handle: listSessions},
		{method: http.MethodGet, template: "/restoreSessions/{sessionId}", permission: permRestoreRead, gate: gateRead, handle: getSession},
		{method: http.MethodDelete, template: "/restoreSessions/{sessionId}", permission: permRestoreWrite, gate: gateRestore, handle: deleteSession},
		{method: http.MethodPost, template: "/restoreSessions/{sessionId}/activate", permission: permRestoreWrite, bodyless: true, gate: gateRestore, handle: activateSession},
		{method: http.MethodGet, template: "/browseSessions", permission: permRestoreWrite, gate: gateRead, handle: listBrowses("/browseSessions", OneDrive, SharePoint)},
	}
	for w := Exchange; w <= SharePoint; w++ {
		routes = append(routes, protectionRoutes(w)...)
		routes = append(routes, restoreRoutes(w)...)
		if w != SharePoint { // only users have dynamic rules
			routes = append(routes, dynamicRuleRoutes(w)...)
		}
		if w != Exchange { // mailboxes are neither browsed nor restored by browsing
			routes = append(routes, browseRoutes(w)...)
		}
	}
	return routes
}

// protectionRoutes are the operations on what protects one workload.
func protectionRoutes(w Workload) []*route {
	in := w.info()
	policies, policy := "/"+in.policies, "/"+in.policies+"/{policyId}"
	rules := policy + "/" + in.thing + "InclusionRules"
	jobs := policy + "/" + in.units + "BulkAdditionJobs"
	return []*route{
		{method: http.MethodPost, template: policies, permission: permConfigWrite, gate: gateChange, handle: createPolicy(w)},
		{method: http.MethodPatch, template: policy, permission: permConfigWrite, gate: gateChange, handle: patchPolicy(w)},
		{method: http.MethodGet, template: policy + "/" + in.units, permission: permConfigRead, gate: gateRead, handle: listPolicyUnits(w)},
		{method: http.MethodGet, template: "/protectionUnits/microsoft.graph." + in.unitType, permission: permConfigRead, gate: gateRead, handle: listWorkloadUnits(w)},

		{method: http.MethodGet, template: rules, permission: permConfigRead, gate: gateRead, handle: listRules(w)},
		{method: http.MethodPost, template: rules, permission: permConfigWrite, gate: gateChange, handle: createRule(w)},
		{method: http.MethodGet, template: rules + "/{ruleId}", permission: permConfigRead, gate: gateRead, handle: getRule(w)},
		{method: http.MethodDelete, template: rules + "/{ruleId}", permission: permConfigWrite, gate: gateChange, handle: deleteRule(w)},
		{method: http.MethodPost, template: rules + "/{ruleId}/run", permission: permConfigWrite, bodyless: true, gate: gateChange, handle: runRule(w)},

		{method: http.MethodGet, template: jobs, permission: permConfigRead, gate: gateRead, handle: listJobs(w)},
		{method: http.MethodPost, template: jobs, permission: permConfigWrite, gate: gateChange, handle: createJob(w)},
		{method: http.MethodGet, template: jobs + "/{jobId}", permission: permConfigRead, gate: gateRead, handle: getJob(w)},
	}
}

func dynamicRuleRoutes(w Workload) []*route {
	rule := "/" + w.info().policies + "/{policyId}/" + w.info().thing + "InclusionRules/{ruleId}"
	return []*route{
		{method: http.MethodPatch, template: rule, permission: permConfigWrite, gate: gateChange, handle: updateRule(w)},
		{method: http.MethodPost, template: rule + "/deleteAndUnprotect", permission: permConfigWrite, bodyless: true, gate: gateChange, handle: deleteAndUnprotect(w)},
	}
}

// restoreRoutes are the operations on restores of one workload.
func restoreRoutes(w Workload) []*route {
	sessions := "/" + w.info().name + "RestoreSessions"
	session := sessions + "/{sessionId}"
	requests := session + "/" + w.bulkType() + "s"
	return []*route{
		{method: http.MethodPost, template: sessions, permission: permRestoreWrite, gate: gateRestore, handle: createSession(w)},
		{method: http.MethodPatch, template: session, permission: permRestoreWrite, gate: gateRestore, handle: patchSession(w)},
		{method: http.MethodGet, template: session + "/" + w.artifacts(wholeUnit), permission: permRestoreRead, gate: gateRead, handle: listArtifacts(w, false)},
		{method: http.MethodGet, template: requests, permission: permRestoreRead, gate: gateRead, handle: listBulkRequests(w)},
		{method: http.MethodPost, template: requests, permission: permRestoreWrite, gate: gateRestore, handle: createBulkRequest(w)},
		{method: http.MethodGet, template: requests + "/{requestId}", permission: permRestoreRead, gate: gateRead, handle: getBulkRequest(w)},
		{method: http.MethodDelete, template: requests + "/{requestId}", permission: permRestoreWrite, gate: gateRestore, handle: deleteBulkRequest(w)},
	}
}

// browseRoutes are the operations on browsing one workload's backups, and the
// list of what is restored by browsing.
func browseRoutes(w Workload) []*route {
	granular := "/" + w.info().name + "RestoreSessions/{sessionId}/" + w.artifacts(granularItem)
	browses := "/" + w.info().name + "BrowseSessions"
	browse := browses + "/{browseSessionId}"
	return []*route{
		{method: http.MethodGet, template: granular, permission: permRestoreWrite, gate: gateRead, handle: listArtifacts(w, true)},
		{method: http.MethodGet, template: browses, permission: permRestoreWrite, gate: gateRead, handle: listBrowses(browses, w)},
		{method: http.MethodPost, template: browses, permission: permRestoreWrite, gate: gateRestore, handle: createBrowse(w)},
		{method: http.MethodGet, template: browse, permission: permRestoreWrite, gate: gateRead, handle: getBrowse(w)},
		{method: http.MethodPost, template: browse + "/browse", permission: permRestoreWrite, gate: gateRestore, handle: startBrowse(w)},
		{method: http.MethodGet, template: browse + "/browse", permission: permRestoreWrite, gate: gateRestore, handle: nextBrowse(w)},
	}
}
