package service

import pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"

// refusal is a failure that the server decides itself, before anything is sent to Graph.
type refusal struct {
	reason pb.ErrorReason
	// field is the path of the field, or the key of the call metadata, that is at fault; empty when there is none.
	field string
	// wanted says what the field has to be.
	wanted string
}

func (r *refusal) Error() string { return r.reason.String() }

// refuse returns the refusal of a field; wanted says what it has to be and never what it was.
func refuse(reason pb.ErrorReason, field, wanted string) error {
	return &refusal{reason: reason, field: field, wanted: wanted}
}
