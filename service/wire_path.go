package service

import (
	"context"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/buffers"
)

// Lists, and what GET returns, go the wire path: from Graph's JSON to the bytes of the response, without a message that
// is left to the collector. The body and the bytes come from pools.
//
//	memory      taken by            given back
//	----------  ------------------  ---------------------------------------------------------------------------------
//	the body    graph.Client.Do     once the nextLink is sealed, which aliases it; not after an error
//	the reader  AppendGraphWire     at its end; not after an error
//	the bytes   readPage            when gRPC has written them (wire.Codec), or after an error of the call; not when
//	                                the connection ends before
//
// What is not given back is left to the collector. The responses of writes are read into messages, since the server
// looks at what was created, and so are the reads that resolve an outcome.

// wireReader is a response message that goes the wire path. The plugin writes the methods, which use only its type.
type wireReader interface {
	AppendGraphWire(dst, body []byte, options pb.GraphReadOptions) (encoded []byte, link string, err error)
	NextPageTokenNumber() int
}

// page is a page of a list, or a resource, encoded as the response message of its rpc.
type page struct {
	// encoded is a buffer of package buffers.
	encoded *[]byte
	// link is Graph's nextLink, which aliases the body, next the token that stands for it; empty on the last page.
	link, next string
}

// readPage carries out a read and returns its response encoded: of a list the page that the token of the request asks
// for, with its own next_page_token. response is a message of the response's type, and stays empty. The error is that
// of the call.
//
// A unary method hands page.encoded to interceptor.Respond, a stream to interceptor.Out. A stream has the types of its
// list, so that its pages are the same bytes.
func (c *core) readPage(ctx context.Context, request, response proto.Message, queries ...string) (*page, error) {
	p := new(page)
	if err := c.do(ctx, request.ProtoReflect(), into{message: response, page: p}, queries); err != nil {
		if p.encoded != nil {
			buffers.Put(p.encoded)
		}
		return nil, err
	}
	if p.next != "" {
		number := protowire.Number(response.(wireReader).NextPageTokenNumber())
		*p.encoded = protowire.AppendTag(*p.encoded, number, protowire.BytesType)
		*p.encoded = protowire.AppendString(*p.encoded, p.next)
	}
	return p, nil
}

// read appends the encoding of a page to a buffer.
func (p *page) read(response proto.Message, body []byte, options pb.GraphReadOptions) error {
	// A unit takes half as much as in JSON.
	p.encoded = buffers.Get(len(body)*9/16 + tokenRoom)
	encoded, link, err := response.(wireReader).AppendGraphWire(*p.encoded, body, options)
	if err != nil {
		return err
	}
	if cap(encoded) != cap(*p.encoded) {
		// It did not fit. What it stands in now has its own memory.
		buffers.Put(p.encoded)
		p.encoded = new([]byte)
	}
	*p.encoded, p.link = encoded, link
	return nil
}

// tokenRoom is room for a page token.
const tokenRoom = 1 << 10
