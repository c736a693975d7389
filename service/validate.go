package service

import (
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/apierror"
)

// validate refuses values that Graph has no form for: enum numbers that the contract does not have or that stand for
// what only Graph can send, a zero in a list of enums, and times outside of the years 1 to 9999. path leads to the
// message and ends in a dot.
func validate(message protoreflect.Message, path string) (err error) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := path + string(field.Name())
		switch {
		case field.IsMap() || field.Kind() != protoreflect.EnumKind && field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				if err = validateValue(field, value.List().Get(i), at+"["+strconv.Itoa(i)+"]", false); err != nil {
					break
				}
			}
		default:
			err = validateValue(field, value, at, true)
		}
		return err == nil
	})
	return err
}

func validateValue(field protoreflect.FieldDescriptor, value protoreflect.Value, at string, zero bool) error {
	if field.Message() != nil {
		if t, ok := value.Message().Interface().(*timestamppb.Timestamp); ok {
			if !t.IsValid() {
				return apierror.RefuseField(pb.ErrorReason_INVALID_REQUEST, at, "a time from the year 1 to the year 9999")
			}
			return nil
		}
		return validate(value.Message(), at+".")
	}
	known := field.Enum().Values().ByNumber(value.Enum())
	if known == nil || value.Enum() == 0 && !zero || isUnknownFutureValue(field.Enum(), value.Enum()) {
		return apierror.RefuseNumber(pb.ErrorReason_INVALID_REQUEST, at, "a value of "+string(field.Enum().Name())+" that Graph knows", int64(value.Enum()))
	}
	return nil
}

// exclusive refuses a request that has both of two fields of which Graph takes one.
func exclusive(first string, hasFirst bool, second string, hasSecond bool) error {
	if hasFirst && hasSecond {
		return apierror.RefuseField(pb.ErrorReason_INVALID_REQUEST, second, "unset, or "+first+" unset: Graph takes one of them in a request")
	}
	return nil
}

// isUnknownFutureValue reports whether a number is that of X_UNKNOWN_FUTURE_VALUE, which is 1 wherever it exists.
func isUnknownFutureValue(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) bool {
	const suffix = "_UNKNOWN_FUTURE_VALUE"
	name := enum.Values().ByNumber(number).Name()
	return len(name) > len(suffix) && string(name[len(name)-len(suffix):]) == suffix
}
