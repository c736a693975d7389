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
	c := &call{holding: all.Hold("tenant"), deadline: time.Now().Add(time.Minute)}
	ctx := context.WithValue(t.Context(), callKey{}, c)
	if TakesEncoded(ctx) {
		t.Error("a stream has no one response")
	}
	if !c.holding.Grow(300) {
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
	c.holding.Grow(200)
	data.Free()
	if all.Held() != 200 {
		t.Errorf("%d bytes are held once the page is written", all.Held())
	}
	if Streamed(context.Background(), page) != nil {
		t.Error("there is no call")
	}
}
