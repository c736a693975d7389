package idempotency

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
	"time"
)

var whole = Record{
	State: Done, Fence: 3, Owner: [16]byte{1, 2, 3}, Request: [32]byte{4, 5}, SentAfter: time.Unix(1_900_000_000, 5), ID: "policy-1",
	Items: []Item{{List: 2, ID: "u1", ContentID: "1", Removed: true, Reason: "PROTECTION_UNIT_NOT_FOUND"}, {List: 3}},
}

// golden is the record above as the first version of this layout wrote it. It must stay readable.
const golden = "01000000000000000304" + "01020300000000000000000000000000" +
	"0405000000000000000000000000000000000000000000000000000000000000" +
	"0109" + "8a80f093defb93de34"

func TestRecordsKeepTheirForm(t *testing.T) {
	encoded := whole.encode()
	got, err := decode(encoded)
	if err != nil || !reflect.DeepEqual(got, &whole) {
		t.Fatalf("%v: %+v", err, got)
	}
	old, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(encoded, old) {
		t.Errorf("a record begins with\n%x, want\n%x", encoded[:len(old)], old)
	}
	r, err := decode(old)
	if err != nil || r.State != Done || r.Fence != 3 || !r.SentAfter.Equal(whole.SentAfter) {
		t.Errorf("%v: %+v", err, r)
	}
}

// What the next version adds is skipped by this one.
func TestFieldsOfLaterVersionsAreSkipped(t *testing.T) {
	later := appendField(whole.encode(), 200, []byte("new"))
	later = appendField(later, fieldItem, appendField(appendField(nil, itemList, []byte{9}), 77, []byte("new")))
	r, err := decode(later)
	if err != nil || r.ID != whole.ID || len(r.Items) != 3 || r.Items[2].List != 9 {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	encoded := whole.encode()
	for n := range encoded {
		if n > atFields {
			// A cut between two fields leaves a record without the later ones, which nobody can tell.
			_, _ = decode(encoded[:n])
			continue
		}
		if _, err := decode(encoded[:n]); n < atFields && err == nil {
			t.Errorf("%d bytes are a record", n)
		}
	}
	for at, value := range map[int]byte{0: 2, atState: 5} {
		other := bytes.Clone(encoded)
		other[at] = value
		if _, err := decode(other); err == nil {
			t.Errorf("byte %d can be %d", at, value)
		}
	}
}

func TestExpiredKeys(t *testing.T) {
	now := time.UnixMilli(0x018f_0000_0000).Add(Kept)
	for key, want := range map[string]bool{
		"018f0000-0000-7000-8000-000000000000": false,
		"018effff-ffff-7000-8000-000000000000": true,
		"018effff-ffff-4000-8000-000000000000": false,
		"00000000-0000-7000-8000-000000000000": true,
	} {
		if got := Expired(key, now); got != want {
			t.Errorf("%s: %v", key, got)
		}
	}
}

// No two scopes share a record.
func TestIDsOfScopes(t *testing.T) {
	seen := make(map[ID]int)
	for i, s := range []Scope{
		{}, {Upstream: "a"}, {Application: "a"}, {Identity: "a"}, {Principal: "a"}, {Tenant: "a"}, {RPC: "a"}, {Upstream: "ab"}, {Upstream: "a", Application: "b"},
	} {
		seen[NewID(s, "k")]++
		if seen[NewID(s, "k")] > 1 {
			t.Errorf("scope %d shares its record", i)
		}
	}
}
