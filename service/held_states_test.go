package service_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// unitsOfAnySize is an upstream with units by any id, in a state that passes, with a body of so many bytes and more.
func unitsOfAnySize(padding int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		fmt.Fprintf(w, `{"@odata.type":"#microsoft.graph.mailboxProtectionUnit","id":%q,"status":"protectRequested","policyId":"p%s"}`, id, strings.Repeat("x", padding))
	}
}

func waitUnit(s *servicetest.Server, id string) (*pb.WaitProtectionUnitResponse, error) {
	return pb.NewProtectionUnitServiceClient(s.Conn).WaitProtectionUnit(s.Context(), &pb.WaitProtectionUnitRequest{
		ProtectionUnitId: id, MaxWait: durationpb.New(time.Second),
	})
}

// What the hub keeps counts among the bytes of responses. What finds no room there is not kept, and who waits for it
// hears that the server is overloaded.
func TestStatesCountAsResponseBytes(t *testing.T) {
	s := servicetest.NewOnHandler(t, unitsOfAnySize(50_000), func(o *service.Options) { o.MaxResponseBytes, o.OneTenant = 1<<20, true })
	kept := 0
	var err error
	for ; err == nil && kept < 100; kept++ {
		_, err = waitUnit(s, fmt.Sprintf("unit-%d", kept))
	}
	kept--
	// A tenant has half of the bytes, and each state takes some 100 kB.
	if e := failureOf(err); e.reason != "SERVER_OVERLOADED" || e.delay <= 0 || kept < 3 || kept > 8 {
		t.Errorf("%d states were kept, then %v", kept, err)
	}
	if held := s.Services.HeldBytes(); held < int64(kept)*100_000 || held > 1<<20 {
		t.Errorf("%d states are kept, and %d bytes held", kept, held)
	}
	// Those that have room are read again.
	if got, err := waitUnit(s, "unit-0"); err != nil || got.GetResult() != reached {
		t.Errorf("%v, %v", got.GetResult(), err)
	}
	s.Services.Drain()
	eventually(t, "nothing is held", func() bool { return s.Services.HeldBytes() == 0 })
}
