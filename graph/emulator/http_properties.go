package emulator

import (
	"slices"
	"strings"
)

// properties are what $select can name on a route: those of Microsoft's schema,
// also where the emulator never sends them.
func (rt *route) properties() []string {
	const (
		made = "id createdBy createdDateTime lastModifiedBy lastModifiedDateTime status "
		unit = made + "error offboardRequestedDateTime policyId protectionSources "
		rule = made + "error isAutoApplyEnabled "
		job  = made + "displayName error "
		part = "id completionDateTime destinationType error startDateTime status "
		user = "directoryObjectId displayName email "
		site = "siteId siteName siteWebUrl "
	)
	names := ""
	switch rt.kind() {
	case "":
		names = "id serviceStatus"
	case "emailnotificationssetting":
		names = "id additionalEvents isEnabled recipients"
	case "serviceapps":
		names = "id application effectiveDateTime lastModifiedBy lastModifiedDateTime registrationDateTime status"
	case "protectionunits", "protectionunit":
		names = unit + user + site // of any of the three; other services take those of derived types by a cast alone
	case "mailboxprotectionunits", "driveprotectionunits", "microsoft.graph.mailboxprotectionunit", "microsoft.graph.driveprotectionunit":
		names = unit + user
	case "siteprotectionunits", "microsoft.graph.siteprotectionunit":
		names = unit + site
	case "mailboxinclusionrules":
		names = rule + "mailboxExpression"
	case "driveinclusionrules":
		names = rule + "driveExpression"
	case "siteinclusionrules":
		names = rule + "siteExpression"
	case "mailboxprotectionunitsbulkadditionjobs":
		names = job + "directoryObjectIds mailboxes"
	case "driveprotectionunitsbulkadditionjobs":
		names = job + "directoryObjectIds drives"
	case "siteprotectionunitsbulkadditionjobs":
		names = job + "siteIds siteWebUrls"
	case "restorepoints", "restorepoint":
		names = "id expirationDateTime protectionDateTime tags protectionUnit"
	case "mailboxrestoreartifacts", "granularmailboxrestoreartifacts":
		names = part + "restoredFolderId restoredFolderName restoredItemCount artifactCount searchResponseId restorePoint"
	case "driverestoreartifacts", "siterestoreartifacts":
		names = part + "restoredSiteId restoredSiteName restoredSiteWebUrl restorePoint"
	case "browsesessions":
		names = "id backupSizeInBytes createdDateTime error expirationDateTime restorePointDateTime restorePointId status"
	default:
		switch kind := rt.kind(); {
		case strings.HasSuffix(kind, "protectionpolicies"):
			names = made + "displayName isEnabled protectionPolicyArtifactCount retentionSettings"
		case strings.HasSuffix(kind, "restoresessions"):
			names = made + "completedDateTime error restoreJobType restoreSessionArtifactCount"
		}
	}
	return strings.Fields(names)
}

// kind is the last word of a route's path that is no placeholder, in lower case.
func (rt *route) kind() string {
	for _, segment := range slices.Backward(rt.segments) {
		if !isPlaceholder(segment) {
			return segment
		}
	}
	return ""
}
