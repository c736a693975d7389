package apierror

import (
	"strconv"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Refusal is a failure that the server decides itself, before anything is sent to Graph.
type Refusal struct {
	// Reason is one of the server's own reasons, or the one with which Graph would refuse the request.
	Reason pb.ErrorReason
	// Field is the path of the request field, or the key of the call metadata, that is at fault; empty when there is none.
	Field string
	// Wanted says what the field has to be, as in "page_size must be 0 or more".
	Wanted string
	// Got is what the field is, where showing it is safe, as in "it is -1"; else empty.
	Got string
	// Method is the name of a method that the server does not have, as it is safe to show; else empty.
	Method string
}

// Error returns the name of the reason.
func (r *Refusal) Error() string { return r.Reason.String() }

// Refuse returns the refusal of a call for a reason that speaks of no field.
func Refuse(reason pb.ErrorReason) error { return &Refusal{Reason: reason} }

// maxMethod is how much of a method's name the message shows, in bytes. The longest rpc has less.
const maxMethod = 256

// RefuseMethod returns the refusal of a method that the server does not have.
func RefuseMethod(name string) error {
	return &Refusal{Reason: pb.ErrorReason_UNKNOWN_METHOD, Method: strconv.QuoteToASCII(cut(name, maxMethod))}
}

// RefuseField returns the refusal of a field that can hold a secret: wanted says what it has to be, and nothing says
// what it is.
func RefuseField(reason pb.ErrorReason, field, wanted string) error {
	return &Refusal{Reason: reason, Field: field, Wanted: wanted}
}

// RefuseNumber returns the refusal of a number, which the message shows.
func RefuseNumber(reason pb.ErrorReason, field, wanted string, got int64) error {
	return &Refusal{Reason: reason, Field: field, Wanted: wanted, Got: strconv.FormatInt(got, 10)}
}

// maxQuoted is how much of a refused text the message shows, in bytes.
const maxQuoted = 64

// RefuseText returns the refusal of a text, of which the message shows the beginning.
func RefuseText(reason pb.ErrorReason, field, wanted, got string) error {
	return &Refusal{Reason: reason, Field: field, Wanted: wanted, Got: strconv.QuoteToASCII(cut(got, maxQuoted))}
}
