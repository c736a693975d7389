package emulator

import (
	"encoding/json"
	"fmt"
)

// Workload is one of the three services that a policy protects.
type Workload int

// The workloads.
const (
	Exchange Workload = iota
	OneDrive
	SharePoint
)

// workloadInfo is how one workload is spelt on the wire.
type workloadInfo struct {
	name       string // in seeds
	policyType string
	policies   string // segment of its policies
	unitType   string
	units      string // property and segment of its units
	idProperty string // what names the protected thing
	idInDocs   string // what Microsoft's examples call it, where that differs
	unitKind   idKind
	thing      string // for messages
}

var workloadTable = [...]workloadInfo{
	Exchange: {
		name: "exchange", policyType: "exchangeProtectionPolicy", policies: "exchangeProtectionPolicies",
		unitType: "mailboxProtectionUnit", units: "mailboxProtectionUnits",
		idProperty: "directoryObjectId", idInDocs: "userId", unitKind: kindMailboxUnit, thing: "mailbox",
	},
	OneDrive: {
		name: "oneDriveForBusiness", policyType: "oneDriveForBusinessProtectionPolicy", policies: "oneDriveForBusinessProtectionPolicies",
		unitType: "driveProtectionUnit", units: "driveProtectionUnits",
		idProperty: "directoryObjectId", idInDocs: "userId", unitKind: kindDriveUnit, thing: "drive",
	},
	SharePoint: {
		name: "sharePoint", policyType: "sharePointProtectionPolicy", policies: "sharePointProtectionPolicies",
		unitType: "siteProtectionUnit", units: "siteProtectionUnits",
		idProperty: "siteId", unitKind: kindSiteUnit, thing: "site",
	},
}

// idProperties are the spellings of the property that names the protected thing.
func (in *workloadInfo) idProperties() []string {
	if in.idInDocs == "" {
		return []string{in.idProperty}
	}
	return []string{in.idProperty, in.idInDocs}
}

// protectedThing returns the id in an item that adds a unit, nil when it has
// none.
func (in *workloadInfo) protectedThing(item map[string]json.RawMessage) json.RawMessage {
	for _, name := range in.idProperties() {
		if id := item[name]; id != nil {
			return id
		}
	}
	return nil
}

// protectedID is the id of a protected thing in an answer, under the name that its
// workload gives it.
type protectedID struct {
	ObjectID string `json:"directoryObjectId,omitempty"`
	SiteID   string `json:"siteId,omitempty"`
}

func (w Workload) protectedID(id string) protectedID {
	if w == SharePoint {
		return protectedID{SiteID: id}
	}
	return protectedID{ObjectID: id}
}

// bulkLists are the properties of bulk requests that name resources: by name and
// by id.
func (w Workload) bulkLists() (names, ids string) {
	switch w {
	case Exchange:
		return "mailboxes", "directoryObjectIds"
	case OneDrive:
		return "drives", "directoryObjectIds"
	}
	return "siteWebUrls", "siteIds"
}

func (w Workload) info() *workloadInfo { return &workloadTable[w] }

// String returns the name that seeds use: exchange, oneDriveForBusiness or
// sharePoint.
func (w Workload) String() string {
	if w < 0 || int(w) >= len(workloadTable) {
		return fmt.Sprintf("workload(%d)", int(w))
	}
	return workloadTable[w].name
}

// MarshalText writes the name.
func (w Workload) MarshalText() ([]byte, error) {
	if w < 0 || int(w) >= len(workloadTable) {
		return nil, fmt.Errorf("no such workload: %d", int(w))
	}
	return []byte(workloadTable[w].name), nil
}

// UnmarshalText reads the name and refuses any other text.
func (w *Workload) UnmarshalText(text []byte) error {
	for i := range workloadTable {
		if workloadTable[i].name == string(text) {
			*w = Workload(i)
			return nil
		}
	}
	return fmt.Errorf("workload %q is none of exchange, oneDriveForBusiness, sharePoint", text)
}
