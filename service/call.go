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
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// core is what all services share: the way of a call.
type core struct {
	graph      *graph.Client
	pages      *pagetoken.Sealer
	contract   *contract.Contract
	translator *apierror.Translator
	notes      *notes
	tenants    tenants
	// hub polls for waits and watches. What it keeps is held in bytes, like responses. stopping is closed when calls that
	// last have to end.
	hub      *hub.Hub
	bytes    *wire.Bytes
	stopping chan struct{}
	times    times
	// allowAppOnly lets operations pass without a user that Graph allows on behalf of a user only.
	allowAppOnly bool
	// messagePath reads all responses into messages, see wire_path.go.
	messagePath bool
	// keys makes writes with an idempotency key repeatable.
	keys keys
	// beforeSeal is called when a page was read, before its link is sealed. Only a test sets it, to plant a fault.
	beforeSeal func(*graph.Response)
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
	if _, ok := any(result).(wireReader); ok && !c.messagePath && interceptor.TakesEncoded(ctx) {
		page, err := c.readPage(ctx, request, result, queries...)
		if err != nil {
			return nil, err
		}
		interceptor.Respond(ctx, page.encoded)
		return result, nil
	}
	if err := c.do(ctx, request.ProtoReflect(), into{message: result}, queries); err != nil {
		return nil, err
	}
	return result, nil
}

// into is what Graph's response is read into: a message, or the bytes of one, for which the message is only a type.
type into struct {
	message proto.Message
	page    *page
}

// do carries out the operation of a request and reads its response.
func (c *core) do(ctx context.Context, message protoreflect.Message, result into, queries []string) error {
	op := c.contract.OfRequest(message.Descriptor().FullName())
	request, err := c.newRequest(ctx, op, message, queries)
	if err != nil {
		return err
	}
	opened, binding, err := c.openPage(op, message, request)
	if err != nil {
		return err
	}
	if op.Key != nil && message.Has(op.Key) {
		return c.doKeyed(ctx, op, message, request, result.message)
	}
	request.Pooled = result.page != nil
	// A read has no outcome that would be looked for.
	var began time.Time
	if !op.Safe {
		if err := interceptor.BeginWrite(ctx); err != nil {
			return err
		}
		began = time.Now()
	}
	received, err := c.graph.Do(ctx, request)
	if err == nil {
		err = c.decode(ctx, op, received, result)
	}
	if failed, ok := errors.AsType[*graph.Error](err); ok {
		return c.resolveOutcome(ctx, op, message, request, result.message, began, &apierror.GraphError{
			Err: failed, NextPage: opened.Target != "", OnBehalfOfUser: request.UserAssertion != "",
		})
	}
	if err != nil {
		return err
	}
	if c.beforeSeal != nil {
		c.beforeSeal(received)
	}
	if link := result.link(op); link != "" {
		token, err := c.sealNextPage(opened, binding, request.Target, received, link)
		if err != nil {
			return err
		}
		result.setToken(op, token)
	}
	if result.page != nil {
		// Nothing aliases the body any more.
		result.page.link = ""
		received.Release()
	}
	return nil
}

// link returns the nextLink of a list, empty for any other response.
func (r into) link(op *contract.Operation) string {
	switch {
	case r.page != nil:
		return r.page.link
	case op.NextPageToken == nil:
		return ""
	}
	return r.message.ProtoReflect().Get(op.NextPageToken).String()
}

// setToken puts a page token in the place of the nextLink.
func (r into) setToken(op *contract.Operation, token string) {
	if r.page != nil {
		r.page.next = token
		return
	}
	r.message.ProtoReflect().Set(op.NextPageToken, protoreflect.ValueOfString(token))
}
