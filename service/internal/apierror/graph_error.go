package apierror

import (
	"strings"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// GraphError is a call that Graph did not carry out, or not as far as the server knows, with what the server knows
// besides.
type GraphError struct {
	// Err is the failure of the request to Graph.
	Err *graph.Error
	// NextPage is set for a call for a page behind the first, OnBehalfOfUser for one made on behalf of a user.
	NextPage, OnBehalfOfUser bool
	// ObservedStatus is the state that a read showed after a lost write, when that state proved nothing; else empty.
	ObservedStatus string
	// Read is the operation that failed, when it is a read on behalf of a write, such as that of a replay; else nil.
	Read *contract.Operation
	// Keyed is set for a write with an idempotency key: the call may be repeated, for the write never is.
	Keyed bool
}

// Error returns the text of Err, which has nothing of Graph's in it.
func (e *GraphError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *GraphError) Unwrap() error { return e.Err }

// StillUnknownError is a repeated call with an idempotency key after a write whose outcome a look did not show.
type StillUnknownError struct {
	// CandidateIDs are the ids of what the write may have created.
	CandidateIDs []string
	// ObservedStatus is as in GraphError.
	ObservedStatus string
}

// Error says what it is.
func (*StillUnknownError) Error() string { return "outcome of an earlier write is unknown" }

// MaxCandidates is how many ids of candidates an error has.
const MaxCandidates = 5

// candidates is the metadata.
func (u *StillUnknownError) candidates() string {
	return strings.Join(u.CandidateIDs[:min(len(u.CandidateIDs), MaxCandidates)], ",")
}
