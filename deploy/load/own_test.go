package main

import (
	"os"
	"testing"
)

// A call's own time is what its client saw less what the log says of Graph; lines of other calls and of other times do
// not count.
func TestOwnTimesJoinLogAndClients(t *testing.T) {
	d := &desk{folder: t.TempDir()}
	before := `{"msg":"call","duration":9000000,"requestId":"` + idOf(6) + `","graphDuration":1000000}` + "\n"
	lines := before + `{"msg":"ready"}` + "\n" +
		`{"msg":"call","duration":5000000,"requestId":"` + idOf(7) + `","graphDuration":4000000}` + "\n" +
		`{"msg":"call","duration":9000000,"requestId":"11111111-2222-4333-8444-555555555555","graphDuration":0}` + "\n" +
		`{"msg":"call","duration":3000000,"requestId":"` + idOf(8) + `","graphDuration":1000000}` + "\n"
	if err := os.WriteFile(d.at("server.log"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &figures{window: &window{first: 7, inGRPC: []float32{14, 3}}}
	own, err := d.ownTimes(f, int64(len(before)))
	if err != nil || len(own.seen) != 2 || own.seen[0] != 2 || own.seen[1] != 10 || own.handled[0] != 1 || own.handled[1] != 2 {
		t.Errorf("%+v, %v", own, err)
	}
	// A call without a line is a call of which nothing is known.
	f.inGRPC = append(f.inGRPC, 1)
	if _, err := d.ownTimes(f, int64(len(before))); err == nil {
		t.Error("a call without a line is not missed")
	}
}
