package service

import (
	"bytes"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/graph"
)

// refusedInside returns the error of an answer with a good status whose body is an error and nothing else, as gateways
// send them; nil for all others. Without it a policy that does not exist would be an empty policy. A resource that has
// an error of its own is not meant.
func refusedInside(op *operation, received *graph.Response) *graph.Error {
	if op.errorInside || !beginsWithError(received.Body) {
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
	e.Meta, e.Sent = meta, !op.safe
	return e
}

// beginsWithError tells whether a text is a JSON object whose first property is an error that is not null.
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

// holdsError tells whether what an rpc returns is one resource that can have an error of its own.
func holdsError(response protoreflect.MessageDescriptor) bool {
	for i := range response.Fields().Len() {
		field := response.Fields().Get(i)
		if field.Message() == nil || field.IsList() || field.IsMap() {
			continue
		}
		if e := field.Message().Fields().ByName("error"); e != nil && e.Message() != nil && e.Message().FullName() == "google.rpc.Status" {
			return true
		}
	}
	return false
}
