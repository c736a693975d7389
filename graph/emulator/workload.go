package emulator

import "fmt"

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
	unitKind   idKind
	thing      string // for messages
}

var workloadTable = [...]workloadInfo{
	Exchange: {
		name: "exchange", policyType: "exchangeProtectionPolicy", policies: "exchangeProtectionPolicies",
		unitType: "mailboxProtectionUnit", units: "mailboxProtectionUnits",
		idProperty: "directoryObjectId", unitKind: kindMailboxUnit, thing: "mailbox",
	},
	OneDrive: {
		name: "oneDriveForBusiness", policyType: "oneDriveForBusinessProtectionPolicy", policies: "oneDriveForBusinessProtectionPolicies",
		unitType: "driveProtectionUnit", units: "driveProtectionUnits",
		idProperty: "directoryObjectId", unitKind: kindDriveUnit, thing: "drive",
	},
	SharePoint: {
		name: "sharePoint", policyType: "sharePointProtectionPolicy", policies: "sharePointProtectionPolicies",
		unitType: "siteProtectionUnit", units: "siteProtectionUnits",
		idProperty: "siteId", unitKind: kindSiteUnit, thing: "site",
	},
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
