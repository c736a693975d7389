package service_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// The size of a page is `$top`, except where Microsoft's page says that the list supports no OData query options. It is
// checked everywhere.
func TestPageSizesAreSentWhereGraphTakesThem(t *testing.T) {
	var sent []string
	s := servicetest.NewOnHandler(t, func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.URL.Query().Get("$top"))
		io.WriteString(w, `{"value":[]}`)
	})
	noOptions := make(map[string]bool)
	for _, row := range table(t, "operations.tsv") {
		noOptions[row[1]] = row[9] == "none"
	}
	notSent := 0
	for _, rpc := range servicetest.RPCs(t) {
		size := rpc.Input().Fields().ByName("page_size")
		if size == nil {
			continue
		}
		want := "7"
		if noOptions[string(rpc.Name())] {
			want = ""
			notSent++
		}
		for _, c := range []struct {
			size   int32
			reason string
			sent   []string
		}{{0, "", []string{""}}, {7, "", []string{want}}, {-1, "INVALID_PAGE_SIZE", nil}} {
			sent = nil
			request, response := servicetest.NewMessage(t, rpc.Input()), servicetest.NewMessage(t, rpc.Output())
			for i := range rpc.Input().Fields().Len() {
				if field := rpc.Input().Fields().Get(i); field.Kind() == protoreflect.StringKind && !field.IsList() && field.Name() != "page_token" {
					request.ProtoReflect().Set(field, protoreflect.ValueOfString(unknown))
				}
			}
			request.ProtoReflect().Set(size, protoreflect.ValueOfInt32(c.size))
			o := s.Call(fmt.Sprintf("%s/%s", rpc.Parent().Name(), rpc.Name()), request, response)
			if o.Reason() != c.reason || fmt.Sprint(sent) != fmt.Sprint(c.sent) {
				t.Errorf("%s of %d: got %q and sent $top %q, want %q and %q", rpc.Name(), c.size, o.Reason(), sent, c.reason, c.sent)
			}
		}
	}
	if notSent != 7 {
		t.Errorf("%d lists without query options, want 7", notSent)
	}
}
