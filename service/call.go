package service

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/hub"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
	"github.com/m365backup/backupstorage/service/internal/pagetoken"
)

// core is what all services share: the way of a call.
type core struct {
	graph      *graph.Client
	pages      *pagetoken.Sealer
	contract   *contract.Contract
	translator *apierror.Translator
	notes      *notes
	tenants    tenants
	// hub polls for waits and watches. stopping is closed when calls that last have to end.
	hub      *hub.Hub
	stopping chan struct{}
	times    times
	// allowAppOnly lets operations pass without a user that Graph allows on behalf of a user only.
	allowAppOnly bool
}

// response is a pointer to a response message.
type response[T any] interface {
	*T
	proto.Message
}

// unary carries out an rpc. Every rpc goes this way: the type of its request says which operation it is. queries are
// what a list asks for besides the size of its pages, each escaped and without the `&`.
func unary[T any, R response[T]](ctx context.Context, c *core, request proto.Message, queries ...string) (R, error) {
	result := R(new(T))
	if err := c.do(ctx, request.ProtoReflect(), result, queries); err != nil {
		return nil, err
	}
	return result, nil
}

// do carries out the operation of a request and fills its response.
func (c *core) do(ctx context.Context, message protoreflect.Message, result proto.Message, queries []string) error {
	op := c.contract.OfRequest(message.Descriptor().FullName())
	request, err := c.newRequest(ctx, op, message, queries)
	if err != nil {
		return err
	}
	page, binding, err := c.openPage(op, message, request)
	if err != nil {
		return err
	}
	if !op.Safe {
		if err := interceptor.BeginWrite(ctx); err != nil {
			return err
		}
	}
	began := time.Now()
	received, err := c.graph.Do(ctx, request)
	if err == nil {
		err = c.decode(ctx, op, received, result)
	}
	if failed, ok := errors.AsType[*graph.Error](err); ok {
		return c.resolveOutcome(ctx, op, message, request, result, began, &apierror.GraphError{
			Err: failed, NextPage: page.Target != "", OnBehalfOfUser: request.UserAssertion != "",
		})
	}
	if err != nil {
		return err
	}
	return c.sealNextPage(op, page, binding, request.Target, received, result.ProtoReflect())
}
