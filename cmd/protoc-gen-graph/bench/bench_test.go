package bench

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

func pages(tb testing.TB) (graph, protoJSON []byte) {
	tb.Helper()
	protoJSON, err := NewProtoJSON()
	if err != nil {
		tb.Fatal(err)
	}
	return NewPage(), protoJSON
}

func (d Decoder) page(graph, protoJSON []byte) []byte {
	if d.ProtoJSON {
		return protoJSON
	}
	return graph
}

func TestAllDecodersMakeTheSameMessage(t *testing.T) {
	graph, protoJSON := pages(t)
	want, err := Decoders[0].Decode(slices.Clone(graph))
	if err != nil {
		t.Fatal(err)
	}
	if size := len(graph) / Units; size < 525 || size > 533 {
		t.Errorf("a unit has %d bytes, want about 529", size)
	}
	unit := want.ProtectionUnits[Units-1]
	if len(want.ProtectionUnits) != Units || want.NextPageToken == "" || unit.Id == "" || unit.PolicyId == "" ||
		unit.Workload == 0 || unit.Status == 0 || unit.CreatedBy.Application.Id == "" || unit.CreatedBy.User.Id == "" ||
		unit.CreatedDateTime == nil || unit.LastModifiedDateTime == nil || unit.GetUser().GetEmail() == "" {
		t.Errorf("something was not read: %v", unit)
	}
	for _, decoder := range Decoders {
		got, err := decoder.Decode(slices.Clone(decoder.page(graph, protoJSON)))
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s makes another message (%v)", decoder.Name, err)
		}
	}
}

// TestReaderIsFast asserts loose bounds that hold on any machine. It takes the best of 20 rounds, because others may
// use the machine at the same time.
func TestReaderIsFast(t *testing.T) {
	graph, _ := pages(t)
	best := func(d Decoder) time.Duration {
		var times []time.Duration
		for range 20 {
			body := slices.Clone(graph)
			start := time.Now()
			if _, err := d.Decode(body); err != nil {
				t.Fatal(err)
			}
			times = append(times, time.Since(start))
		}
		return slices.Min(times)
	}
	var reader, standard Decoder
	for _, d := range Decoders {
		switch d.Name {
		case "generated reader":
			reader = d
		case "encoding/json and copy":
			standard = d
		}
	}
	ours, theirs := best(reader), best(standard)
	if theirs < 3*ours {
		t.Errorf("the generated reader took %v, encoding/json %v: less than 3 times as long", ours, theirs)
	}
	body := make([]byte, len(graph))
	allocations := testing.AllocsPerRun(10, func() {
		copy(body, graph)
		if _, err := reader.Decode(body); err != nil {
			t.Error(err)
		}
	})
	if allocations > 60 {
		t.Errorf("the page cost %.0f allocations", allocations)
	}
}

// fastest returns the time of the best of many rounds of several functions, which take turns. Each gets a copy of its
// page.
func fastest(t *testing.T, pages [][]byte, functions []func(page []byte) error) []time.Duration {
	t.Helper()
	best := make([]time.Duration, len(functions))
	for range 60 {
		for i, function := range functions {
			page := slices.Clone(pages[i])
			start := time.Now()
			if err := function(page); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	return best
}

func TestEncodersMakeTheSameBytes(t *testing.T) {
	for name, page := range map[string][]byte{"usual": NewPage(), "odd": NewOddPage()} {
		var messages []*pb.ListMailboxProtectionUnitsResponse
		for _, encoder := range Encoders {
			data, err := encoder.Encode(nil, slices.Clone(page))
			if err != nil {
				t.Fatal(err)
			}
			message := new(pb.ListMailboxProtectionUnitsResponse)
			if err := proto.Unmarshal(data, message); err != nil {
				t.Fatal(err)
			}
			// The wire path leaves it out.
			message.NextPageToken = ""
			messages = append(messages, message)
		}
		if len(messages[0].ProtectionUnits) != Units || !proto.Equal(messages[0], messages[1]) {
			t.Errorf("%s page: the two are different", name)
		}
	}
}

// TestWirePathIsFast fails when the wire path makes messages again, or when nothing is guessed any more. The ratios of
// the instructions are 0.45 and 0.57.
func TestWirePathIsFast(t *testing.T) {
	var dst []byte
	encode := func(e Encoder) func([]byte) error {
		return func(page []byte) (err error) {
			dst, err = e.Encode(dst[:0], page)
			return err
		}
	}
	usual, odd := NewPage(), NewOddPage()
	best := fastest(t, [][]byte{usual, usual, odd}, []func([]byte) error{encode(Encoders[0]), encode(Encoders[1]), encode(Encoders[0])})
	ofMessages, ofOdd := float64(best[0])/float64(best[1]), float64(best[0])/float64(best[2])
	if ofMessages > 0.7 {
		t.Errorf("a page by the wire path takes %.2f of the time by messages", ofMessages)
	}
	if ofOdd > 0.9 {
		t.Errorf("a page whose units are alike takes %.2f of the time of one with others", ofOdd)
	}
	t.Logf("by the wire path %v, by messages %v (%.2f), with unlike units %v (%.2f)", best[0], best[1], ofMessages, best[2], ofOdd)
	body := make([]byte, len(usual))
	allocations := testing.AllocsPerRun(10, func() {
		copy(body, usual)
		if err := encode(Encoders[0])(body); err != nil {
			t.Error(err)
		}
	})
	if allocations > 10 {
		t.Errorf("the page cost %.0f allocations on the wire path", allocations)
	}
}

func BenchmarkPage(b *testing.B) {
	graph, protoJSON := pages(b)
	for _, decoder := range Decoders {
		b.Run(decoder.Name, func(b *testing.B) {
			page := decoder.page(graph, protoJSON)
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				// Every decoder may change and keep its body, so the time of each includes a copy.
				if _, err := decoder.Decode(slices.Clone(page)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
