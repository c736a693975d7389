package service

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/idempotency"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
)

// Idempotency says where the records of idempotency keys are, and what keeps them apart from those of others.
type Idempotency struct {
	// Keys are the records; nil refuses calls with a key.
	Keys *idempotency.Keys
	// Upstream is the endpoint of Graph, Application the id of the application that calls it; empty when that is not
	// known.
	Upstream, Application string
}

// keys is what the server needs for calls with a key.
type keys struct {
	Idempotency
	clock  graphClock
	counts keyedCounts
}

// keyField is the field with the key.
const keyField = "idempotency_key"

// keyed is a call with an idempotency key.
type keyed struct {
	core    *core
	op      *contract.Operation
	message protoreflect.Message
	request *graph.Request
	result  proto.Message
	scope   idempotency.Scope
	write   *idempotency.Write
}

// doKeyed carries out a write with an idempotency key. package idempotency has the states of its record.
//
//	the key                           the call
//	--------------------------------  ---------------------------------------------------------------------------
//	is new                            sends the write: the record says so just before the bytes go out
//	came before, and its call is      waits for it within the deadline, then IDEMPOTENCY_KEY_IN_USE
//	under way
//	came before with another request  IDEMPOTENCY_KEY_REUSED
//	is DONE                           reads the resource, see replay
//	is UNKNOWN                        looks for what the write did, see look; it is never sent again
//	was refused (4xx, 429)            as a new one: the record is gone
func (c *core) doKeyed(ctx context.Context, op *contract.Operation, message protoreflect.Message, request *graph.Request, result proto.Message) error {
	k, err := c.newKeyed(ctx, op, message, request, result)
	outcome := outcomeOfKey(err)
	if err == nil {
		outcome, err = k.do(ctx)
	}
	c.keys.counts.add(outcome)
	interceptor.NoteKeyed(ctx, outcome)
	return err
}

// newKeyed checks the key.
func (c *core) newKeyed(ctx context.Context, op *contract.Operation, message protoreflect.Message, request *graph.Request, result proto.Message) (*keyed, error) {
	key := message.Get(op.Key).String()
	switch {
	case c.keys.Keys == nil:
		return nil, apierror.RefuseField(pb.ErrorReason_INVALID_REQUEST, keyField, "unset: this server keeps no idempotency keys, see --idempotency")
	case !graph.IsGUID(key):
		return nil, apierror.RefuseField(pb.ErrorReason_INVALID_REQUEST, keyField, "a UUID, written 8-4-4-4-12")
	case idempotency.Expired(key, time.Now()):
		return nil, apierror.RefuseField(pb.ErrorReason_IDEMPOTENCY_KEY_EXPIRED, keyField, "no older than 7 days")
	}
	hash, err := idempotency.Hash(message, op.Key)
	if err != nil {
		return nil, apierror.RefuseField(pb.ErrorReason_INVALID_REQUEST, keyField, "unset in a request with fields that this server does not know")
	}
	scope := idempotency.Scope{
		Upstream: c.keys.Upstream, Application: c.keys.Application, Identity: userOf(request.UserAssertion),
		Principal: interceptor.Principal(ctx), Tenant: request.Tenant, RPC: op.Name,
	}
	return &keyed{
		core: c, op: op, message: message, request: request, result: result, scope: scope,
		write: c.keys.Keys.Begin(idempotency.NewID(scope, lower(key)), hash),
	}, nil
}

// answerTime is what a call that waits for another one keeps of its deadline to read the resource.
const answerTime = 500 * time.Millisecond

// do carries out the call, and says what became of it.
func (k *keyed) do(ctx context.Context) (outcome string, err error) {
	until := time.Now().Add(interceptor.MaxTime)
	if deadline, ok := ctx.Deadline(); ok {
		until = deadline.Add(-answerTime)
	}
	for {
		err := k.send(ctx)
		if errors.Is(err, idempotency.ErrInUse) {
			// A server that stops would cut a call that waits for another one's lease.
			if err = k.write.Wait(ctx, until, k.core.stopping); err == nil {
				continue
			}
		}
		if errors.Is(err, idempotency.ErrLook) {
			sent, outcome, err := k.lookFirst(ctx, until)
			if sent {
				continue
			}
			return outcome, err
		}
		known, ok := errors.AsType[*idempotency.KnownError](err)
		switch {
		case ok && known.Record.State == idempotency.Done:
			return KeyedReplayed, k.replay(ctx, known.Record)
		case ok:
			return k.look(ctx, known.Record)
		case errors.Is(err, idempotency.ErrReused):
			err = apierror.RefuseField(pb.ErrorReason_IDEMPOTENCY_KEY_REUSED, keyField, "a new UUID for another request")
		case errors.Is(err, idempotency.ErrInUse):
			err = apierror.Refuse(pb.ErrorReason_IDEMPOTENCY_KEY_IN_USE)
		case errors.Is(err, idempotency.ErrUnavailable):
			err = apierror.Refuse(pb.ErrorReason_IDEMPOTENCY_STORE_UNAVAILABLE)
		}
		return outcomeOfKey(err), err
	}
}

// send sends the write, if the key is new. An error of package idempotency says that it is not.
func (k *keyed) send(ctx context.Context) error {
	c := k.core
	sentAfter, err := k.graphTime(ctx)
	if err != nil {
		return err
	}
	asked := false
	k.request.BeforeSend = func(ctx context.Context) (time.Time, error) {
		asked = true
		sendBy, err := k.write.Send(ctx, sentAfter)
		if err != nil {
			return time.Time{}, err
		}
		if err := interceptor.BeginWrite(ctx); err != nil {
			_ = k.write.Release(ctx)
			return time.Time{}, err
		}
		return sendBy, nil
	}
	began := time.Now()
	received, err := c.graph.Do(ctx, k.request)
	failed, ok := errors.AsType[*graph.Error](err)
	switch {
	case err == nil:
		c.keys.clock.note(received.Date)
		err = c.decode(ctx, k.op, received, into{message: k.result})
		failed, ok = errors.AsType[*graph.Error](err)
	case ok && failed.Kind == graph.KindHeldBack:
		return failed.Err
	case ok && !asked:
		// It was not its turn. A call whose key came before needs none.
		if known := k.write.Read(ctx); known != nil && !errors.Is(known, idempotency.ErrUnavailable) {
			return known
		}
	}
	if ok {
		err = c.resolveOutcome(ctx, k.op, k.message, k.request, k.result, began, &apierror.GraphError{
			Err: failed, OnBehalfOfUser: k.request.UserAssertion != "", Keyed: true,
		})
	}
	k.record(ctx, err)
	return err
}

// record writes what became of a write that this call sent. A store that fails now changes nothing for this call: the
// record is SENT, so the next call looks.
func (k *keyed) record(ctx context.Context, err error) {
	failed, ok := errors.AsType[*apierror.GraphError](err)
	switch {
	case err == nil:
		id, claim := "", idempotency.ID{}
		if k.op.Created != nil {
			id = k.op.Created.ID(k.result.ProtoReflect())
			claim = k.claim(id)
		}
		_ = k.write.Finish(ctx, id, k.items(), claim)
	case ok && k.core.translator.ChangedNothing(k.op, failed):
		_ = k.write.Release(ctx)
	default:
		_ = k.write.Lose(ctx)
	}
}

func (k *keyed) claim(id string) idempotency.ID {
	return idempotency.NewClaim(k.scope, k.op.ReadWith.Name+"/"+id)
}

// graphClock is the last moment that Graph's clock is known to have passed.
type graphClock struct{ last atomic.Pointer[reading] }

type reading struct{ at, read time.Time }

// maxReading is how old a reading may be. An older one is still before the write, but tells it from fewer others.
const maxReading = 5 * time.Minute

// note takes the date of a response.
func (c *graphClock) note(date time.Time) {
	if !date.IsZero() {
		c.last.Store(&reading{at: date, read: time.Now()})
	}
}

// graphTime returns a moment by Graph's clock before the write: that of the last response. When there was none for a
// while it asks, by the read that verifies the write.
func (k *keyed) graphTime(ctx context.Context) (time.Time, error) {
	clock := &k.core.keys.clock
	if last := clock.last.Load(); last != nil && time.Since(last.read) < maxReading {
		return last.at, nil
	}
	received, err := k.read(ctx, k.op.VerifyWith, verifyMessage{k.message}, nil)
	if failed, ok := errors.AsType[*graph.Error](err); ok && failed.Kind == graph.KindResponse && !failed.Date.IsZero() {
		clock.note(failed.Date)
		return failed.Date, nil
	}
	if err != nil {
		return time.Time{}, k.readError(k.op.VerifyWith, err)
	}
	if received.Date.IsZero() {
		return time.Now().Add(-maxReading), nil
	}
	return received.Date, nil
}

// readError is the error of a read on behalf of the write.
func (k *keyed) readError(op *contract.Operation, err error) error {
	if failed, ok := errors.AsType[*graph.Error](err); ok {
		return &apierror.GraphError{Err: failed, OnBehalfOfUser: k.request.UserAssertion != "", Read: op}
	}
	return err
}
