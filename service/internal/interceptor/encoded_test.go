package interceptor

import (
	"testing"

	"github.com/m365backup/backupstorage/internal/buffers"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// A page of a stream is held until gRPC has written it, while the next one is read.
func TestStreamedPageIsHeldUntilWritten(t *testing.T) {
	all := wire.NewBytes(1000)
	ctx := &call{Context: t.Context(), shared: true, bytes: all, tenant: "tenant"}
	if TakesEncoded(ctx) {
		t.Error("a stream has no one response")
	}
	within, holding := NewPage(ctx)
	if !Grow(within, 300) {
		t.Fatal("no room")
	}
	page := buffers.Get(10)
	*page = append(*page, "a page"...)
	taken := false
	data, err := wire.Codec{}.Marshal(Out(ctx, Outgoing{Encoded: page}, holding, func() { taken = true }))
	if err != nil || string(data.Materialize()) != "a page" {
		t.Fatalf("%q, %v", data.Materialize(), err)
	}
	if all.Held() != int64(len("a page")) || taken {
		t.Errorf("%d bytes are held, taken: %v", all.Held(), taken)
	}
	next, _ := NewPage(ctx)
	Grow(next, 200)
	data.Free()
	if all.Held() != 200 || !taken {
		t.Errorf("%d bytes are held once the page is written, taken: %v", all.Held(), taken)
	}
}
