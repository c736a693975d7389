package service

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// largestPage is the size of the pages of a stream that asks for none: the largest that Graph takes.
const largestPage = 999

// pageReader reads the page that a token names, and the token of the page behind it; empty on the last page.
type pageReader func(ctx context.Context, token string) (page interceptor.Outgoing, next string, err error)

// streamPages carries out a stream of pages: the pages of a list, as the list itself would return them. queries are as
// in unary.
func streamPages[T any, R response[T]](stream grpc.ServerStreamingServer[T], c *core, request proto.Message, queries ...string) error {
	op := c.contract.OfRequest(request.ProtoReflect().Descriptor().FullName())
	asked := proto.Clone(request).ProtoReflect()
	if asked.Get(op.PageSize).Int() == 0 && !op.Spec.GetNoQueryOptions() {
		asked.Set(op.PageSize, protoreflect.ValueOfInt32(largestPage))
	}
	return c.pagesOf(stream, asked.Get(op.PageToken).String(), func(ctx context.Context, token string) (interceptor.Outgoing, string, error) {
		message := proto.Clone(asked.Interface()).ProtoReflect()
		message.Set(op.PageToken, protoreflect.ValueOfString(token))
		response := R(new(T))
		if !c.messagePath {
			page, err := c.readPage(ctx, message.Interface(), response, queries...)
			if err != nil {
				return interceptor.Outgoing{}, "", err
			}
			return interceptor.Outgoing{Encoded: page.encoded}, page.next, nil
		}
		if err := c.do(ctx, message, into{message: response}, queries); err != nil {
			return interceptor.Outgoing{}, "", err
		}
		return interceptor.Outgoing{Message: response}, response.ProtoReflect().Get(op.NextPageToken).String(), nil
	})
}

// fetched is a page that is read ahead. done is closed when the rest is there.
type fetched struct {
	done    chan struct{}
	page    interceptor.Outgoing
	next    string
	holding *wire.Holding
	err     error
}

// pagesOf sends all pages from the one that the token names. While the client takes one, the next is read, and none
// behind it. A page counts as taken when gRPC has written it: a client that does not read stops the reading.
func (c *core) pagesOf(stream grpc.ServerStream, token string, read pageReader) error {
	ctx, cancel := context.WithCancel(stream.Context())
	clock := c.newClock(ctx)
	ahead := c.fetch(ctx, clock, token, read)
	defer func() {
		// Whoever reads notes in the call what it took.
		cancel()
		clock.stop()
		if ahead != nil {
			<-ahead.done
			ahead.holding.Release()
		}
	}()
	for {
		if err := clock.wait(ctx, ahead.done); err != nil {
			return err
		}
		if ahead.err != nil {
			return ahead.err
		}
		f := ahead
		if ahead = nil; f.next != "" {
			ahead = c.fetch(ctx, clock, f.next, read)
		}
		taken, err := send(stream, f.page, f.holding)
		// The message is several times as large as its bytes.
		f.page = interceptor.Outgoing{}
		if err != nil || f.next == "" {
			return err
		}
		if err := clock.wait(ctx, taken); err != nil {
			return err
		}
	}
}

// send sends a message of a stream. taken is closed when the client has taken it.
func send(stream grpc.ServerStream, message interceptor.Outgoing, holding *wire.Holding) (taken <-chan struct{}, err error) {
	out := make(chan struct{})
	err = stream.SendMsg(interceptor.Out(stream.Context(), message, holding, func() { close(out) }))
	if err != nil {
		holding.Release()
	}
	return out, err
}

// fetch reads a page in the background. When Graph throttles, it comes again when Graph wants it to, if there is time.
func (c *core) fetch(ctx context.Context, clock *clock, token string, read pageReader) *fetched {
	f := &fetched{done: make(chan struct{})}
	go func() {
		defer close(f.done)
		defer func() {
			if value := recover(); value != nil {
				f.err = interceptor.Recovered(value)
			}
		}()
		for {
			var within context.Context
			within, f.holding = interceptor.NewPage(ctx)
			f.page, f.next, f.err = read(within, token)
			delay, throttled := c.throttledFor(f.err)
			if !throttled || !clock.fits(delay) {
				return
			}
			f.holding.Release()
			if !sleep(ctx, delay) {
				return
			}
		}
	}()
	return f
}

// throttledFor reports whether an error says that Graph throttles, and for how long.
func (c *core) throttledFor(err error) (delay time.Duration, throttled bool) {
	failed, ok := errors.AsType[*graph.Error](err)
	if !ok || !failed.Throttled() {
		return 0, false
	}
	return c.translator.Translate(nil, nil, "", &apierror.GraphError{Err: failed}).RetryDelay(), true
}

func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// clock is what ends a call that lasts: its time, the stop of the server, and the end of the caller's right.
type clock struct {
	core  *core
	until time.Time
	// end fires when a stream ends itself, look when the right is looked at again.
	end  *time.Timer
	look *time.Ticker
}

func (c *core) newClock(ctx context.Context) *clock {
	k := &clock{core: c, end: time.NewTimer(c.times.stream), look: time.NewTicker(c.times.look)}
	k.until = time.Now().Add(c.times.stream)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(k.until) {
		k.until = deadline
	}
	return k
}

func (k *clock) stop() {
	k.end.Stop()
	k.look.Stop()
}

// fits reports whether there is time for a wait and a read after it.
func (k *clock) fits(wait time.Duration) bool { return time.Until(k.until) > wait+minReadTime }

// minReadTime is what must be left of a stream's time for another read.
const minReadTime = 100 * time.Millisecond

// errResume ends a stream that can go on elsewhere.
var errResume = apierror.Refuse(pb.ErrorReason_STREAM_RESUME)

// wait waits for a channel. The error ends the stream.
func (k *clock) wait(ctx context.Context, ready <-chan struct{}) error {
	for {
		select {
		case <-ready:
			return nil
		case <-k.end.C:
			return errResume
		case <-k.core.stopping:
			return errResume
		case <-k.look.C:
			if err := interceptor.StillAllowed(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
