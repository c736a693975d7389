package service

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// core is what all services share: the way of a call.
type core struct {
	graph      *graph.Client
	pages      *graph.PageTokens
	operations *operations
	translator *translator
	tenants    tenants
	// allowAppOnly lets operations pass that Graph allows on behalf of a user only, when there is none.
	allowAppOnly bool
}

// body is a request that has one; answer is a response that is read from one. The plugin writes both.
type body interface {
	AppendGraphJSON(dst []byte) []byte
}

type answer interface {
	UnmarshalGraphJSON(body []byte, options pb.GraphReadOptions) error
}

// response is a pointer to a response message.
type response[T any] interface {
	*T
	proto.Message
}

// unary carries out an rpc: what it is, the contract says of the type of its request. Every rpc goes this way. queries
// are what a list asks for besides the size of its pages, each escaped and without the `&`.
func unary[T any, R response[T]](ctx context.Context, c *core, request proto.Message, queries ...string) (R, error) {
	result := R(new(T))
	if err := c.do(ctx, request.ProtoReflect(), result, queries); err != nil {
		return nil, err
	}
	return result, nil
}

// failedCall is a call that Graph did not carry out, or not for all that is known.
type failedCall struct {
	graph *graph.Error
	// nextPage says that the call was for a page behind the first, delegated that it was made on behalf of a user.
	nextPage, delegated bool
	// found is the status that a read showed after a write whose answer was lost, when that did not tell whether it was
	// carried out.
	found string
}

func (f *failedCall) Error() string { return f.graph.Error() }

// Unwrap returns what went wrong between the server and Graph.
func (f *failedCall) Unwrap() error { return f.graph }

func (c *core) do(ctx context.Context, request protoreflect.Message, result proto.Message, queries []string) error {
	op := c.operations.byRequest[request.Descriptor().FullName()]
	call, err := c.prepare(ctx, op, request, queries)
	if err != nil {
		return err
	}
	page, binding, err := c.page(op, request, call)
	if err != nil {
		return err
	}
	began := time.Now()
	received, err := c.graph.Do(ctx, call)
	if err == nil {
		err = c.decode(op, received, result)
	}
	var failed *graph.Error
	if errors.As(err, &failed) {
		return c.settle(ctx, op, call, result, began, &failedCall{
			graph: failed, nextPage: page.Target != "", delegated: call.UserAssertion != "",
		})
	}
	if err != nil {
		return err
	}
	return c.nextPage(op, page, binding, call.Target, received, result.ProtoReflect())
}

// decode reads an answer into the response of an rpc, unless that has nothing to read.
func (c *core) decode(op *operation, received *graph.Response, result proto.Message) error {
	if failed := refusedInside(op, received); failed != nil {
		return failed
	}
	into, ok := result.(answer)
	if !ok {
		return nil
	}
	err := into.UnmarshalGraphJSON(received.Body, pb.GraphReadOptions{
		Workload: op.workload,
		Error: func(item pb.GraphItemError) (*statuspb.Status, []*pb.FailedResource) {
			return c.translator.item(op, item)
		},
	})
	if err == nil {
		return nil
	}
	cause := graph.CauseSyntax
	var unread *pb.GraphJSONError
	if errors.As(err, &unread) {
		cause = graph.Cause(unread.Cause)
	}
	return &graph.Error{Kind: graph.KindInvalidResponse, Meta: received.Meta, Cause: cause, Sent: !op.safe, Err: err}
}

// prepare makes the call to Graph of a request, or refuses what cannot be said to Graph.
func (c *core) prepare(ctx context.Context, op *operation, request protoreflect.Message, queries []string) (*graph.Request, error) {
	state := callFrom(ctx)
	tenant, err := c.tenants.of(ctx)
	if err != nil {
		return nil, err
	}
	assertion, err := assertionOf(ctx)
	if err != nil {
		return nil, err
	}
	if assertion == "" && op.call.GetDelegatedOnly() && !c.allowAppOnly {
		return nil, refuse(pb.ErrorReason_DELEGATED_TOKEN_REQUIRED, "", "")
	}
	target, err := op.target(request)
	if err != nil {
		return nil, err
	}
	size, err := op.pageSizeQuery(request)
	if err != nil {
		return nil, err
	}
	if size != "" {
		queries = append(queries, size)
	}
	if len(queries) > 0 {
		target += "?" + strings.Join(queries, "&")
	}
	if err := checkSayable(request, ""); err != nil {
		return nil, err
	}
	call := &graph.Request{
		Method: op.call.GetMethod(), Target: target, Tenant: tenant, UserAssertion: assertion, RequestID: state.requestID, Safe: op.safe,
	}
	if b, ok := request.Interface().(body); ok {
		call.Body = b.AppendGraphJSON(make([]byte, 0, 512))
	}
	return call, nil
}

// page turns the call into that of the page which the request's token names. binding is what the token of the next
// page will be good for.
func (c *core) page(op *operation, request protoreflect.Message, call *graph.Request) (page graph.Page, binding []byte, err error) {
	if op.pageToken == nil {
		return page, nil, nil
	}
	binding, err = bindPage(op, request, call.Tenant, userOf(call.UserAssertion))
	if err != nil {
		return page, nil, err
	}
	token := request.Get(op.pageToken).String()
	if token == "" {
		return page, binding, nil
	}
	if page, err = c.pages.Open(token, binding); err != nil {
		return page, nil, refuse(pb.ErrorReason_INVALID_PAGE_TOKEN, "page_token", "next_page_token of a page of the same list, tenant, user and arguments")
	}
	call.Method, call.Target, call.Body = "GET", page.Target, nil
	return page, binding, nil
}

// bindPage makes what a page token is bound to: tenant, rpc, all arguments but the page's size and token, and the user,
// who may see less than others.
func bindPage(op *operation, request protoreflect.Message, tenant, user string) ([]byte, error) {
	arguments := proto.Clone(request.Interface()).ProtoReflect()
	arguments.Clear(op.pageToken)
	if op.pageSize != nil {
		arguments.Clear(op.pageSize)
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(arguments.Interface())
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	for _, part := range []string{tenant, op.fullMethod, user, string(encoded)} {
		// Parts cannot run into each other: tenant and method have fixed forms without a zero byte, as tokens have, and
		// an id with one would be that of a token that its authority refuses.
		hash.Write([]byte(part))
		hash.Write([]byte{0})
	}
	return hash.Sum(nil), nil
}

// nextPage puts a sealed token in the place of Graph's nextLink, which no client sees.
func (c *core) nextPage(op *operation, page graph.Page, binding []byte, read string, received *graph.Response, result protoreflect.Message) error {
	if op.nextPageToken == nil {
		return nil
	}
	link := result.Get(op.nextPageToken).String()
	if link == "" {
		return nil
	}
	invalid := &graph.Error{Kind: graph.KindInvalidResponse, Meta: received.Meta, Cause: graph.CauseNextLink}
	next, ok := c.graph.NextTarget(link, read)
	if !ok {
		return invalid
	}
	token, err := c.pages.Next(page, read, next, binding)
	if err != nil {
		invalid.Cause, invalid.Err = graph.CausePageLoop, err
		return invalid
	}
	result.Set(op.nextPageToken, protoreflect.ValueOfString(token))
	return nil
}
