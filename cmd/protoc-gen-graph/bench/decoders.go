// Package bench compares the generated reader with other JSON decoders. Each turns the bytes of one page of Graph's
// into finished messages, including times and enums. It is a module of its own, so that those decoders are no
// dependencies of the server.
package bench

import (
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Decoder turns the bytes of a page into a finished message. It may keep and change the bytes.
type Decoder struct {
	Name   string
	Decode func(body []byte) (*pb.ListMailboxProtectionUnitsResponse, error)
	// ProtoJSON means that the decoder needs the page as protojson writes it.
	ProtoJSON bool
}

// Decoders are the generated reader, which is the first, and those that it is compared with.
var Decoders = []Decoder{
	{Name: "generated reader", Decode: func(body []byte) (*pb.ListMailboxProtectionUnitsResponse, error) {
		message := new(pb.ListMailboxProtectionUnitsResponse)
		return message, message.UnmarshalGraphJSON(body, pb.GraphReadOptions{Workload: pb.Workload_WORKLOAD_EXCHANGE})
	}},
	{Name: "written by hand, with go-faster/jx", Decode: decodeByHand},
	{Name: "json v2 (go-json-experiment) and copy", Decode: func(body []byte) (*pb.ListMailboxProtectionUnitsResponse, error) {
		var p page
		if err := jsonv2.Unmarshal(body, &p); err != nil {
			return nil, err
		}
		return p.message(), nil
	}},
	{Name: "encoding/json and copy", Decode: func(body []byte) (*pb.ListMailboxProtectionUnitsResponse, error) {
		var p page
		if err := json.Unmarshal(body, &p); err != nil {
			return nil, err
		}
		return p.message(), nil
	}},
	{Name: "protojson", ProtoJSON: true, Decode: func(body []byte) (*pb.ListMailboxProtectionUnitsResponse, error) {
		message := new(pb.ListMailboxProtectionUnitsResponse)
		return message, protojson.Unmarshal(body, message)
	}},
}
