package bench

import (
	"time"

	"github.com/go-faster/jx"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// decodeByHand is what a developer would write with a decoder that has no reflection: it reads into the messages, with
// no structs between.
func decodeByHand(body []byte) (*pb.ListMailboxProtectionUnitsResponse, error) {
	m := new(pb.ListMailboxProtectionUnitsResponse)
	err := jx.DecodeBytes(body).ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "value":
			return d.Arr(func(d *jx.Decoder) error {
				u, err := unitByHand(d)
				m.ProtectionUnits = append(m.ProtectionUnits, u)
				return err
			})
		case "@odata.nextLink":
			m.NextPageToken, err = d.Str()
			return err
		}
		return d.Skip()
	})
	return m, err
}

func unitByHand(d *jx.Decoder) (*pb.ProtectionUnit, error) {
	user := new(pb.ProtectedUser)
	u := &pb.ProtectionUnit{Resource: &pb.ProtectionUnit_User{User: user}}
	return u, d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "@odata.type":
			var name string
			name, err = d.Str()
			u.Workload = workload(name)
		case "id":
			u.Id, err = d.Str()
		case "policyId":
			u.PolicyId, err = d.Str()
		case "status":
			var name []byte
			name, err = d.StrBytes()
			u.Status = statuses[string(name)]
		case "createdBy":
			u.CreatedBy, err = identitiesByHand(d)
		case "createdDateTime":
			u.CreatedDateTime, err = timeByHand(d)
		case "lastModifiedBy":
			u.LastModifiedBy, err = identitiesByHand(d)
		case "lastModifiedDateTime":
			u.LastModifiedDateTime, err = timeByHand(d)
		case "directoryObjectId":
			user.DirectoryObjectId, err = d.Str()
		case "displayName":
			user.DisplayName, err = d.Str()
		case "email":
			user.Email, err = d.Str()
		default:
			err = d.Skip()
		}
		return err
	})
}

func identitiesByHand(d *jx.Decoder) (*pb.IdentitySet, error) {
	if d.Next() == jx.Null {
		return nil, d.Null()
	}
	s := new(pb.IdentitySet)
	return s, d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "application":
			s.Application, err = identityByHand(d)
		case "device":
			s.Device, err = identityByHand(d)
		case "user":
			s.User, err = identityByHand(d)
		default:
			err = d.Skip()
		}
		return err
	})
}

func identityByHand(d *jx.Decoder) (*pb.Identity, error) {
	if d.Next() == jx.Null {
		return nil, d.Null()
	}
	i := new(pb.Identity)
	return i, d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "id":
			i.Id, err = d.Str()
		case "displayName":
			i.DisplayName, err = d.Str()
		case "email":
			i.Email, err = d.Str()
		default:
			err = d.Skip()
		}
		return err
	})
}

func timeByHand(d *jx.Decoder) (*timestamppb.Timestamp, error) {
	if d.Next() == jx.Null {
		return nil, d.Null()
	}
	text, err := d.Str()
	if err != nil {
		return nil, err
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	return timestamppb.New(t), err
}
