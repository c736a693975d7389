package bench

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// page, unit, identitySet and identity are the structs that a developer would write for a decoder with reflection.
type page struct {
	Value    []unit `json:"value"`
	NextLink string `json:"@odata.nextLink"`
}

type unit struct {
	Type                 string       `json:"@odata.type"`
	ID                   string       `json:"id"`
	PolicyID             string       `json:"policyId"`
	Status               string       `json:"status"`
	CreatedBy            *identitySet `json:"createdBy"`
	CreatedDateTime      *time.Time   `json:"createdDateTime"`
	LastModifiedBy       *identitySet `json:"lastModifiedBy"`
	LastModifiedDateTime *time.Time   `json:"lastModifiedDateTime"`
	Error                *struct{}    `json:"error"`
	DirectoryObjectID    string       `json:"directoryObjectId"`
	DisplayName          string       `json:"displayName"`
	Email                string       `json:"email"`
}

type identitySet struct {
	Application *identity `json:"application"`
	Device      *identity `json:"device"`
	User        *identity `json:"user"`
}

type identity struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	Email       string `json:"email"`
}

var statuses = map[string]pb.ProtectionUnitStatus{
	"protectRequested":        pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECT_REQUESTED,
	"protected":               pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECTED,
	"unprotectRequested":      pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_UNPROTECT_REQUESTED,
	"unprotected":             pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_UNPROTECTED,
	"removeRequested":         pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_REMOVE_REQUESTED,
	"offboardRequested":       pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_OFFBOARD_REQUESTED,
	"offboarded":              pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_OFFBOARDED,
	"cancelOffboardRequested": pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_CANCEL_OFFBOARD_REQUESTED,
}

// message copies the page into finished messages.
func (p *page) message() *pb.ListMailboxProtectionUnitsResponse {
	m := &pb.ListMailboxProtectionUnitsResponse{
		NextPageToken: p.NextLink, ProtectionUnits: make([]*pb.ProtectionUnit, len(p.Value)),
	}
	for i := range p.Value {
		u := &p.Value[i]
		m.ProtectionUnits[i] = &pb.ProtectionUnit{
			Id: u.ID, PolicyId: u.PolicyID, Workload: workload(u.Type), Status: statuses[u.Status],
			CreatedBy: u.CreatedBy.message(), CreatedDateTime: timestamp(u.CreatedDateTime),
			LastModifiedBy: u.LastModifiedBy.message(), LastModifiedDateTime: timestamp(u.LastModifiedDateTime),
			Resource: &pb.ProtectionUnit_User{User: &pb.ProtectedUser{
				DirectoryObjectId: u.DirectoryObjectID, DisplayName: u.DisplayName, Email: u.Email,
			}},
		}
	}
	return m
}

func (s *identitySet) message() *pb.IdentitySet {
	if s == nil {
		return nil
	}
	return &pb.IdentitySet{Application: s.Application.message(), Device: s.Device.message(), User: s.User.message()}
}

func (i *identity) message() *pb.Identity {
	if i == nil {
		return nil
	}
	return &pb.Identity{Id: i.ID, DisplayName: i.DisplayName, Email: i.Email}
}

func timestamp(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}

func workload(odataType string) pb.Workload {
	switch name := strings.TrimPrefix(odataType, "#microsoft.graph."); {
	case strings.HasPrefix(name, "mailbox"):
		return pb.Workload_WORKLOAD_EXCHANGE
	case strings.HasPrefix(name, "drive"):
		return pb.Workload_WORKLOAD_ONE_DRIVE_FOR_BUSINESS
	case strings.HasPrefix(name, "site"):
		return pb.Workload_WORKLOAD_SHARE_POINT
	}
	return 0
}
