package main

import (
	"fmt"
	"strings"

	decoding "github.com/m365backup/backupstorage/cmd/protoc-gen-graph/bench"
)

// Ids of policies that the stub treats in their own way.
const (
	smallID = "9fec8e78-bce4-4aaf-ab1b-5451cc387264"
	errorID = "eeeeeeee-bce4-4aaf-ab1b-5451cc387264" // An error with 50 details.
	slowID  = "55555555-bce4-4aaf-ab1b-5451cc387264" // Takes a second.
)

// Paths of the requests to Graph, below the version.
const (
	policyPath = "/solutions/backupRestore/protectionPolicies/"
	unitsPath  = "/solutions/backupRestore/protectionUnits/microsoft.graph.mailboxProtectionUnit"
	// The SDK leaves out a part of the name, which Graph allows.
	shortUnitsPath = "/solutions/backupRestore/protectionUnits/graph.mailboxProtectionUnit"
)

// small is one policy, as Graph writes it.
const small = `{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#solutions/backupRestore/protectionPolicies/$entity",` +
	`"@odata.type":"#microsoft.graph.exchangeProtectionPolicy","id":"` + smallID + `","displayName":"Exchange Protection Policy",` +
	`"status":"active","createdBy":{"application":{"id":"1fec8e78-bce4-4aaf-ab1b-5451cc387264","displayName":"Backup"},"user":null},` +
	`"createdDateTime":"2024-06-19T12:01:03.45Z","lastModifiedBy":{"application":{"id":"1fec8e78-bce4-4aaf-ab1b-5451cc387264","displayName":"Backup"},"user":null},` +
	`"lastModifiedDateTime":"2024-06-19T12:11:13.4Z","retentionSettings":[{"interval":"R/PT10M","period":"P14D"},{"interval":"R/PT10080M","period":"P365D"}]}`

// page is one of 999 units, whose nextLink leads back to the same upstream.
func page(endpoint string) string {
	return strings.ReplaceAll(string(decoding.NewPage()), "https://graph.microsoft.com/v1.0", endpoint)
}

// failure is an error with 50 details.
func failure() string {
	var details strings.Builder
	for n := range 50 {
		if n > 0 {
			details.WriteByte(',')
		}
		fmt.Fprintf(&details, `{"code":"InvalidProperty","message":"The value of property %d is not valid.","target":"property%d"}`, n, n)
	}
	return `{"error":{"code":"InvalidRequest","message":"The request is not valid.","details":[` + details.String() +
		`],"innerError":{"date":"2024-06-19T12:01:03","request-id":"3fec8e78-bce4-4aaf-ab1b-5451cc387264"}}}`
}
