// Package bench compares the generated reader with the JSON decoders of others on one job: from the bytes of a page of
// Graph's to finished messages, times and enums included. It is a module of its own, so that those decoders are not
// dependencies of the server.
package bench

import (
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Decoder makes a finished message of the bytes of a page, which it may keep and change.
type Decoder struct {
	Name   string
	Decode func(body []byte) (*pb.ListMailboxProtectionUnitsResponse, error)
	// ProtoJSON tells that the page is to be spelled as protojson does.
	ProtoJSON bool
}

// Decoders are the generated reader, and what it is compared with.
var Decoders = []Decoder{
	{Name: "generated reader", Decode: func(body []byte) (*pb.ListMailboxProtectionUnitsResponse, error) {
		message := new(pb.ListMailboxProtectionUnitsResponse)
		return message, message.UnmarshalGraphJSON(body, pb.GraphReadOptions{Workload: pb.Workload_WORKLOAD_EXCHANGE})
	}},
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
