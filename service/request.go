package service

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
)

// bodyWriter is a request message that has a body. The plugin writes the method.
type bodyWriter interface {
	AppendGraphJSON(dst []byte) []byte
}

// newRequest makes the request to Graph of a request message, or refuses what Graph has no form for.
func (c *core) newRequest(ctx context.Context, op *contract.Operation, message protoreflect.Message, queries []string) (*graph.Request, error) {
	tenant, err := c.tenants.of(ctx)
	if err != nil {
		return nil, err
	}
	assertion, err := assertionOf(ctx)
	if err != nil {
		return nil, err
	}
	if assertion == "" && op.Spec.GetDelegatedOnly() && !c.allowAppOnly {
		return nil, apierror.Refuse(pb.ErrorReason_DELEGATED_TOKEN_REQUIRED)
	}
	target, err := target(op, message)
	if err != nil {
		return nil, err
	}
	size, err := pageSizeQuery(op, message)
	if err != nil {
		return nil, err
	}
	if size != "" {
		queries = append(queries, size)
	}
	if len(queries) > 0 {
		target += "?" + strings.Join(queries, "&")
	}
	if err := validate(message, ""); err != nil {
		return nil, err
	}
	request := &graph.Request{
		Method: op.Spec.GetMethod(), Target: target, Template: op.Spec.GetPath(), Tenant: tenant, UserAssertion: assertion,
		RequestID: interceptor.RequestID(ctx), Safe: op.Safe, Stats: interceptor.Stats(ctx),
		Grow: func(n int) bool { return interceptor.Grow(ctx, n) },
	}
	if w, ok := message.Interface().(bodyWriter); ok {
		request.Body = w.AppendGraphJSON(make([]byte, 0, 512))
	}
	return request, nil
}

// target is the path of an operation under the endpoint, with the ids of a request message. An id that does not fit
// into a path is refused.
func target(op *contract.Operation, message protoreflect.Message) (string, error) {
	path := make([]byte, 0, 256)
	path = append(path, graph.Root...)
	for _, s := range op.Path {
		switch {
		case s.Field != nil:
			id := message.Get(s.Field).String()
			if !graph.ValidID(id) {
				return "", apierror.RefuseText(s.InvalidID, string(s.Field.Name()), "1 to 256 letters, digits or _.=,+~- and neither . nor ..", id)
			}
			path = graph.AppendSegment(path, id)
		case s.Constant != "":
			path = append(path, '/')
			path = append(path, s.Constant...)
		}
	}
	return string(path), nil
}

// pageSizeQuery asks for pages of the request's size; empty leaves the size to Graph. A size is also checked where it
// is not sent.
func pageSizeQuery(op *contract.Operation, message protoreflect.Message) (string, error) {
	if op.PageSize == nil {
		return "", nil
	}
	switch size := message.Get(op.PageSize).Int(); {
	case size < 0:
		return "", apierror.RefuseNumber(pb.ErrorReason_INVALID_PAGE_SIZE, "page_size", "0 or more", size)
	case size > 0 && !op.Spec.GetNoQueryOptions():
		return "$top=" + strconv.FormatInt(size, 10), nil
	}
	return "", nil
}
