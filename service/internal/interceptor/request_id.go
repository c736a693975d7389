package interceptor

import (
	"context"
	"strings"
	"sync"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// requestIDKey is the metadata and the trailer with the id of a call.
const requestIDKey = "x-request-id"

// assignRequestID gives the call an id, the caller's when it is a GUID and else a new one, and returns it in the
// trailers.
func assignRequestID(ctx context.Context, c *call, next handler) error {
	if values := Header(ctx, requestIDKey); len(values) == 1 && graph.IsGUID(values[0]) {
		c.requestID = strings.ToLower(values[0])
	} else {
		c.requestID = uuid.NewString()
	}
	// A call that ends at its headers has no trailers. One that ends later because nobody is known to call has none
	// either, so that both look the same.
	defer func() {
		if c.failure == nil || c.failure.Reason() != pb.ErrorReason_CALLER_UNAUTHENTICATED.String() {
			setRequestID(ctx, c.requestID)
		}
	}()
	return next(ctx, c)
}

// idTrailer is the trailer with the id of a call.
type idTrailer struct {
	md metadata.MD
	id [1]string
}

var idTrailers = sync.Pool{New: func() any {
	t := new(idTrailer)
	t.md = metadata.MD{requestIDKey: t.id[:]}
	return t
}}

// setRequestID sets the trailer that every call has. gRPC copies what it gets.
func setRequestID(ctx context.Context, id string) {
	t, _ := idTrailers.Get().(*idTrailer)
	t.id[0] = id
	// It fails only outside of a call.
	_ = grpc.SetTrailer(ctx, t.md)
	idTrailers.Put(t)
}
