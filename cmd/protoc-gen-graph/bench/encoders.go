package bench

import (
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Encoder turns the bytes of a page into those of the response message, which it appends to dst. It changes the page.
type Encoder struct {
	Name   string
	Encode func(dst, page []byte) ([]byte, error)
}

// Encoders are the wire path of lists, which is the first, and the path through messages.
var Encoders = []Encoder{
	{Name: "wire path", Encode: func(dst, page []byte) ([]byte, error) {
		encoded, _, err := (*pb.ListMailboxProtectionUnitsResponse)(nil).AppendGraphWire(dst, page, pb.GraphReadOptions{Workload: pb.Workload_WORKLOAD_EXCHANGE})
		return encoded, err
	}},
	{Name: "message path", Encode: func(dst, page []byte) ([]byte, error) {
		message := new(pb.ListMailboxProtectionUnitsResponse)
		if err := message.UnmarshalGraphJSON(page, pb.GraphReadOptions{Workload: pb.Workload_WORKLOAD_EXCHANGE}); err != nil {
			return nil, err
		}
		return proto.MarshalOptions{}.MarshalAppend(dst, message)
	}},
}
