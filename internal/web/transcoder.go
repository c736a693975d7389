package web

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"connectrpc.com/vanguard"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// maxBuffer is how much of one response Vanguard holds. The largest page of Graph's is 8 MiB of JSON, and ours has the
// same fields.
const maxBuffer = 64 << 20

// newTranscoder returns what speaks the protocols of the clients, before what speaks gRPC.
func newTranscoder(services []string, logger *slog.Logger) (http.Handler, error) {
	proxy := newProxy(logger)
	all := make([]*vanguard.Service, len(services))
	for i, name := range services {
		all[i] = vanguard.NewService(name, proxy,
			vanguard.WithTargetProtocols(vanguard.ProtocolGRPC), vanguard.WithTargetCodecs(vanguard.CodecProto),
			vanguard.WithNoTargetCompression(), vanguard.WithMaxMessageBufferBytes(maxBuffer))
	}
	return vanguard.NewTranscoder(all, vanguard.WithCodec(newCodec))
}

// codec is JSON as responses have it: without fields that are not set. Requests are decoded before (message).
type codec struct{ options protojson.MarshalOptions }

func newCodec(types vanguard.TypeResolver) vanguard.Codec {
	return codec{protojson.MarshalOptions{Resolver: types}}
}

// Name implements vanguard.Codec.
func (codec) Name() string { return vanguard.CodecJSON }

// MarshalAppend implements vanguard.Codec.
func (c codec) MarshalAppend(base []byte, m proto.Message) ([]byte, error) {
	return c.options.MarshalAppend(base, m)
}

var errNotDecoded = errors.New("a request message was not decoded")

// Unmarshal implements vanguard.Codec.
func (codec) Unmarshal(data []byte, m proto.Message) error {
	if len(data) == 0 || data[0] != decoded {
		return errNotDecoded
	}
	return proto.Unmarshal(data[1:], m)
}

// newProxy returns what passes calls on to the gRPC server.
func newProxy(logger *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = &url.URL{Scheme: "http", Host: "web", Path: r.In.URL.Path}
			r.Out.Host = ""
		},
		Transport:     ofConnection{},
		FlushInterval: -1,
		BufferPool:    new(copyBuffers),
		ErrorLog:      slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ErrorHandler:  failed,
	}
}

// ofConnection sends a request over the pipe of its client.
type ofConnection struct{}

// RoundTrip implements http.RoundTripper.
func (ofConnection) RoundTrip(r *http.Request) (*http.Response, error) {
	return backendOf(r.Context()).RoundTrip(r)
}

// failed responds to a call that got no response of the gRPC server, as that one would: Vanguard understands nothing
// else. A call whose message was refused has its typed error; of any other nothing is known, as when a connection ends.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	status := &spb.Status{Code: int32(codes.Unavailable), Message: "the connection to the gRPC server ended"}
	if c := callOf(r.Context()); c != nil && c.refusal() != nil {
		status = c.refusal()
	} else if errors.Is(err, context.Canceled) {
		status = &spb.Status{Code: int32(codes.Canceled), Message: "the client has gone"}
	}
	header := w.Header()
	header.Set("Content-Type", "application/grpc+proto")
	header.Set("Grpc-Status", strconv.Itoa(int(status.GetCode())))
	header.Set("Grpc-Message", percent(status.GetMessage()))
	if details, err := proto.Marshal(status); err == nil && len(status.GetDetails()) > 0 {
		header.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
	}
	w.WriteHeader(http.StatusOK)
}

// percent writes a message as a header of gRPC.
func percent(text string) string {
	var out strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&out, "%%%02X", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// copyBuffers is the httputil.BufferPool of all calls.
type copyBuffers struct{ pool sync.Pool }

const copyBytes = 32 << 10

// Get implements httputil.BufferPool.
func (b *copyBuffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, copyBytes)
}

// Put implements httputil.BufferPool.
func (b *copyBuffers) Put(buffer []byte) { b.pool.Put(&buffer) }
