package service

import (
	"context"
	"net/http"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/internal/idempotency"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
)

// replay fills in the response of a write that was carried out before: the resource as it is now, and what was kept of
// its items.
func (k *keyed) replay(ctx context.Context, done *idempotency.Record) error {
	with := k.op.ReadWith
	read := with.NewResponse()
	if _, err := k.read(ctx, with, k.op.ReplayRequest(k.message, done.ID), read); err != nil {
		return k.readError(with, err)
	}
	proto.Reset(k.result)
	k.op.FillReplay(k.result.ProtoReflect(), read.ProtoReflect())
	k.fillItems(done.Items)
	interceptor.SayReplay(ctx)
	return nil
}

// read sends a read on behalf of the write, and reads its response if there is something to read it into.
func (k *keyed) read(ctx context.Context, op *contract.Operation, message protoreflect.Message, response proto.Message) (*graph.Response, error) {
	path, err := target(op, message)
	if err != nil {
		return nil, err
	}
	return k.readTarget(ctx, op, path, response)
}

func (k *keyed) readTarget(ctx context.Context, op *contract.Operation, path string, response proto.Message) (*graph.Response, error) {
	received, err := k.core.graph.Do(ctx, &graph.Request{
		Method: http.MethodGet, Target: path, Template: op.Spec.GetPath(), Tenant: k.request.Tenant, UserAssertion: k.request.UserAssertion,
		RequestID: k.request.RequestID, Safe: true, Stats: k.request.Stats, Grow: k.request.Grow,
	})
	if err != nil {
		return nil, err
	}
	k.core.keys.clock.note(received.Date)
	if response == nil {
		return received, nil
	}
	return received, k.core.decode(ctx, op, received, into{message: response})
}

// items are what is kept of the items of an update: ids and reasons, no texts.
func (k *keyed) items() (all []idempotency.Item) {
	result := k.result.ProtoReflect()
	for _, change := range k.op.Changes() {
		list := result.Get(change.List).List()
		for i := range list.Len() {
			one := list.Get(i).Message()
			item := idempotency.Item{
				List: uint32(change.List.Number()), ID: one.Get(change.Resource).Message().Get(change.ID).String(),
				ContentID: one.Get(change.ContentID).String(), Removed: one.Get(change.Removed).Bool(),
			}
			if one.Has(change.Error) {
				if s, ok := one.Get(change.Error).Message().Interface().(*statuspb.Status); ok {
					item.Reason = apierror.ReasonOf(s)
				}
			}
			all = append(all, item)
		}
	}
	return all
}

// fillItems fills in what was kept of items.
func (k *keyed) fillItems(items []idempotency.Item) {
	result := k.result.ProtoReflect()
	for _, change := range k.op.Changes() {
		for _, item := range items {
			if item.List != uint32(change.List.Number()) {
				continue
			}
			list := result.Mutable(change.List).List()
			one := list.AppendMutable().Message()
			if item.ID != "" {
				one.Mutable(change.Resource).Message().Set(change.ID, protoreflect.ValueOfString(item.ID))
			}
			if item.ContentID != "" {
				one.Set(change.ContentID, protoreflect.ValueOfString(item.ContentID))
			}
			one.Set(change.Removed, protoreflect.ValueOfBool(item.Removed))
			if item.Reason != "" {
				status := k.core.translator.Stored(k.op, item.Reason, item.ID)
				one.Set(change.Error, protoreflect.ValueOfMessage(status.ProtoReflect()))
			}
		}
	}
}
