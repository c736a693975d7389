package contract

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Member returns Graph's name of an enum value: that of its graph_value option, else the value's name without the
// prefix, in lowerCamelCase. The JSON codecs have the same names; what stands in a query needs them from here.
func Member(value protoreflect.EnumValueDescriptor) string {
	if option, _ := proto.GetExtension(value.Options(), pb.E_GraphValue).(*pb.GraphValue); option.GetName() != "" {
		return option.GetName()
	}
	enum, _ := value.Parent().(protoreflect.EnumDescriptor)
	prefix := strings.TrimSuffix(string(enum.Values().Get(0).Name()), "UNSPECIFIED")
	words := strings.Split(strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix)), "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}
