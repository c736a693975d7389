package web

import (
	"net/http"
	"time"
)

const (
	// takeTime is what a client has at least to take what is written to it, and takeRate is how many bytes a second it has
	// to take of what is large.
	takeTime = 15 * time.Second
	takeRate = 64 << 10
	// smallBytes is what is not counted, of requests and of responses.
	smallBytes = 64 << 10
)

// outgoing is a response that a client cannot hold for long: Vanguard has it as a whole, while the gRPC server holds it
// for taken.
type outgoing struct {
	http.ResponseWriter
	control *http.ResponseController
	held    *share
	client  string
}

func newOutgoing(w http.ResponseWriter, held *share, client string) *outgoing {
	return &outgoing{ResponseWriter: w, control: http.NewResponseController(w), held: held, client: client}
}

// Unwrap is for http.ResponseController.
func (o *outgoing) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// WriteHeader sends one request id: where trailers stand among the headers, gRPC's is there besides that of the port.
func (o *outgoing) WriteHeader(status int) {
	if ids := o.Header()[requestIDHeader]; len(ids) > 1 {
		o.Header()[requestIDHeader] = ids[:1]
	}
	o.ResponseWriter.WriteHeader(status)
}

// Write writes within the time that the client has. A response for which there is no room ends its connection: nothing
// else can be said any more.
func (o *outgoing) Write(p []byte) (int, error) {
	size := int64(len(p))
	if size > smallBytes {
		if !o.held.take(o.client, size) {
			panic(http.ErrAbortHandler)
		}
		defer o.held.giveBack(o.client, size)
	}
	defer o.within(takeTime + time.Duration(size/takeRate)*time.Second)()
	return o.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (o *outgoing) Flush() {
	defer o.within(takeTime)()
	// A client that has gone cannot be told.
	_ = o.control.Flush()
}

// within sets the time for a write. It is over afterwards, since HTTP/2 ends a stream whose time is up also while
// nothing is written.
func (o *outgoing) within(d time.Duration) (done func()) {
	_ = o.control.SetWriteDeadline(time.Now().Add(d))
	return func() { _ = o.control.SetWriteDeadline(time.Time{}) }
}

// end is called when the handler has ended: what is left to write has its time, too.
func (o *outgoing) end() { _ = o.control.SetWriteDeadline(time.Now().Add(takeTime)) }
