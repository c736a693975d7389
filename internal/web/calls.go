package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Refusal is why a request does not become a call.
type Refusal struct {
	Reason pb.ErrorReason
	// Field is the header that is at fault, or body; Wanted says what it must be. Both are empty when nothing of the
	// request is.
	Field, Wanted string
}

func invalid(field, wanted string) Refusal {
	return Refusal{Reason: pb.ErrorReason_INVALID_REQUEST, Field: field, Wanted: wanted}
}

// rpc is a method that can be called.
type rpc struct {
	path    string
	stream  bool
	request protoreflect.MessageType
}

// rpcs returns the methods of services, by the paths of their URLs.
func rpcs(services []string) (map[string]*rpc, error) {
	all := make(map[string]*rpc)
	for _, name := range services {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
		service, ok := found.(protoreflect.ServiceDescriptor)
		if !ok {
			return nil, fmt.Errorf("%s is no service", name)
		}
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			request, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
			if err != nil {
				return nil, fmt.Errorf("request message of %s: %w", method.FullName(), err)
			}
			path := "/" + name + "/" + string(method.Name())
			all[path] = &rpc{path: path, stream: method.IsStreamingServer(), request: request}
		}
	}
	return all, nil
}

// call is a request on its way to the gRPC server.
type call struct {
	port    *Port
	request *http.Request
	rpc     *rpc
	client  string
	// enveloped says that the message has its length before it, json and compressed how it is written.
	enveloped, json, compressed bool

	// message is what the call waits for.
	message *message

	mu      sync.Mutex
	refused *spb.Status
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// refuse notes why the call ends. The error is for whoever reads the message.
func (c *call) refuse(why Refusal) error {
	status := c.port.options.Refuse(c.request.Context(), c.request.Header, c.rpc.path, why)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = status
	return errors.New("the request message was refused")
}

// refusal returns why the call ended; nil for any other end. It waits for a read under way.
func (c *call) refusal() *spb.Status {
	c.message.readEnded()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

const (
	requestIDHeader = "X-Request-Id"
	// addedBytes is what the way to the gRPC server adds to the headers: method, path and the like.
	addedBytes = 512
	// drainTime is how long what is left of a body is taken.
	drainTime = 5 * time.Second
	// entryBytes is what HTTP/2 counts for a header besides its name and value.
	entryBytes = 32
)

// isMethod finds paths of methods, also of those that do not exist.
var isMethod = regexp.MustCompile(`^/[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+/[A-Za-z_][A-Za-z0-9_]*$`)

// timeouts are the headers with a deadline, and what they may be.
var timeouts = map[string]struct {
	form   *regexp.Regexp
	wanted string
}{
	"Connect-Timeout-Ms": {regexp.MustCompile(`^[0-9]{1,10}$`), "milliseconds in at most 10 digits"},
	"Grpc-Timeout":       {regexp.MustCompile(`^[0-9]{1,8}[HMSmun]$`), "at most 8 digits and one of H, M, S, m, u, n"},
}

// serveCall makes a call of a request.
func (p *Port) serveCall(w http.ResponseWriter, r *http.Request) {
	// The id is the caller's when it is a GUID, and the same for all that is said of the call.
	id, err := uuid.Parse(r.Header.Get(requestIDHeader))
	if err != nil || len(r.Header.Get(requestIDHeader)) != len(id.String()) {
		id = uuid.New()
	}
	w.Header().Set(requestIDHeader, id.String())
	if r.Method != http.MethodPost {
		// Connect has a form of reads by GET, which a page of any origin could send.
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "rpcs are called by POST", http.StatusMethodNotAllowed)
		return
	}
	m := &message{body: r.Body, control: http.NewResponseController(w)}
	if r.ProtoMajor == 1 {
		// Otherwise net/http waits for the message before it responds to who may not send one.
		_ = m.control.EnableFullDuplex()
	}
	defer p.drain(r, m)
	r = r.Clone(r.Context())
	r.Header = forwarded(r.Header)
	r.Header.Set(requestIDHeader, id.String())
	if size := headerBytes(r.Header) + len(r.URL.Path) + addedBytes; size > p.options.MaxHeader {
		http.Error(w, fmt.Sprintf("the headers of a call may have %d bytes together, with %d for each header", p.options.MaxHeader, entryBytes), http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	c := &call{port: p, request: r, rpc: p.rpcs[r.URL.Path], client: hostOf(r.RemoteAddr)}
	if why, bad := c.check(); bad {
		p.writeRefusal(w, r, p.options.Refuse(r.Context(), r.Header, r.URL.Path, why))
		return
	}
	m.call, c.message = c, m
	m.begin()
	defer m.end()
	called := r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	// The message comes in another length.
	called.Body, called.ContentLength, called.TransferEncoding = m, -1, nil
	called.Header.Del("Content-Length")
	p.transcoder.ServeHTTP(w, called)
}

// drain takes what is left of a body, after the response: a client that still writes when its connection ends can lose
// the response. One that waits to be told to go on has not begun.
func (p *Port) drain(r *http.Request, m *message) {
	if r.ProtoMajor > 1 || r.Header.Get("Expect") != "" || m.hasArrived() {
		return
	}
	if m.control.SetReadDeadline(time.Now().Add(drainTime)) != nil || m.control.Flush() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, m.body, 2*p.options.MaxMessage)
}

// check finds what Vanguard would refuse in words of its own, and learns how the message is written.
func (c *call) check() (why Refusal, bad bool) {
	header := c.request.Header
	if c.rpc == nil {
		return Refusal{Reason: pb.ErrorReason_UNKNOWN_METHOD}, true
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || len(header["Content-Type"]) != 1 {
		media = ""
	}
	kind, encodings := c.kind(media)
	if kind == "" {
		return invalid("content-type", c.contentTypes()), true
	}
	header.Set("Content-Type", kind)
	if kind == "application/json" || kind == "application/proto" {
		switch header.Get("Connect-Protocol-Version") {
		case "", "1":
			// Without it, Vanguard takes the request for one of REST.
			header["Connect-Protocol-Version"] = []string{"1"}
		default:
			return invalid("connect-protocol-version", "1"), true
		}
	}
	switch strings.ToLower(header.Get(encodings)) {
	case "", "identity":
	case "gzip":
		c.compressed = true
	default:
		return invalid(strings.ToLower(encodings), "gzip or identity"), true
	}
	// It is unpacked before Vanguard sees it.
	header.Del(encodings)
	for name, timeout := range timeouts {
		if value := header.Get(name); value != "" && !timeout.form.MatchString(value) {
			return invalid(strings.ToLower(name), timeout.wanted), true
		}
	}
	return Refusal{}, false
}

// kind returns the content type as Vanguard knows it, empty for one that this rpc is not called with, and the header
// that says how the message is compressed.
func (c *call) kind(media string) (kind, encodings string) {
	base, format, _ := strings.Cut(media, "+")
	switch {
	case media == "application/json" || media == "application/proto":
		format = strings.TrimPrefix(media, "application/")
		if c.rpc.stream {
			return "", ""
		}
		encodings = "Content-Encoding"
	case base == "application/connect" && c.rpc.stream:
		c.enveloped, encodings = true, "Connect-Content-Encoding"
	case base == "application/grpc-web":
		if format == "" {
			format = "proto"
		}
		media = base + "+" + format
		c.enveloped, encodings = true, "Grpc-Encoding"
	default:
		return "", ""
	}
	if format != "json" && format != "proto" {
		return "", ""
	}
	c.json = format == "json"
	return media, encodings
}

// contentTypes are those that the rpc can be called with.
func (c *call) contentTypes() string {
	if c.rpc.stream {
		return "application/connect+json, application/connect+proto or application/grpc-web, each with an envelope before the message: this rpc has a stream of response messages"
	}
	return "application/json, application/proto or application/grpc-web"
}

// dropped are the headers of browsers and proxies, which are no metadata of calls. Cookies are no credential here.
var dropped = map[string]bool{
	"Accept": true, "Accept-Charset": true, "Accept-Encoding": true, "Accept-Language": true, "Cache-Control": true,
	"Connection": true, "Cookie": true, "Dnt": true, "Expect": true, "Forwarded": true, "Keep-Alive": true, "Origin": true,
	"Pragma": true, "Priority": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Referer": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Upgrade-Insecure-Requests": true, "Via": true,
	"X-Real-Ip": true,
}

// forwarded returns the headers that go to the gRPC server.
func forwarded(header http.Header) http.Header {
	out := make(http.Header, len(header))
	for name, values := range header {
		switch {
		case dropped[name], strings.HasPrefix(name, "Sec-"), strings.HasPrefix(name, "X-Forwarded-"), strings.HasPrefix(name, ":"):
		case strings.HasPrefix(name, "Grpc-") && name != "Grpc-Timeout" && name != "Grpc-Encoding" && name != "Grpc-Accept-Encoding":
		default:
			out[name] = values
		}
	}
	return out
}

// headerBytes is the size of headers as HTTP/2 counts it.
func headerBytes(header http.Header) (size int) {
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + entryBytes
		}
	}
	return size
}

// writeRefusal responds to a request that became no call, in the protocol of the request.
func (p *Port) writeRefusal(w http.ResponseWriter, r *http.Request, status *spb.Status) {
	failure := connect.NewError(connect.Code(status.GetCode()), errors.New(status.GetMessage()))
	for _, detail := range status.GetDetails() {
		if one, err := connect.NewErrorDetail(detail); err == nil {
			failure.AddDetail(one)
		}
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc-web") {
		// gRPC itself is not spoken here, also in errors.
		r.Header.Set("Content-Type", "application/json")
	}
	// A client that has gone cannot be told.
	_ = p.errors.Write(w, r, failure)
}
