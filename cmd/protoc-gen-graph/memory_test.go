//go:build !race

// With the race detector sync.Pool forgets at random, so that allocations and memory are not those of the program.

package main_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// unitsPage returns a page of n units as Graph writes it.
func unitsPage(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#units","value":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"@odata.type":"#microsoft.graph.mailboxProtectionUnit","id":"unit-%d","policyId":"policy","status":"protected",`+
			`"protectionSources":"manual,dynamicRule","createdBy":{"application":{"id":"app"},"user":{"id":"user-%[1]d","displayName":"Sam"}},`+
			`"createdDateTime":"2024-06-19T12:01:03.45Z","lastModifiedDateTime":"2024-06-20T12:01:03.45Z","error":null,`+
			`"directoryObjectId":"object-%[1]d","displayName":"Mailbox %[1]d","email":"%[1]d@contoso.example"}`, i*i)
	}
	b.WriteString(`],"@odata.nextLink":"https://graph.microsoft.com/v1.0/units?$skiptoken=x"}`)
	return []byte(b.String())
}

func TestPageOfAnySizeCostsFewAllocations(t *testing.T) {
	for _, n := range []int{0, 1, 2, 10, 100, 999, 5_000, 20_000} {
		page := unitsPage(n)
		body := make([]byte, len(page))
		got := testing.AllocsPerRun(3, func() {
			copy(body, page)
			var message pb.ListMailboxProtectionUnitsResponse
			if err := message.UnmarshalGraphJSON(body, pb.GraphReadOptions{}); err != nil || len(message.ProtectionUnits) != n {
				t.Errorf("%d units: %d were read: %v", n, len(message.ProtectionUnits), err)
			}
		})
		if got > 60 {
			t.Errorf("%d units cost %.0f allocations", n, got)
		}
	}
}

// allocated returns how many bytes a read allocates, including garbage.
func allocated(message reader, text []byte) (uint64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := message.UnmarshalGraphJSON(text, pb.GraphReadOptions{})
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

// TestHostileBodiesCostLittleMemory reads bodies of 8 MiB, the maximum that the client accepts from Graph.
func TestHostileBodiesCostLittleMemory(t *testing.T) {
	const size = 8 << 20
	full := func(before, element, after string) []byte {
		n := (size - len(before) - len(after)) / len(element)
		return []byte(before + strings.Repeat(element, n) + after)
	}
	tests := []struct {
		name  string
		limit uint64
		into  reader
		text  []byte
	}{
		{"empty units", 64 << 20, new(pb.ListMailboxProtectionUnitsResponse), full(`{"value":[`, `{},`, `{}]}`)},
		{"empty sessions", 64 << 20, new(pb.ListRestoreSessionsResponse), full(`{"value":[`, `{},`, `{}]}`)},
		{"units that are null", 64 << 20, new(pb.ListMailboxProtectionUnitsResponse), full(`{"value":[`, `0,`, `0]}`)},
		{"empty changes", 64 << 20, new(pb.UpdateExchangeRestoreSessionResponse), full(`{"mailboxRestoreArtifacts@delta":[`, `{},`, `{}]}`)},
		{"a short unit before a long one", 64 << 20, new(pb.ListMailboxProtectionUnitsResponse), full(`{"value":[{},{"x":"`, `x`, `"}]}`)},
		{"a unit of many empty objects", 80 << 20, new(pb.ListMailboxProtectionUnitsResponse), full(`{"value":[{},{"createdBy":{`, `"user":{},`, `"user":{}}}]}`)},
		{"a unit of many times", 64 << 20, new(pb.ListMailboxProtectionUnitsResponse), full(`{"value":[{},{`, `"createdDateTime":"2024-01-01",`, `"id":""}]}`)},
		{"a unit of many errors", 64 << 20, new(pb.ListMailboxProtectionUnitsResponse), full(`{"value":[{`, `"error":0,`, `"id":""}]}`)},
		{"a unit of many flags", 64 << 20, new(pb.ListMailboxProtectionUnitsResponse), full(`{"value":[{"protectionSources":"`, `,`, `"},{}]}`)},
		{"policies with empty settings", 64 << 20, new(pb.ListProtectionPoliciesResponse),
			full(`{"value":[`, `{"retentionSettings":[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]},`, `{}]}`)},
		{"a policy with empty settings", 64 << 20, new(pb.ListProtectionPoliciesResponse), full(`{"value":[{"retentionSettings":[`, `{},`, `{}]}]}`)},
		{"a search without results", 64 << 20, new(pb.SearchRestorePointsResponse), full(`{"noResultProtectionUnitIds":[`, `"",`, `""]}`)},
		{"jobs with empty addresses", 80 << 20, new(pb.ListMailboxProtectionUnitsBulkAdditionJobsResponse),
			full(`{"value":[`, `{"mailboxes":[`+strings.Repeat(`"",`, 1000)+`""]},`, `{}]}`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if list, ok := test.into.(wireReader); ok {
				bytes, err := wireAllocated(list, slices.Clone(test.text))
				if bytes > test.limit {
					t.Errorf("%d MiB were allocated on the wire path (%v)", bytes>>20, err)
				}
				t.Logf("%d MiB on the wire path (%v)", bytes>>20, err)
			}
			bytes, err := allocated(test.into, test.text)
			if bytes > test.limit {
				t.Errorf("%d MiB were allocated (%v)", bytes>>20, err)
			}
			t.Logf("%d MiB (%v)", bytes>>20, err)
		})
	}
}

// wireAllocated is allocated on the wire path.
func wireAllocated(message wireReader, text []byte) (uint64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := message.AppendGraphWire(nil, text, pb.GraphReadOptions{})
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

// TestEveryPageCostsFewAllocations reads a page of each list of the contract. Its elements have all their fields.
func TestEveryPageCostsFewAllocations(t *testing.T) {
	for _, op := range operations(t) {
		response := op.method.Output()
		list := response.Fields().ByNumber(1)
		if list == nil || fieldOption(list).GetName() != "value" {
			continue
		}
		t.Run(string(op.method.Name()), func(t *testing.T) {
			page := op.new(response).ProtoReflect()
			f := &filler{}
			for range 999 {
				f.fill(page, func(field protoreflect.FieldDescriptor) bool { return field == list })
			}
			text, err := json.Marshal(encoder{}.object(page))
			if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, len(text))
			got := testing.AllocsPerRun(2, func() {
				copy(body, text)
				if err := op.new(response).(reader).UnmarshalGraphJSON(body, pb.GraphReadOptions{}); err != nil {
					t.Error(err)
				}
			})
			const limit = 100
			if got > limit {
				t.Errorf("%.0f allocations", got)
			}
			var dst []byte
			wire := testing.AllocsPerRun(2, func() {
				copy(body, text)
				var err error
				if dst, _, err = op.new(response).(wireReader).AppendGraphWire(dst[:0], body, pb.GraphReadOptions{}); err != nil {
					t.Error(err)
				}
			})
			if wire > 10 {
				t.Errorf("%.0f allocations on the wire path", wire)
			}
			t.Logf("%.0f allocations, %.0f on the wire path", got, wire)
		})
	}
}
