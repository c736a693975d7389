package service

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/idempotency"
	"github.com/m365backup/backupstorage/service/internal/apierror"
)

// found is what a look showed.
type found struct {
	// done says that the write was carried out. id is what it created, items what became of the items of an update.
	done  bool
	id    string
	items []idempotency.Item
	// err says that not all could be read, so that nothing more is known than what else is here.
	err error
	// candidates are the ids of what the write may have created, status is the state of what it was about.
	candidates []string
	status     string
}

// look finds out whether a write whose outcome is unknown was carried out, and fills in the response when it was.
func (k *keyed) look(ctx context.Context, unknown *idempotency.Record) (outcome string, err error) {
	f := k.seek(ctx, unknown.SentAfter)
	if f.done {
		claim := idempotency.ID{}
		if f.id != "" {
			claim = k.claim(f.id)
		}
		ok, err := k.write.Resolve(ctx, unknown, f.id, f.items, claim)
		if err != nil {
			return KeyedUnavailable, apierror.Refuse(pb.ErrorReason_IDEMPOTENCY_STORE_UNAVAILABLE)
		}
		if ok {
			return KeyedResolved, k.replay(ctx, &idempotency.Record{ID: f.id, Items: f.items})
		}
	}
	return KeyedUnknown, &apierror.StillUnknownError{CandidateIDs: f.candidates, ObservedStatus: f.status}
}

// lostFor is how far back a write can lie whose record the store has lost: what is older, servers have written again.
const lostFor = 10 * time.Minute

// lookFirst is for a key that the store does not know and may have lost. send says that the write was not carried out,
// as far as anybody can see, and is to be sent: who cannot look does not send.
func (k *keyed) lookFirst(ctx context.Context, until time.Time) (send bool, outcome string, err error) {
	if err := k.write.Hold(ctx); err != nil {
		// Whoever holds it is asked when it is sent.
		return !errors.Is(err, idempotency.ErrUnavailable), KeyedUnavailable, apierror.Refuse(pb.ErrorReason_IDEMPOTENCY_STORE_UNAVAILABLE)
	}
	if err := k.write.WaitForOthers(ctx, until, k.core.stopping); err != nil {
		_ = k.write.Release(ctx)
		return false, KeyedUnavailable, apierror.Refuse(pb.ErrorReason_IDEMPOTENCY_STORE_UNAVAILABLE)
	}
	var f found
	if now, err := k.graphTime(ctx); err != nil {
		f.err = err
	} else {
		f = k.seek(ctx, now.Add(-lostFor))
	}
	switch {
	case f.done:
		claim := idempotency.ID{}
		if f.id != "" {
			claim = k.claim(f.id)
		}
		ok, err := k.write.Adopt(ctx, f.id, f.items, claim)
		switch {
		case err != nil:
			return false, KeyedUnavailable, apierror.Refuse(pb.ErrorReason_IDEMPOTENCY_STORE_UNAVAILABLE)
		case ok:
			return false, KeyedResolved, k.replay(ctx, &idempotency.Record{ID: f.id, Items: f.items})
		}
		// It is somebody else's.
		return true, "", nil
	case len(f.candidates) > 0 || f.err != nil:
		_ = k.write.Release(ctx)
		return false, KeyedUnknown, &apierror.StillUnknownError{CandidateIDs: f.candidates, ObservedStatus: f.status}
	}
	return true, "", nil
}

// seek looks for what a write did that was sent after a moment of Graph's clock.
//
//	graph_call.replay  it was carried out when                              otherwise
//	-----------------  ---------------------------------------------------  ------------------------------------
//	READ_CREATED       exactly one resource can be it, and it has a name    the ids of those that can be it
//	STORED_OUTCOME     all is there that was to be added, and nothing that  nothing is known
//	                   was to be removed
//	READ_TARGET        the state proves it, as after any lost write         the state
//
// A resource can be it when it was created by this application after that moment, and shows all that was sent as far as
// Graph shows it. A session or a rule has no name: two of them look alike, so none is ever taken for it.
func (k *keyed) seek(ctx context.Context, after time.Time) found {
	switch k.op.Spec.GetReplay() {
	case pb.GraphCall_READ_CREATED:
		return k.seekCreated(ctx, after)
	case pb.GraphCall_STORED_OUTCOME:
		return k.seekChanges(ctx)
	}
	return k.seekState(ctx, after)
}

// seekState reads the resource that the write acts on.
func (k *keyed) seekState(ctx context.Context, after time.Time) found {
	if k.op.Outcome == nil {
		return found{}
	}
	received, err := k.read(ctx, k.op.VerifyWith, verifyMessage{k.message}, nil)
	if err != nil {
		return found{err: err}
	}
	response := k.op.NewResponse()
	if err := k.core.decode(ctx, k.op, received, into{message: response}); err != nil {
		return found{err: err}
	}
	state, proven := k.op.Outcome.Observe(response.ProtoReflect(), after)
	return found{done: proven, status: state}
}

// maxLookPages bounds the pages of a list that a look reads.
const maxLookPages = 50

// errNoEnd is a list that could not be read to its end.
var errNoEnd = errors.New("the list that verifies a write has no end, or too many pages")

// each reads the list that verifies a write, and visits its elements. The error says that there may be more.
func (k *keyed) each(ctx context.Context, visit func(protoreflect.Message)) error {
	op := k.op.VerifyWith
	path, err := target(op, verifyMessage{k.message})
	if err != nil {
		return err
	}
	if op.NextPageToken == nil {
		return errNoEnd
	}
	for range maxLookPages {
		response := op.NewResponse()
		if _, err := k.readTarget(ctx, op, path, response); err != nil {
			return err
		}
		page := response.ProtoReflect()
		page.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			if field.IsList() && field.Message() != nil {
				for i := range value.List().Len() {
					visit(value.List().Get(i).Message())
				}
			}
			return true
		})
		link := page.Get(op.NextPageToken).String()
		if link == "" {
			return nil
		}
		next, ok := k.core.graph.NextTarget(link, path)
		if !ok {
			return errNoEnd
		}
		path = next
	}
	return errNoEnd
}

// seekCreated looks for what the write may have created.
func (k *keyed) seekCreated(ctx context.Context, after time.Time) (f found) {
	f.err = k.each(ctx, func(one protoreflect.Message) {
		if id := textOf(one, "id"); id != "" && k.canBe(one, after) {
			f.candidates = append(f.candidates, id)
		}
	})
	name := k.op.Request.Fields().ByName("display_name")
	if f.err != nil || len(f.candidates) != 1 || name == nil || k.message.Get(name).String() == "" || after.IsZero() {
		return f
	}
	if !k.hasUnits(ctx, f.candidates[0]) {
		return f
	}
	f.done, f.id = true, f.candidates[0]
	return f
}

// canBe reports whether a resource can be what the write created.
func (k *keyed) canBe(one protoreflect.Message, after time.Time) bool {
	fields := one.Descriptor().Fields()
	if w := fields.ByName("workload"); w != nil && k.op.Workload != 0 && one.Has(w) && one.Get(w).Enum() != protoreflect.EnumNumber(k.op.Workload) {
		return false
	}
	for _, name := range []protoreflect.Name{"created_date_time", "registration_date_time"} {
		if f := fields.ByName(name); f != nil && one.Has(f) {
			if at, ok := one.Get(f).Message().Interface().(*timestamppb.Timestamp); ok && at.AsTime().Before(after) {
				return false
			}
		}
	}
	if f := fields.ByName("created_by"); f != nil && one.Has(f) && k.scope.Application != "" {
		if by, ok := one.Get(f).Message().Interface().(*pb.IdentitySet); ok && by.GetApplication().GetId() != "" && by.GetApplication().GetId() != k.scope.Application {
			return false
		}
	}
	same := true
	k.message.Range(func(sent protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		f := fields.ByName(sent.Name())
		if sent == k.op.Key || f == nil || f.Kind() != sent.Kind() || f.IsList() != sent.IsList() || k.inPath(sent) {
			// Graph does not show it, or the list is of nothing else.
			return true
		}
		same = equal(sent, value, f, one.Get(f))
		return same
	})
	return same
}

func equal(a protoreflect.FieldDescriptor, av protoreflect.Value, b protoreflect.FieldDescriptor, bv protoreflect.Value) bool {
	switch {
	case a.IsList() && a.Kind() == protoreflect.MessageKind:
		return true
	case a.IsList():
		// Graph may send a set in another order.
		return slices.Equal(sorted(av.List()), sorted(bv.List()))
	case a.Kind() == protoreflect.MessageKind:
		return a.Message() != b.Message() || proto.Equal(av.Message().Interface(), bv.Message().Interface())
	}
	return av.Equal(bv)
}

func sorted(list protoreflect.List) (all []string) {
	for i := range list.Len() {
		all = append(all, list.Get(i).String())
	}
	slices.Sort(all)
	return all
}

func (k *keyed) inPath(field protoreflect.FieldDescriptor) bool {
	for _, s := range k.op.Path {
		if s.Field == field {
			return true
		}
	}
	return false
}

func textOf(message protoreflect.Message, name protoreflect.Name) string {
	field := message.Descriptor().Fields().ByName(name)
	if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() {
		return ""
	}
	return message.Get(field).String()
}
