package apierror

import "github.com/m365backup/backupstorage/graph"

// GraphError is a call that Graph did not carry out, or not as far as the server knows, with what the server knows
// besides.
type GraphError struct {
	// Err is the failure of the request to Graph.
	Err *graph.Error
	// NextPage is set for a call for a page behind the first, OnBehalfOfUser for one made on behalf of a user.
	NextPage, OnBehalfOfUser bool
	// ObservedStatus is the state that a read showed after a lost write, when that state proved nothing; else empty.
	ObservedStatus string
}

// Error returns the text of Err, which has nothing of Graph's in it.
func (e *GraphError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *GraphError) Unwrap() error { return e.Err }
