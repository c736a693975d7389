package wire

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // Codec falls back to it.
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/m365backup/backupstorage/internal/buffers"
)

// Response is a response on its way to the client: a message that Codec marshals, or one that is encoded already.
type Response struct {
	message proto.Message
	// encoded is a buffer of package buffers.
	encoded *[]byte
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
	r := &Response{message: message}
	r.begin(ctx, deadline, marshalled, released)
	return r
}

// NewEncoded is NewResponse for a response that is encoded already, in a buffer of package buffers. The buffer belongs
// to the Response, and goes back to its pool when gRPC has written the last byte. When the connection ends before that,
// gRPC does not say when it needs the buffer no more: then it is collected.
func NewEncoded(ctx context.Context, deadline time.Time, encoded *[]byte, marshalled func(size int), released func()) *Response {
	r := &Response{encoded: encoded}
	r.begin(ctx, deadline, marshalled, released)
	return r
}

func (r *Response) begin(ctx context.Context, deadline time.Time, marshalled func(size int), released func()) {
	r.marshalled, r.released = marshalled, released
	if p, ok := peer.FromContext(ctx); ok {
		if address, ok := p.Addr.(*connAddr); ok {
			r.conn = address.conn
		}
	}
	r.until = deadline.Add(takeTime)
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

// marshal makes the bytes of the response, which gRPC hands back by Put.
func (r *Response) marshal() (mem.BufferSlice, error) {
	buffer := r.encoded
	var size int
	if buffer != nil {
		size = len(*buffer)
	} else {
		size = proto.Size(r.message)
	}
	r.marshalled(size)
	if r.conn != nil && !r.conn.hold(r) {
		// Nobody reads it. gRPC finds out by itself.
		r.release()
	}
	if buffer == nil {
		// Even the smallest of these buffers is so large that gRPC says when it frees it: it forgets others.
		buffer = buffers.Get(size)
		data, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(*buffer, r.message)
		if err != nil {
			buffers.Put(buffer)
			r.release()
			return nil, err
		}
		*buffer = data
	}
	// The message is several times as large as its bytes, and gRPC can hold these for long.
	r.message, r.encoded = nil, nil
	slice := mem.BufferSlice{mem.NewBuffer(buffer, (*freed)(r))}
	if planted.Load() {
		buffers.Put(buffer)
	}
	return slice, nil
}

// planted is set by PlantEarlyPut.
var planted atomic.Bool

// PlantEarlyPut plants a fault for a test that has to find it: buffers go back to their pool before gRPC has written
// them. It returns what ends the fault.
func PlantEarlyPut() (stop func()) {
	planted.Store(true)
	return func() { planted.Store(false) }
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
	if !planted.Load() {
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
