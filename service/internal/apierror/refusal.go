package apierror

import pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"

// Refusal is a failure that the server decides itself, before anything is sent to Graph.
type Refusal struct {
	// Reason is one of the server's own reasons, or the one with which Graph would refuse the request.
	Reason pb.ErrorReason
	// Field is the path of the request field, or the key of the call metadata, that is at fault; empty when there is none.
	Field string
	// Wanted says what the field has to be. It never quotes what the field was.
	Wanted string
}

// Error returns the name of the reason.
func (r *Refusal) Error() string { return r.Reason.String() }

// Refuse returns the refusal of a call for a reason that speaks of no field.
func Refuse(reason pb.ErrorReason) error { return &Refusal{Reason: reason} }

// RefuseField returns the refusal of a field. wanted says what the field has to be, and never what it was.
func RefuseField(reason pb.ErrorReason, field, wanted string) error {
	return &Refusal{Reason: reason, Field: field, Wanted: wanted}
}
