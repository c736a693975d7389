package wire

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // Codec falls back to it.
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
)

// Response is a response message on its way to the client. Codec marshals it.
type Response struct {
	message proto.Message
	// released is called once, when gRPC holds nothing of the response any more.
	released func()
	// marshalled is called with the size of the response once it is marshalled.
	marshalled func(size int)
	conn       *conn
	until      time.Time
	done       atomic.Bool
}

// NewResponse wraps the response message of a call with the given deadline. marshalled is called with its size;
// released is called once, when gRPC has written the last byte, or when the connection ends or the call is given up
// before that.
func NewResponse(ctx context.Context, deadline time.Time, message proto.Message, marshalled func(size int), released func()) *Response {
	r := &Response{message: message, marshalled: marshalled, released: released}
	if p, ok := peer.FromContext(ctx); ok {
		if address, ok := p.Addr.(*connAddr); ok {
			r.conn = address.conn
		}
	}
	r.until = deadline.Add(takeTime)
	return r
}

func (r *Response) release() {
	if !r.done.CompareAndSwap(false, true) {
		return
	}
	if r.conn != nil {
		r.conn.letGo(r)
	}
	r.released()
}

// minBuffer is the least capacity for which gRPC says when it frees a buffer: it does not pool smaller ones.
const minBuffer = 2 << 10

// maxPooled is the largest buffer that is kept for the next response, in bytes.
const maxPooled = 1 << 20

var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, minBuffer)
	return &b
}}

// marshal makes the bytes of the response, which gRPC hands back by Put.
func (r *Response) marshal() (mem.BufferSlice, error) {
	size := proto.Size(r.message)
	r.marshalled(size)
	if r.conn != nil && !r.conn.hold(r) {
		// Nobody reads it. gRPC finds out by itself.
		r.release()
	}
	buffer, _ := buffers.Get().(*[]byte)
	if cap(*buffer) < size {
		*buffer = make([]byte, 0, max(size, minBuffer))
	}
	data, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend((*buffer)[:0], r.message)
	if err != nil {
		buffers.Put(buffer)
		r.release()
		return nil, err
	}
	// The message is several times as large as its bytes, and gRPC can hold these for long.
	r.message = nil
	*buffer = data
	return mem.BufferSlice{mem.NewBuffer(buffer, (*freed)(r))}, nil
}

// freed is a response as the pool of its own buffer: what is put back has been freed.
type freed Response

// Get is not called: gRPC takes buffers from its own pool.
func (*freed) Get(length int) *[]byte {
	b := make([]byte, length)
	return &b
}

// Put is called when gRPC needs the buffer no more.
func (f *freed) Put(buffer *[]byte) {
	(*Response)(f).release()
	if cap(*buffer) <= maxPooled {
		*buffer = (*buffer)[:0]
		buffers.Put(buffer)
	}
}

// Codec is protobuf's codec that also marshals a *Response, and counts its bytes until gRPC has written them.
type Codec struct{}

var plain = encoding.GetCodecV2("proto")

// Marshal implements encoding.CodecV2.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*Response); ok {
		return r.marshal()
	}
	return plain.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error { return plain.Unmarshal(data, v) }

// Name implements encoding.CodecV2.
func (Codec) Name() string { return "proto" }
