package contract

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// linkReplay finds the operation that reads what a replay returns, and checks that it fits.
func (c *Contract) linkReplay(op *Operation) error {
	replay, name := op.Spec.GetReplay(), op.Spec.GetReadWith()
	stored := replay == pb.GraphCall_READ_CREATED || replay == pb.GraphCall_STORED_OUTCOME
	if stored != (name != "") {
		return fmt.Errorf("read_with is %q, with replay %s", name, replay)
	}
	if (replay == pb.GraphCall_READ_CREATED) != (op.Created != nil && op.Key != nil) {
		return fmt.Errorf("replay %s does not fit creates", replay)
	}
	switch {
	case op.Key == nil:
		return nil
	case op.Key.Kind() != protoreflect.StringKind || op.Key.IsList() || !op.Key.HasPresence():
		return errors.New("idempotency_key is no optional string")
	case stored:
		op.ReadWith = c.byName[name]
	default:
		op.ReadWith = op.VerifyWith
	}
	if op.ReadWith == nil || !op.ReadWith.Safe {
		return fmt.Errorf("read_with %q is no operation without side effects", name)
	}
	if resourceOf(op.ReadWith.response) == nil || op.ReadWith.NextPageToken != nil {
		return fmt.Errorf("read_with %q returns no single resource", op.ReadWith.Name)
	}
	missing := 0
	for _, s := range op.ReadWith.Path {
		if s.Field != nil && op.Request.Fields().ByName(s.Field.Name()) == nil {
			missing++
		}
	}
	// The id of what was created is in no request that creates.
	if created := op.Created != nil; missing != map[bool]int{true: 1, false: 0}[created] {
		return fmt.Errorf("the request lacks %d ids of read_with %q", missing, op.ReadWith.Name)
	}
	return nil
}
