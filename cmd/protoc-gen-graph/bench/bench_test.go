package bench

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
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
