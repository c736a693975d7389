package service_test

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const (
	policies = "ProtectionPolicyService/"
	units    = "ProtectionUnitService/"
	backup   = "BackupRestoreService/"
)

// workload has the rpcs and requests of one workload.
type workload struct {
	name  string
	value pb.Workload
	// prefix of the rpcs that exist once per workload: `Exchange` of CreateExchangeProtectionPolicy.
	prefix string
	// listUnits lists the units of the tenant.
	listUnits string
	// field of the requests: `mailbox_protection_units`.
	field string
	// collection is the path segment of the policies, units that of their units.
	collection, units string
	create            func(s *servicetest.Server, name string, first, last int) proto.Message
	update            func(s *servicetest.Server, id string, first, last int, remove ...string) proto.Message
	rename            func(id, name string) proto.Message
	// unit is a create request with one unit of the given id.
	unit func(id string) proto.Message
	// object is the id of the n-th object that can be protected.
	object func(tenant string, n int) string
	unitID func(tenant string, n int) string
}

var workloads = []workload{
	{
		name: "Exchange", value: pb.Workload_WORKLOAD_EXCHANGE, prefix: "Exchange",
		listUnits: "ListMailboxProtectionUnits", field: "mailbox_protection_units",
		collection: "exchangeProtectionPolicies", units: "mailboxProtectionUnits",
		create: func(s *servicetest.Server, name string, first, last int) proto.Message {
			return &pb.CreateExchangeProtectionPolicyRequest{DisplayName: name, MailboxProtectionUnits: newMailboxes(s, first, last)}
		},
		update: func(s *servicetest.Server, id string, first, last int, remove ...string) proto.Message {
			return &pb.UpdateExchangeProtectionPolicyRequest{ProtectionPolicyId: id, AddMailboxProtectionUnits: newMailboxes(s, first, last), RemoveMailboxProtectionUnitIds: remove}
		},
		rename: func(id, name string) proto.Message {
			return &pb.UpdateExchangeProtectionPolicyRequest{ProtectionPolicyId: id, DisplayName: &name}
		},
		unit: func(id string) proto.Message {
			return &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "one", MailboxProtectionUnits: []*pb.NewMailboxProtectionUnit{{DirectoryObjectId: id}}}
		},
		object: emulator.UserID,
		unitID: func(tenant string, n int) string { return emulator.UnitID(tenant, emulator.Exchange, n) },
	},
	{
		name: "OneDrive", value: pb.Workload_WORKLOAD_ONE_DRIVE_FOR_BUSINESS, prefix: "OneDriveForBusiness",
		listUnits: "ListDriveProtectionUnits", field: "drive_protection_units",
		collection: "oneDriveForBusinessProtectionPolicies", units: "driveProtectionUnits",
		create: func(s *servicetest.Server, name string, first, last int) proto.Message {
			return &pb.CreateOneDriveForBusinessProtectionPolicyRequest{DisplayName: name, DriveProtectionUnits: newDrives(s, first, last)}
		},
		update: func(s *servicetest.Server, id string, first, last int, remove ...string) proto.Message {
			return &pb.UpdateOneDriveForBusinessProtectionPolicyRequest{ProtectionPolicyId: id, AddDriveProtectionUnits: newDrives(s, first, last), RemoveDriveProtectionUnitIds: remove}
		},
		rename: func(id, name string) proto.Message {
			return &pb.UpdateOneDriveForBusinessProtectionPolicyRequest{ProtectionPolicyId: id, DisplayName: &name}
		},
		unit: func(id string) proto.Message {
			return &pb.CreateOneDriveForBusinessProtectionPolicyRequest{DisplayName: "one", DriveProtectionUnits: []*pb.NewDriveProtectionUnit{{DirectoryObjectId: id}}}
		},
		object: emulator.UserID,
		unitID: func(tenant string, n int) string { return emulator.UnitID(tenant, emulator.OneDrive, n) },
	},
	{
		name: "SharePoint", value: pb.Workload_WORKLOAD_SHARE_POINT, prefix: "SharePoint",
		listUnits: "ListSiteProtectionUnits", field: "site_protection_units",
		collection: "sharePointProtectionPolicies", units: "siteProtectionUnits",
		create: func(s *servicetest.Server, name string, first, last int) proto.Message {
			return &pb.CreateSharePointProtectionPolicyRequest{DisplayName: name, SiteProtectionUnits: newSites(s, first, last)}
		},
		update: func(s *servicetest.Server, id string, first, last int, remove ...string) proto.Message {
			return &pb.UpdateSharePointProtectionPolicyRequest{ProtectionPolicyId: id, AddSiteProtectionUnits: newSites(s, first, last), RemoveSiteProtectionUnitIds: remove}
		},
		rename: func(id, name string) proto.Message {
			return &pb.UpdateSharePointProtectionPolicyRequest{ProtectionPolicyId: id, DisplayName: &name}
		},
		unit: func(id string) proto.Message {
			return &pb.CreateSharePointProtectionPolicyRequest{DisplayName: "one", SiteProtectionUnits: []*pb.NewSiteProtectionUnit{{SiteId: id}}}
		},
		object: emulator.SiteID,
		unitID: func(tenant string, n int) string { return emulator.UnitID(tenant, emulator.SharePoint, n) },
	},
}

func (l workload) createRPC() string { return policies + "Create" + l.prefix + "ProtectionPolicy" }
func (l workload) updateRPC() string { return policies + "Update" + l.prefix + "ProtectionPolicy" }
func (l workload) listRPC() string   { return units + "List" + l.prefix + "ProtectionPolicyUnits" }

// newPolicy makes an inactive policy with the given units and returns it. The responses of the three rpcs have the same
// shape on the wire, so one type reads all.
func (l workload) newPolicy(s *servicetest.Server, first, last int) *pb.ProtectionPolicy {
	s.TB.Helper()
	return servicetest.Must[pb.CreateExchangeProtectionPolicyResponse](s, l.createRPC(), l.create(s, l.name+" policy", first, last)).GetProtectionPolicy()
}

// changes updates a policy and returns the result of each item.
func (l workload) changes(s *servicetest.Server, request proto.Message) []*pb.ProtectionUnitChange {
	s.TB.Helper()
	return servicetest.Must[pb.UpdateExchangeProtectionPolicyResponse](s, l.updateRPC(), request).GetMailboxProtectionUnits()
}

// unitsOf lists all units of a policy, in pages of the given size.
func (l workload) unitsOf(s *servicetest.Server, id string, size int32) (all []*pb.ProtectionUnit, pages int) {
	s.TB.Helper()
	token := ""
	for {
		page := servicetest.Must[pb.ListExchangeProtectionPolicyUnitsResponse](s, l.listRPC(),
			&pb.ListExchangeProtectionPolicyUnitsRequest{ProtectionPolicyId: id, PageSize: size, PageToken: token})
		pages++
		all = append(all, page.GetProtectionUnits()...)
		if token = page.GetNextPageToken(); token == "" {
			return all, pages
		}
		if pages > 100 {
			s.TB.Fatal(fmt.Errorf("%s: no end of pages", l.name))
		}
	}
}

func mustGetPolicy(s *servicetest.Server, id string) *pb.ProtectionPolicy {
	s.TB.Helper()
	return servicetest.Must[pb.GetProtectionPolicyResponse](s, policies+"GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: id}).GetProtectionPolicy()
}

func mustActivate(s *servicetest.Server, id string) *pb.ProtectionPolicy {
	s.TB.Helper()
	return servicetest.Must[pb.ActivateProtectionPolicyResponse](s, policies+"ActivateProtectionPolicy", &pb.ActivateProtectionPolicyRequest{ProtectionPolicyId: id}).GetProtectionPolicy()
}

// newMailboxes are new units for the users from first to last of the server's tenant.
func newMailboxes(s *servicetest.Server, first, last int) []*pb.NewMailboxProtectionUnit {
	var units []*pb.NewMailboxProtectionUnit
	for n := first; n <= last; n++ {
		units = append(units, &pb.NewMailboxProtectionUnit{DirectoryObjectId: emulator.UserID(s.Tenant, n)})
	}
	return units
}

// newDrives are new units for the drives of the users from first to last.
func newDrives(s *servicetest.Server, first, last int) []*pb.NewDriveProtectionUnit {
	var units []*pb.NewDriveProtectionUnit
	for n := first; n <= last; n++ {
		units = append(units, &pb.NewDriveProtectionUnit{DirectoryObjectId: emulator.UserID(s.Tenant, n)})
	}
	return units
}

// newSites are new units for the sites from first to last.
func newSites(s *servicetest.Server, first, last int) []*pb.NewSiteProtectionUnit {
	var units []*pb.NewSiteProtectionUnit
	for n := first; n <= last; n++ {
		units = append(units, &pb.NewSiteProtectionUnit{SiteId: emulator.SiteID(s.Tenant, n)})
	}
	return units
}
