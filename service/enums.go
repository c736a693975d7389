package service

import (
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// checkEnums refuses enum numbers that cannot be said to Graph: those that the contract does not have, those that
// stand for what only Graph can send, and a zero in a list. path leads to the message, with a dot at its end.
func checkEnums(message protoreflect.Message, path string) (err error) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := path + string(field.Name())
		switch {
		case field.IsMap() || field.Kind() != protoreflect.EnumKind && field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				if err = checkEnum(field, value.List().Get(i), at+"["+strconv.Itoa(i)+"]", false); err != nil {
					break
				}
			}
		default:
			err = checkEnum(field, value, at, true)
		}
		return err == nil
	})
	return err
}

func checkEnum(field protoreflect.FieldDescriptor, value protoreflect.Value, at string, zero bool) error {
	if field.Message() != nil {
		return checkEnums(value.Message(), at+".")
	}
	known := field.Enum().Values().ByNumber(value.Enum())
	if known == nil || value.Enum() == 0 && !zero || isUnknownFutureValue(field.Enum(), value.Enum()) {
		return refuse(pb.ErrorReason_INVALID_REQUEST, at, "a value of "+string(field.Enum().Name())+" that Graph knows")
	}
	return nil
}

// isUnknownFutureValue tells whether a number is that of X_UNKNOWN_FUTURE_VALUE, which is 1 wherever it exists.
func isUnknownFutureValue(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) bool {
	const suffix = "_UNKNOWN_FUTURE_VALUE"
	name := enum.Values().ByNumber(number).Name()
	return len(name) > len(suffix) && string(name[len(name)-len(suffix):]) == suffix
}
