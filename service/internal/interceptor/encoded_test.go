package interceptor

import (
	"context"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/internal/buffers"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// A page of a stream takes the place of the bytes of Graph's response until gRPC has written it.
func TestStreamedPageIsHeldUntilWritten(t *testing.T) {
	all := wire.NewBytes(1000)
	ctx := &call{Context: t.Context(), shared: true, deadline: time.Now().Add(time.Minute)}
	all.Hold(&ctx.holding, "tenant")
	if TakesEncoded(ctx) {
		t.Error("a stream has no one response")
	}
	if !ctx.holding.Grow(300) {
		t.Fatal("no room")
	}
	page := buffers.Get(10)
	*page = append(*page, "a page"...)
	data, err := wire.Codec{}.Marshal(Streamed(ctx, page))
	if err != nil || string(data.Materialize()) != "a page" {
		t.Fatalf("%q, %v", data.Materialize(), err)
	}
	if all.Held() != int64(len("a page")) {
		t.Errorf("%d bytes are held", all.Held())
	}
	// The next page of Graph's is read meanwhile.
	ctx.holding.Grow(200)
	data.Free()
	if all.Held() != 200 {
		t.Errorf("%d bytes are held once the page is written", all.Held())
	}
	if Streamed(context.Background(), page) != nil {
		t.Error("there is no call")
	}
}
