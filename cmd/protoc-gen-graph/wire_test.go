package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// wireReader is a response that the wire path reads.
type wireReader interface {
	reader
	AppendGraphWire(dst, body []byte, options pb.GraphReadOptions) (encoded []byte, link string, err error)
	NextPageTokenNumber() int
}

// wired are the rpcs whose responses the wire path reads: lists, and what GET returns.
func wired(t *testing.T) []operation {
	t.Helper()
	var all []operation
	for _, op := range operations(t) {
		if _, ok := op.new(op.method.Output()).(wireReader); ok {
			all = append(all, op)
		}
	}
	if len(all) < 46 {
		t.Fatalf("only %d responses have a wire path", len(all))
	}
	return all
}

// outcome is what comes of a body.
type outcome struct {
	message proto.Message
	failed  *pb.GraphJSONError
	notes   []string
	items   []string
}

// options keep what the reader tells.
func (o *outcome) options() pb.GraphReadOptions {
	return pb.GraphReadOptions{
		Workload: pb.Workload_WORKLOAD_EXCHANGE,
		Error: func(item pb.GraphItemError) (*statuspb.Status, []*pb.FailedResource) {
			o.items = append(o.items, fmt.Sprintf("%s %s %q %s", item.Property, item.Type, item.ID, item.JSON))
			n := len(item.JSON)
			return &statuspb.Status{Code: int32(n), Message: string(item.JSON)}, []*pb.FailedResource{
				{Target: string(bytes.Clone([]byte(item.ID))), Error: &statuspb.Status{Code: int32(-n)}}, {},
			}
		},
		Notes: func(got pb.GraphNotes) { o.notes = append(o.notes, fmt.Sprintf("%+v", got)) },
	}
}

func (o *outcome) fail(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	failed, ok := errors.AsType[*pb.GraphJSONError](err)
	if !ok {
		t.Fatalf("%T is no *GraphJSONError", err)
	}
	// Of a body that is refused, only the error counts.
	*o = outcome{failed: failed}
}

// byMessage and byWire read a body in the two ways. Each overwrites its body in the end, as a pool would.
func byMessage(t *testing.T, op operation, text []byte) outcome {
	t.Helper()
	var o outcome
	body := bytes.Clone(text)
	message := op.new(op.method.Output()).(reader)
	err := message.UnmarshalGraphJSON(body, o.options())
	if err == nil {
		encoded, err := proto.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		o.message = op.new(op.method.Output())
		if err := proto.Unmarshal(encoded, o.message); err != nil {
			t.Fatal(err)
		}
	}
	o.fail(t, err)
	return o
}

func byWire(t *testing.T, op operation, text []byte) outcome {
	t.Helper()
	var o outcome
	body := bytes.Clone(text)
	before := []byte("before")
	message := op.new(op.method.Output()).(wireReader)
	encoded, link, err := message.AppendGraphWire(before, body, o.options())
	if err == nil {
		if !bytes.HasPrefix(encoded, before) {
			t.Fatalf("%s: the encoding does not follow what was in dst", text)
		}
		encoded = encoded[len(before):]
		if number := message.NextPageTokenNumber(); link != "" {
			encoded = protowire.AppendTag(encoded, protowire.Number(number), protowire.BytesType)
			encoded = protowire.AppendString(encoded, link)
		}
		for i := range body {
			body[i] = 0xdb
		}
		if err := proto.Unmarshal(encoded, message); err != nil {
			t.Fatalf("%s: no encoding: %v", text, err)
		}
		if size := proto.Size(message); size != len(encoded) {
			t.Fatalf("%s: the encoding has %d bytes, the shortest %d", text, len(encoded), size)
		}
		o.message = message
	}
	o.fail(t, err)
	return o
}

func samePaths(t *testing.T, op operation, text []byte) {
	t.Helper()
	want, got := byMessage(t, op, text), byWire(t, op, text)
	if !proto.Equal(got.message, want.message) || !reflect.DeepEqual(got.failed, want.failed) ||
		!reflect.DeepEqual(got.notes, want.notes) || !reflect.DeepEqual(got.items, want.items) {
		t.Fatalf("%s: %s\nby wire    %v %v %v %q\nby message %v %v %v %q", op.method.Name(), text,
			got.message, got.failed, got.notes, got.items, want.message, want.failed, want.notes, want.items)
	}
}

// guessesChangeNothing reads each element of a list alone, as the first of its page: then nothing of it is guessed from
// another one.
func guessesChangeNothing(t *testing.T, op operation, text []byte) {
	t.Helper()
	if list := op.method.Output().Fields().ByNumber(1); fieldOption(list).GetName() != "value" {
		return
	}
	var list struct{ object map[string]json.RawMessage }
	var elements []json.RawMessage
	if json.Unmarshal(text, &list.object) != nil || json.Unmarshal(list.object["value"], &elements) != nil {
		return
	}
	whole := byWire(t, op, text)
	if whole.failed != nil {
		return
	}
	got := whole.message.ProtoReflect()
	all := got.Get(got.Descriptor().Fields().ByNumber(1)).List()
	if all.Len() != len(elements) {
		t.Fatalf("%s: %d elements were read, want %d", text, all.Len(), len(elements))
	}
	for i, element := range elements {
		alone := byWire(t, op, fmt.Appendf(nil, `{"value":[%s]}`, element)).message.ProtoReflect()
		want := alone.Get(alone.Descriptor().Fields().ByNumber(1)).List().Get(0).Message().Interface()
		if one := all.Get(i).Message().Interface(); !proto.Equal(one, want) {
			t.Fatalf("%s: element %d was read as %v, alone as %v", text, i, one, want)
		}
	}
}

// bodies are good bodies of an rpc, with every field, one after the other in all forms.
func bodies(t *testing.T, op operation) [][]byte {
	t.Helper()
	var all [][]byte
	for round := range rounds {
		want := op.new(op.method.Output())
		(&filler{round: round}).fill(want.ProtoReflect(), nil)
		for _, e := range []encoder{{}, {wrap: true}, {aliases: true}} {
			text, err := json.Marshal(e.object(want.ProtoReflect()))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text)
		}
	}
	return all
}

// tokens are what a mutation puts into a body.
var tokens = []string{
	`null`, `""`, `{}`, `[]`, `0`, `-1`, `1e3`, `5.0`, `9223372036854775808`, `true`, `false`, `"x"`, `"\u0041\ud83d"`, `"a\"b\\c\n"`,
	`"2024-06-19T12-01-03Z"`, `"0001-01-01T00:00:00Z"`, `"Active"`, `"somethingNew"`, `"unknownFutureValue"`, `"none, manual,,dynamicRule"`,
	`{"error":{"code":"x","details":[{"target":"t"}]},"id":"later"}`, `{"user":{"id":"u","displayName":"Zoë"},"application":null}`,
	`"#microsoft.graph.siteProtectionUnit"`, `"@odata.type"`, `"id"`, `"error"`, `"value"`, `"siteId"`, `"email"`, `"@odata.nextLink"`,
	`{"a":[[{"b":1}]]}`, `,`, `:`, `"`, `\`, `[`, `]`, `{`, `}`, " \n\t", "\xff", "\x01", "\xc3\xa9",
}

// mutate changes a body at one to three places. Most changes replace a whole value, so that the body stays JSON.
func mutate(random *rand.Rand, text []byte, others [][]byte) []byte {
	text = bytes.Clone(text)
	for range 1 + random.IntN(3) {
		if len(text) == 0 {
			return text
		}
		at := random.IntN(len(text))
		start, end := valueAt(text, at)
		switch random.IntN(10) {
		case 0:
			text[at] = byte(random.IntN(256))
		case 1:
			text = append(text[:at:at], text[at+random.IntN(min(20, len(text)-at)):]...)
		case 2:
			text = text[:at]
		case 3:
			text = bytes.Join([][]byte{text[:at], []byte(tokens[random.IntN(len(tokens))]), text[at:]}, nil)
		case 4:
			// A value twice, or an element or property when a comma is near.
			text = bytes.Join([][]byte{text[:end], {','}, text[start:end], text[end:]}, nil)
		case 5:
			other := others[random.IntN(len(others))]
			from, to := valueAt(other, random.IntN(len(other)))
			text = bytes.Join([][]byte{text[:start], other[from:to], text[end:]}, nil)
		case 6:
			// The whole list or link once more.
			name := []string{"value", "@odata.nextLink", "@odata.count"}[random.IntN(3)]
			property := fmt.Sprintf(`{"%s":%s,`, name, tokens[random.IntN(len(tokens))])
			if random.IntN(2) == 0 && text[len(text)-1] == '}' {
				text = append(text[:len(text)-1:len(text)-1], ","+property[1:len(property)-1]+"}"...)
			} else {
				text = append([]byte(property), text[1:]...)
			}
		default:
			text = bytes.Join([][]byte{text[:start], []byte(tokens[random.IntN(len(tokens))]), text[end:]}, nil)
		}
	}
	return text
}

// valueAt returns the string, number or word around a position, or the object or array that begins there.
func valueAt(text []byte, at int) (start, end int) {
	if b := text[at]; b == '{' || b == '[' {
		decoder := json.NewDecoder(bytes.NewReader(text[at:]))
		var raw json.RawMessage
		if decoder.Decode(&raw) == nil {
			return at, at + int(decoder.InputOffset())
		}
	}
	const separators = `{}[],:`
	for start = at; start > 0 && strings.IndexByte(separators, text[start-1]) < 0; start-- {
	}
	for end = at; end < len(text) && strings.IndexByte(separators, text[end]) < 0; end++ {
	}
	return start, end
}

// TestBothPathsReadTheSame compares the wire path with the path through messages: messages, errors, notes, and what is
// asked about embedded errors. The whole takes minutes:
//
//	BACKUPSTORAGE_MUTATIONS=100000 go test -timeout 1h ./cmd/protoc-gen-graph -run BothPaths
func TestBothPathsReadTheSame(t *testing.T) {
	mutations := 300
	if text, ok := os.LookupEnv("BACKUPSTORAGE_MUTATIONS"); ok {
		var err error
		if mutations, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for i, op := range wired(t) {
		t.Run(string(op.method.Name()), func(t *testing.T) {
			t.Parallel()
			good := bodies(t, op)
			for _, text := range good {
				samePaths(t, op, text)
			}
			random := rand.New(rand.NewPCG(uint64(i), 2026))
			refused := 0
			for n := range mutations {
				text := mutate(random, good[random.IntN(len(good))], good)
				samePaths(t, op, text)
				if !json.Valid(text) {
					refused++
				} else if n%8 == 0 {
					guessesChangeNothing(t, op, text)
				}
			}
			if mutations >= 300 && (refused < mutations/20 || refused > mutations*19/20) {
				t.Errorf("%d of %d bodies are no JSON: the mutations show little", refused, mutations)
			}
			t.Logf("%d good bodies, %d mutated ones, %d of them no JSON", len(good), mutations, refused)
		})
	}
}
