package service

import (
	"crypto/sha256"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/pagetoken"
)

// openPage turns a request into that of the page which the message's token names. binding is what the token of the next
// page will be valid for.
func (c *core) openPage(op *contract.Operation, message protoreflect.Message, request *graph.Request) (page pagetoken.Page, binding []byte, err error) {
	if op.PageToken == nil {
		return page, nil, nil
	}
	binding, err = pageBinding(op, message, request.Tenant, userOf(request.UserAssertion))
	if err != nil {
		return page, nil, err
	}
	token := message.Get(op.PageToken).String()
	if token == "" {
		return page, binding, nil
	}
	if page, err = c.pages.Open(token, binding); err != nil {
		return page, nil, apierror.RefuseField(pb.ErrorReason_INVALID_PAGE_TOKEN, "page_token",
			"the next_page_token of a page of the same list, tenant, user and arguments")
	}
	request.Method, request.Target, request.Body = "GET", page.Target, nil
	return page, binding, nil
}

// pageBinding is what a page token is bound to: tenant, rpc, all arguments but the page's size and token, and the user,
// who may see less than others.
func pageBinding(op *contract.Operation, message protoreflect.Message, tenant, user string) ([]byte, error) {
	arguments := proto.Clone(message.Interface()).ProtoReflect()
	arguments.Clear(op.PageToken)
	if op.PageSize != nil {
		arguments.Clear(op.PageSize)
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(arguments.Interface())
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	for _, part := range []string{tenant, op.FullMethod, user, string(encoded)} {
		// The zero byte keeps the parts apart. Tenant and method have fixed forms without one, and so have tokens; a user id
		// with one would be that of a token that its authority refuses.
		hash.Write([]byte(part))
		hash.Write([]byte{0})
	}
	return hash.Sum(nil), nil
}

// sealNextPage returns the sealed token that stands for Graph's nextLink, which no client sees. read is the target that
// the page was read from.
func (c *core) sealNextPage(page pagetoken.Page, binding []byte, read string, received *graph.Response, link string) (string, error) {
	invalid := &graph.Error{Kind: graph.KindInvalidResponse, Meta: received.Meta, Cause: graph.CauseNextLink}
	next, ok := c.graph.NextTarget(link, read)
	if !ok {
		return "", invalid
	}
	token, err := c.pages.Next(page, read, next, binding)
	if err != nil {
		invalid.Cause, invalid.Err = graph.CausePageLoop, err
		return "", invalid
	}
	return token, nil
}
