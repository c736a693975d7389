package graph

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/internal/errorbody"
	"github.com/m365backup/backupstorage/graph/internal/retryafter"
	"github.com/m365backup/backupstorage/graph/internal/share"
	"github.com/m365backup/backupstorage/graph/internal/throttle"
	"github.com/m365backup/backupstorage/internal/buffers"
)

// Root is the path of the API under the endpoint.
const Root = "/solutions/backupRestore"

const (
	// maxBody is how much of the body of a successful response is read, maxErrorBody of that of an error.
	maxBody      = 8 << 20
	maxErrorBody = 1 << 20
	// initialBody is how much memory a body gets before any of it was read.
	initialBody = 64 << 10
)

// Options configures a Client.
type Options struct {
	// Endpoint is the URL of Graph with its version: https://graph.microsoft.com/v1.0. It has no query, no fragment
	// and no user.
	Endpoint string
	// Tokens gives the bearer token of each request.
	Tokens TokenSource
	// UserAgent names the product: `ISV|company|product/version`.
	UserAgent string
	// RootCAs are the only authorities whose certificates are trusted; nil trusts those of the machine.
	RootCAs *x509.CertPool
	// Repeats is how often a request that may be repeated is repeated at most; 0 means 2, a negative number never.
	Repeats int
	// Backoff bounds the wait before the first repeat when Graph does not say how long; the second waits up to twice as
	// long. 0 means 500 ms.
	Backoff time.Duration
	// Shared is what the replicas of a server know together of throttles; nil for a single one.
	Shared SharedThrottles
	// Logger gets a line when Graph begins to throttle a tenant, and one when its requests are no longer paced; nil for
	// none. The lines name the tenant's GUID, and have no text of Graph.
	Logger *slog.Logger
	// MaxReads is how many reads are under way at once; 0 means 512. Eight times as many wait, and further ones fail with
	// KindOverloaded. Package internal/share says how many of both a tenant gets. Over HTTP/2 eight times as many writes
	// are under way, over HTTP/1.1 64, and without TLS as many as reads.
	MaxReads int
	// OneTenant says that all requests are of one tenant, so that it need not leave anything to others.
	OneTenant bool
	// Observers are told what becomes of requests.
	Observers []Observer
}

// Client sends requests to one endpoint. It is safe for concurrent use.
type Client struct {
	endpoint    *url.URL
	tokens      TokenSource
	connections *connections
	// outgoing makes the HTTP requests.
	outgoing outgoing
	// roundTrip sends a request. Tests of this package replace the network here.
	roundTrip func(*http.Request, way) (*http.Response, error)
	throttles *throttle.Throttles
	// unshare ends the sharing of throttles.
	unshare   func()
	tenants   *share.Tenants
	silences  silences
	observers []Observer
	repeats   int
	backoff   time.Duration
	// jitter returns a number from 0 up to 1.
	jitter func() float64
}

// New returns a client. It fails when an option is missing or wrong.
func New(options Options) (*Client, error) {
	endpoint, err := url.Parse(strings.TrimRight(options.Endpoint, "/"))
	if err != nil || endpoint.Scheme != "https" && endpoint.Scheme != "http" || endpoint.Hostname() == "" {
		// The error does not quote the endpoint, which may hold a password.
		return nil, errors.New("graph endpoint is no http or https URL")
	}
	if endpoint.User != nil || endpoint.RawQuery != "" || endpoint.ForceQuery || endpoint.Fragment != "" {
		return nil, errors.New("graph endpoint must have neither user nor query nor fragment")
	}
	if options.Tokens == nil {
		return nil, errors.New("graph client needs a token source")
	}
	if !fitsHeader(options.UserAgent) {
		return nil, errors.New("graph user agent must be printable ASCII")
	}
	if options.Repeats == 0 {
		options.Repeats = defaultRepeats
	}
	if options.Backoff == 0 {
		options.Backoff = defaultBackoff
	}
	if options.MaxReads <= 0 {
		options.MaxReads = maxReads
	}
	writes := maxWrites
	if endpoint.Scheme == "http" {
		// There are no handshakes to save, and never HTTP/2.
		writes = options.MaxReads
	}
	c := &Client{
		endpoint:    endpoint,
		tokens:      options.Tokens,
		outgoing:    newOutgoing(endpoint, options.UserAgent),
		connections: newConnections(options.RootCAs, options.MaxReads, writes),
		throttles:   throttle.New(),
		tenants: share.New(share.Limits{
			Permits: [2]int{share.Read: options.MaxReads, share.Write: writes}, Waiting: manyTimes * options.MaxReads,
			OneTenant: options.OneTenant,
		}),
		silences:  silences{tenants: make(map[string]*silence)},
		observers: options.Observers,
		repeats:   max(options.Repeats, 0),
		backoff:   options.Backoff,
		jitter:    rand.Float64,
	}
	c.roundTrip = c.connections.roundTrip
	logStretches(c.throttles, options.Logger)
	c.unshare = func() {}
	if options.Shared != nil {
		c.unshare = c.throttles.Share(options.Shared)
	}
	return c, nil
}

// CloseIdleConnections closes the connections that no request uses.
func (c *Client) CloseIdleConnections() { c.connections.closeIdle() }

// Close closes all connections. Requests under way fail, and so do later ones.
func (c *Client) Close() {
	c.unshare()
	c.connections.close()
}

// Request is one request to Graph.
type Request struct {
	// Method is the HTTP method.
	Method string
	// Target is the path under the endpoint, escaped, with its query: `/solutions/backupRestore/protectionPolicies`.
	Target string
	// Template is the path under Root with names in place of ids, for traces: `/protectionPolicies/{id}`. It is not sent,
	// and may be empty.
	Template string
	// Body is JSON, nil for none.
	Body []byte
	// Tenant is the tenant to act in, a GUID in lower case.
	Tenant string
	// UserAssertion is the access token of the user on whose behalf to send the request; empty for the application itself.
	UserAssertion string
	// RequestID is a GUID. Graph returns it, and Microsoft's support finds requests by it.
	RequestID string
	// Safe says that the request changes nothing, whatever its method.
	Safe bool
	// Stats gets what the request costs; nil for nothing.
	Stats *Stats
	// Background marks a read that can come later, such as a poll. While its tenant is throttled it takes only slots that
	// are free, and it is never repeated: whoever sends it sends the next one.
	Background bool
	// Grow is asked before memory for n more bytes of the body of a response is set aside beyond the first 64 KiB. When it
	// returns false, the body is given up and the request fails with KindOverloaded. It may be nil. It is not asked for a
	// request that is not Safe, whose response is never given up. While a body moves to a larger buffer both exist: n is
	// what the larger one has more.
	Grow func(n int) bool
	// Pooled takes the memory for the body from a pool. Who sets it calls Response.Release.
	Pooled bool
	// BeforeSend is called before each attempt, when it has its token and its permit, and nothing is left to wait for. An
	// error keeps the request back: it fails with KindHeldBack. An attempt that has no connection at sendBy is given up;
	// the zero time gives it any time. It may be nil.
	BeforeSend func(ctx context.Context) (sendBy time.Time, err error)

	// sendBy is that of the attempt under way.
	sendBy time.Time
}

// Response is Graph's response to a request that it carried out.
type Response struct {
	Meta
	// Body is the whole body. It belongs to the caller.
	Body []byte
	// buffer is the memory of the body, if that came from the pool.
	buffer *[]byte
}

// Release gives the memory of the body back to the pool that it came from. Nobody may use the body any more, nor what
// aliases it. A body that is not released is collected.
func (r *Response) Release() {
	if r.buffer != nil {
		buffers.Put(r.buffer)
		r.buffer, r.Body = nil, nil
	}
}

// Meta is the head of a response.
type Meta struct {
	// Status is the HTTP status.
	Status int
	// RequestID is Graph's id of the request, ClientRequestID the one that the client sent. Either is empty when Graph did
	// not return it.
	RequestID, ClientRequestID string
	// Date is the time of the response by Graph's clock; zero when Graph did not say.
	Date time.Time
}

// maxSharedBody is the size in bytes of the largest body of a write that goes over a connection with others.
const maxSharedBody = 16 << 10

// once sends a request once and reads the response. fresh asks for a connection of its own. A read whose connection
// turns out to be dead is sent again over a new one. resends counts the attempts that come before the next one.
func (c *Client) once(ctx context.Context, request *Request, token string, fresh bool, resends *int) (*Response, *Error) {
	authorization, ok := c.outgoing.authorization(token)
	if !ok {
		failed := tokenError(ctx, errors.New("token must be printable ASCII"))
		c.noToken(failed)
		return nil, failed
	}
	// Writes share HTTP/2 connections, and with them the window for bodies: those that the upstream does not read would
	// hold up the writes of other tenants.
	fresh = fresh || !request.Safe && len(request.Body) > maxSharedBody
	for {
		began := time.Now()
		response, dead, failed := c.send(ctx, request, authorization, fresh, began)
		if dead {
			failed = &Error{Kind: KindUnreachable, Cause: CauseTimeout}
		}
		ended := time.Now()
		request.Stats.spent(ended.Sub(began))
		c.observed(ctx, request, *resends, began, ended, response, failed)
		*resends++
		if !dead {
			return response, failed
		}
		c.repeated(RepeatDeadConnection)
		fresh = true
	}
}

// send hands a request to the network once and reads the response. dead says that the connection of a read has turned
// out to be dead.
func (c *Client) send(ctx context.Context, request *Request, authorization []string, fresh bool, began time.Time) (received *Response, dead bool, failed *Error) {
	trip := c.begin(ctx, request, authorization, way{write: !request.Safe, fresh: fresh}, began)
	defer trip.close()
	httpRequest, err := c.outgoing.request(trip.within, request, authorization)
	if err != nil {
		return nil, false, &Error{Kind: KindInvalidRequest, Err: err}
	}
	request.Stats.attempt()
	response, again, err := trip.roundTrip(httpRequest)
	if again {
		return nil, true, nil
	}
	if err != nil {
		sent := !request.Safe && trip.wasSent()
		if !request.Safe && !sent && ctx.Err() != nil {
			c.connections.giveUpDialing()
		}
		return nil, false, transportError(ctx, err, sent && !neverProcessed(err))
	}
	response.Body = trip.watch(response.Body)
	defer response.Body.Close()
	received, failed = readResponse(ctx, response, request)
	switch {
	case failed != nil:
		request.Stats.responded(failed.RequestID)
	default:
		request.Stats.responded(received.RequestID)
	}
	return received, false, failed
}

func readResponse(ctx context.Context, response *http.Response, request *Request) (*Response, *Error) {
	safe, grow := request.Safe, request.Grow
	if !safe || grow == nil {
		grow = func(int) bool { return true }
	}
	meta := Meta{
		Status:          response.StatusCode,
		RequestID:       errorbody.CleanID(header(response, "Request-Id")),
		ClientRequestID: errorbody.CleanID(header(response, "Client-Request-Id")),
		Date:            dates.read(header(response, "Date")),
	}
	switch {
	case meta.Status >= 300 && meta.Status < 400:
		return nil, &Error{Kind: KindInvalidResponse, Meta: meta, Cause: CauseRedirect, Sent: !safe}
	case meta.Status < 200:
		// The bytes after a 101 are no body: they end only with the connection.
		return nil, &Error{Kind: KindInvalidResponse, Meta: meta, Cause: CauseStatus, Sent: !safe}
	case meta.Status >= 400:
		e := &Error{Kind: KindResponse, Meta: meta, Sent: !safe}
		e.RetryAfter, e.HasRetryAfter = retryafter.Read(response.Header, meta.Date)
		// The body only adds to the status and the headers.
		e.add(errorbody.Read(&growing{Reader: response.Body, has: initialBody, grow: grow}, maxErrorBody, e.head()))
		e.readChallenge(response.Header)
		e.scope = response.Header.Get("X-Ms-Throttle-Scope")
		return nil, e
	}
	if encoding := header(response, "Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, &Error{Kind: KindInvalidResponse, Meta: meta, Cause: CauseEncoding, Sent: !safe}
	}
	var body *[]byte
	err := errTooLarge
	if response.ContentLength <= maxBody {
		body, err = readBody(response, maxBody, memory{grow: grow, pooled: request.Pooled})
	}
	if errors.Is(err, errNoMemory) {
		return nil, &Error{Kind: KindOverloaded, Meta: meta, Err: err}
	}
	if err != nil {
		if e := contextError(ctx, err, !safe); e != nil {
			e.Meta = meta
			return nil, e
		}
		cause := CauseTruncated
		switch {
		case errors.Is(err, errTooLarge):
			cause = CauseTooLarge
		case errors.Is(err, errTooSlow):
			cause = CauseTooSlow
		}
		return nil, &Error{Kind: KindInvalidResponse, Meta: meta, Cause: cause, Sent: !safe, Err: err}
	}
	received := &Response{Meta: meta, Body: bytes.TrimPrefix(*body, byteOrderMark)}
	if request.Pooled {
		received.buffer = body
	}
	return received, nil
}

// byteOrderMark stands before JSON that some writers make. It is no part of the text.
var byteOrderMark = []byte("\xef\xbb\xbf")

// fitsHeader reports whether a text can be the value of a header as it is.
func fitsHeader(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}
