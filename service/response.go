package service

import (
	"bytes"
	"context"
	"errors"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
)

// bodyReader is a response message that is read from a body. The plugin writes the method.
type bodyReader interface {
	UnmarshalGraphJSON(body []byte, options pb.GraphReadOptions) error
}

// decode reads Graph's response into that of an rpc, unless the rpc's has no fields. Every error is a *graph.Error.
func (c *core) decode(ctx context.Context, op *contract.Operation, received *graph.Response, result into) error {
	if failed := bareError(op, received); failed != nil {
		return failed
	}
	invalid := func(cause graph.Cause, err error) error {
		return &graph.Error{Kind: graph.KindInvalidResponse, Meta: received.Meta, Sent: !op.Safe, Cause: cause, Err: err}
	}
	// A create whose response does not say what was created is lost: nobody could name it. The reader changes the body, so
	// the type is read before.
	if op.Created != nil && !op.Created.HasType(received.Body) {
		return invalid(graph.CauseWrongType, nil)
	}
	// An unknown code counts when the client gets it: the wire path translates errors before it has read the whole body.
	var unknown apierror.UnknownEmbedded
	err := result.read(received.Body, pb.GraphReadOptions{
		Workload: op.Workload,
		Error: func(item pb.GraphItemError) (*statuspb.Status, []*pb.FailedResource) {
			return c.translator.Embedded(op, item, &unknown)
		},
		Notes: func(got pb.GraphNotes) { c.notes.take(ctx, op, got) },
	})
	if err == nil {
		c.translator.CountEmbedded(unknown)
	}
	switch {
	case err != nil:
		cause := graph.CauseSyntax
		if unread, ok := errors.AsType[*pb.GraphJSONError](err); ok {
			cause = graph.Cause(unread.Cause)
		}
		return invalid(cause, err)
	case op.Created != nil && !op.Created.HasID(result.message.ProtoReflect()):
		return invalid(graph.CauseMissingID, nil)
	}
	return nil
}

// read reads a body, unless the response has no fields. The error is a *pb.GraphJSONError.
func (r into) read(body []byte, options pb.GraphReadOptions) error {
	if r.page != nil {
		return r.page.read(r.message, body, options)
	}
	if reader, ok := r.message.(bodyReader); ok {
		return reader.UnmarshalGraphJSON(body, options)
	}
	return nil
}

// bareError returns the error of a 2xx response whose body is an error and nothing else, as gateways send them; nil for
// any other response. Without it a policy that does not exist would be an empty policy. A resource that has an error of
// its own is not meant.
func bareError(op *contract.Operation, received *graph.Response) *graph.Error {
	if op.EmbedsError || !beginsWithError(received.Body) {
		return nil
	}
	e := graph.ErrorBody(received.Body)
	meta := received.Meta
	if meta.RequestID == "" {
		meta.RequestID = e.RequestID
	}
	if meta.ClientRequestID == "" {
		meta.ClientRequestID = e.ClientRequestID
	}
	e.Meta, e.Sent = meta, !op.Safe
	return e
}

// beginsWithError reports whether a text is a JSON object whose first property is an error that is not null.
func beginsWithError(body []byte) bool {
	const space = " \t\r\n"
	rest := bytes.TrimLeft(body, space)
	for _, token := range []string{"{", `"error"`, ":"} {
		var ok bool
		if rest, ok = bytes.CutPrefix(rest, []byte(token)); !ok {
			return false
		}
		rest = bytes.TrimLeft(rest, space)
	}
	return !bytes.HasPrefix(rest, []byte("null"))
}
