package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/hub"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

const (
	// maxWait is how long a wait lasts at most: less than the time of a call without a deadline.
	maxWait = 45 * time.Second
	// lookEvery is how often the right of a caller is looked at while a call lasts.
	lookEvery = 10 * time.Second
)

// times are those of the calls that last. Tests have shorter ones.
type times struct{ wait, stream, look time.Duration }

// wait carries out a wait.
func wait[T any, R response[T]](ctx context.Context, c *core, request proto.Message) (R, error) {
	result := R(new(T))
	if err := c.wait(ctx, request.ProtoReflect(), result.ProtoReflect()); err != nil {
		return nil, err
	}
	return result, nil
}

func (c *core) wait(ctx context.Context, message, result protoreflect.Message) error {
	op := c.contract.OfRequest(message.Descriptor().FullName())
	asked, err := c.newWaiting(ctx, op, message)
	if err != nil {
		return err
	}
	limit, err := maxWaitOf(message, c.times.wait)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	over := time.NewTimer(limit)
	defer over.Stop()
	look := time.NewTicker(c.times.look)
	defer look.Stop()
	reader := c.hub.Watch(asked.key, asked.source, asked.seen)
	defer reader.Close()
	for {
		select {
		case <-reader.Ready():
			out, ok := reader.Take()
			switch {
			case !ok:
			case out.Err != nil:
				return out.Err
			default:
				if reason := asked.ended(out.State); reason != pb.WaitResult_WAIT_RESULT_UNSPECIFIED {
					asked.fill(result, out.State, reason)
					return nil
				}
			}
		case <-over.C:
			return asked.timeOut(reader, result)
		case <-c.stopping:
			// What it waits for may come at another replica.
			return asked.timeOut(reader, result)
		case <-look.C:
			if err := interceptor.StillAllowed(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return asked.timeOut(reader, result)
			}
			return ctx.Err()
		}
	}
}

// watch carries out a watch.
func watch[T any, R response[T]](stream grpc.ServerStreamingServer[T], c *core, request proto.Message) error {
	return c.watch(stream, request.ProtoReflect(), func() proto.Message { return R(new(T)) })
}

func (c *core) watch(stream grpc.ServerStream, message protoreflect.Message, newMessage func() proto.Message) error {
	ctx := stream.Context()
	op := c.contract.OfRequest(message.Descriptor().FullName())
	asked, err := c.newWaiting(ctx, op, message)
	if err != nil {
		return err
	}
	clock := c.newClock(ctx)
	defer clock.stop()
	reader := c.hub.Watch(asked.key, asked.source, asked.seen)
	defer reader.Close()
	for {
		if err := clock.wait(ctx, reader.Ready()); err != nil {
			return err
		}
		out, ok := reader.Take()
		switch {
		case !ok:
			continue
		case out.Err != nil:
			return out.Err
		}
		if out.State.Revision != asked.seen {
			next := newMessage()
			asked.fill(next.ProtoReflect(), out.State, pb.WaitResult_WAIT_RESULT_UNSPECIFIED)
			_, holding := interceptor.NewPage(ctx)
			taken, err := send(stream, interceptor.Outgoing{Message: next}, holding)
			if err != nil {
				return err
			}
			asked.seen = out.State.Revision
			if !out.State.Terminal {
				// Meanwhile the reader's slot gets newer states.
				if err := clock.wait(ctx, taken); err != nil {
					return err
				}
			}
		}
		if out.State.Terminal {
			return nil
		}
	}
}

// waiting is what a wait or a watch asks for.
type waiting struct {
	core    *core
	op      *contract.Operation
	message protoreflect.Message
	key     hub.Key
	source  hub.Source
	seen    string
	until   []protoreflect.EnumNumber
	request *graph.Request
	// inSpan puts polls that are sent for this one into its span.
	inSpan func(context.Context) context.Context
}

// newWaiting reads the request message of a wait or a watch, and refuses what Graph has no form for.
func (c *core) newWaiting(ctx context.Context, op *contract.Operation, message protoreflect.Message) (*waiting, error) {
	request, err := c.newRequest(ctx, op, message, nil)
	if err != nil {
		return nil, err
	}
	fields := op.Request.Fields()
	w := &waiting{
		core: c, op: op, message: message, request: request, seen: message.Get(fields.ByName("seen")).String(), inSpan: interceptor.InSpan(ctx),
	}
	if until := fields.ByName("until"); until != nil {
		for i := range message.Get(until).List().Len() {
			w.until = append(w.until, message.Get(until).List().Get(i).Enum())
		}
	}
	identity := identityOf(request.UserAssertion)
	w.key = hub.Key{Tenant: request.Tenant, Identity: identity, Resource: request.Target}
	w.source = hub.Source{Read: w.read}
	if list := op.Watched.List; list != nil {
		w.source.List, w.source.ID = w.list, message.Get(op.Watched.ID).String()
		w.source.Collection = hub.Collection{Tenant: request.Tenant, Identity: identity, List: list.Name + parentOf(request.Target)}
	}
	return w, nil
}

// parentOf is a target without its last segment.
func parentOf(target string) string {
	for i := len(target) - 1; i > 0; i-- {
		if target[i] == '/' {
			return target[:i]
		}
	}
	return target
}

// identityOf names who asks Graph: the application, or the user of an assertion. Nobody has looked at the assertion
// yet, and it may say of whom it is whatever it likes: so it is named by all of it. Two assertions of one user share no
// poller.
func identityOf(assertion string) string {
	if assertion == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(assertion))
	return string(sum[:])
}

func maxWaitOf(message protoreflect.Message, limit time.Duration) (time.Duration, error) {
	field := message.Descriptor().Fields().ByName("max_wait")
	if !message.Has(field) {
		return limit, nil
	}
	asked, ok := message.Get(field).Message().Interface().(*durationpb.Duration)
	if !ok || !asked.IsValid() || asked.AsDuration() < 0 {
		return 0, apierror.RefuseField(pb.ErrorReason_INVALID_REQUEST, "max_wait", "0 or more")
	}
	return min(asked.AsDuration(), limit), nil
}

// ended says why a wait ends in a state, unspecified when it does not.
func (w *waiting) ended(state hub.State) pb.WaitResult {
	resource, ok := state.Value.(protoreflect.Message)
	switch {
	case !ok:
	case len(w.until) > 0 && slices.Contains(w.until, w.op.Watched.State(resource).Number),
		len(w.until) == 0 && state.Revision != w.seen:
		return pb.WaitResult_WAIT_RESULT_REACHED
	case state.Terminal:
		return pb.WaitResult_WAIT_RESULT_TERMINAL
	}
	return pb.WaitResult_WAIT_RESULT_UNSPECIFIED
}

// timeOut ends a wait in which nothing happened in time, with what is known.
func (w *waiting) timeOut(reader *hub.Reader, result protoreflect.Message) error {
	out, ok := reader.Latest()
	switch {
	case out.Err != nil:
		return out.Err
	case ok:
		w.fill(result, out.State, pb.WaitResult_WAIT_RESULT_TIMED_OUT)
	default:
		w.fill(result, hub.State{}, pb.WaitResult_WAIT_RESULT_TIMED_OUT)
	}
	return nil
}

// fill fills in the response message of a wait or a watch. Messages share the resource, which nobody changes.
func (w *waiting) fill(result protoreflect.Message, state hub.State, reason pb.WaitResult) {
	fields := result.Descriptor().Fields()
	if resource, ok := state.Value.(protoreflect.Message); ok {
		result.Set(fields.Get(0), protoreflect.ValueOfMessage(resource))
	}
	result.Set(fields.ByName("revision"), protoreflect.ValueOfString(state.Revision))
	if field := fields.ByName("result"); field != nil {
		result.Set(field, protoreflect.ValueOfEnum(reason.Number()))
	}
}

// get sends a request of a poll. It is nobody's call: it has an id of its own, and its numbers belong to none. held
// gets what the result takes of the bytes of responses.
func (w *waiting) get(ctx context.Context, op *contract.Operation, target string, result proto.Message, held *wire.Holding) error {
	reading := w.newHolding()
	defer reading.Release()
	request := &graph.Request{
		Method: http.MethodGet, Target: target, Template: op.Spec.GetPath(), Tenant: w.request.Tenant, UserAssertion: w.request.UserAssertion,
		RequestID: uuid.NewString(), Safe: true, Background: true, Stats: new(graph.Stats),
		Grow: func(n int) bool { return reading.Grow(int64(n)) },
	}
	received, err := w.core.graph.Do(w.inSpan(ctx), request)
	if err != nil {
		return err
	}
	// The texts of the result stay in the body, whose buffer was made before anybody knew how long it is.
	received.Body = bytes.Clone(received.Body)
	size := int64(len(received.Body))
	if err := w.core.decode(ctx, op, received, into{message: result}); err != nil {
		return err
	}
	reading.Release()
	if !held.Resize(stateSize(size)) {
		return &graph.Error{Kind: graph.KindOverloaded, Meta: received.Meta}
	}
	return nil
}

// newHolding holds nothing yet of the bytes of responses.
func (w *waiting) newHolding() *wire.Holding {
	held := new(wire.Holding)
	w.core.bytes.Hold(held, w.request.Tenant)
	return held
}

// stateSize is what a resource takes that was read from a body of so many bytes: its texts, which stay in the body, its
// messages, and its poller.
func stateSize(body int64) int64 { return 2*body + 3<<10 }

// failed is how long the error of a poll lasts, if it passes, and the error.
func (w *waiting) failed(err error) (time.Duration, error) {
	if failed, ok := errors.AsType[*graph.Error](err); ok {
		err = &apierror.GraphError{Err: failed, OnBehalfOfUser: w.request.UserAssertion != ""}
	}
	return w.core.translator.Translate(w.op, w.message, "", err).RetryDelay(), err
}

// read reads the resource. The state takes over what the last one held.
func (w *waiting) read(ctx context.Context, last hub.Held) hub.Outcome {
	read := w.op.Of
	response := read.NewResponse()
	held, ok := last.(*wire.Holding)
	if !ok {
		held = w.newHolding()
	}
	if err := w.get(ctx, read, w.request.Target, response, held); err != nil {
		if !ok {
			held.Release()
		}
		again, failed := w.failed(err)
		return hub.Outcome{Err: failed, Again: again}
	}
	resource := w.op.Watched.Resource(response.ProtoReflect())
	means := w.op.Watched.State(resource)
	return hub.Outcome{State: hub.State{
		Value: resource, Revision: revisionOf(resource.Interface()), Terminal: means.Terminal, Short: means.Short, Held: held,
	}}
}

// list reads the list that the resource is in.
func (w *waiting) list(ctx context.Context, pages int) hub.Listing {
	list := w.op.Watched.List
	all := hub.Listing{Marks: make(map[string]string)}
	target := parentOf(w.request.Target)
	held := w.newHolding()
	defer held.Release()
	for range pages {
		response := list.NewResponse()
		if err := w.get(ctx, list, target, response, held); err != nil {
			all.Again, all.Err = w.failed(err)
			return all
		}
		addMarks(all.Marks, response.ProtoReflect())
		link := response.ProtoReflect().Get(list.NextPageToken).String()
		if link == "" {
			return all
		}
		next, ok := w.core.graph.NextTarget(link, target)
		if !ok {
			all.TooLong = true
			return all
		}
		target = next
	}
	all.TooLong = true
	return all
}

// addMarks adds the revisions of the items of a page.
func addMarks(marks map[string]string, page protoreflect.Message) {
	page.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if !field.IsList() || field.Message() == nil {
			return true
		}
		id := field.Message().Fields().ByName("id")
		for i := range value.List().Len() {
			item := value.List().Get(i).Message()
			marks[item.Get(id).String()] = revisionOf(item.Interface())
		}
		return false
	})
}

// revisionOf names the content of a message. Two replicas name it alike; two versions of the server need not, and then
// a wait ends once too early.
func revisionOf(message proto.Message) string {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		// A resource that cannot be encoded cannot be returned either.
		encoded = []byte(err.Error())
	}
	sum := sha256.Sum256(encoded)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
