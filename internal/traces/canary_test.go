package traces

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// fill puts canaries into all texts of a message, and in one of each list.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		taken := field.ContainingOneof() != nil && m.WhichOneof(field.ContainingOneof()) != nil
		if field.Name() == "page_token" || field.IsMap() || taken {
			continue
		}
		text := protoreflect.ValueOfString(canary)
		switch isText := field.Kind() == protoreflect.StringKind; {
		case isText && field.IsList():
			m.Mutable(field).List().Append(text)
		case isText:
			m.Set(field, text)
		case field.Message() == nil || strings.HasPrefix(string(field.Message().FullName()), "google."):
		case field.IsList():
			fill(m.Mutable(field).List().AppendMutable().Message())
		default:
			fill(m.Mutable(field).Message())
		}
	}
}

// No span of any rpc has what its caller or Graph said, whether the call is OK, fails, or cannot be read.
func TestNoSpanHasACanary(t *testing.T) {
	c := new(collector)
	c.serve(t)
	bodies := []struct {
		status int
		body   string
	}{
		{200, `{"id":"` + canary + `","displayName":"` + canary + `","value":[{"id":"` + canary + `"}],"@odata.nextLink":"https://` + canary + `/"}`},
		{200, canary}, {302, ""}, {403, `{"error":{"code":"` + canary + `","message":"` + canary + `"}}`},
		{500, `{"error":{"code":"` + canary + `","message":"` + canary + `","innerError":{"request-id":"` + canary + `"}}}`},
	}
	var n atomic.Int64
	w := start(t, func(rw http.ResponseWriter, _ *http.Request) {
		one := bodies[int(n.Add(1))%len(bodies)]
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("Request-Id", canary)
		rw.Header().Set("Location", "https://"+canary+"/")
		rw.WriteHeader(one.status)
		io.WriteString(rw, one.body)
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", tenant, "x-user-assertion", assertion(), "x-request-id", graphID,
		"traceparent", forged, "tracestate", canary+"=1", "user-agent", canary)
	rpcs := 0
	protoregistry.GlobalFiles.RangeFilesByPackage(pb.File_m365_backupstorage_v1_backup_restore_proto.Package(), func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				method := methods.Get(j)
				rpcs++
				for range bodies {
					// A call that fails is as good as one that is OK. Without a deadline the waits would take as long as waits do.
					ctx, cancel := context.WithTimeout(ctx, time.Second/5)
					_ = w.conn.Invoke(ctx, fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name()), filled(t, method.Input(), true), filled(t, method.Output(), false))
					cancel()
				}
			}
		}
		return true
	})
	w.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	// Each rpc has sent something, or else the test proves nothing.
	if len(c.spans) < rpcs*len(bodies)*3/2 || rpcs < 90 {
		t.Errorf("%d spans of %d rpcs", len(c.spans), rpcs)
	}
	for _, span := range c.spans {
		if text := span.String(); strings.Contains(text, canary) || strings.Contains(text, tenant) || strings.Contains(text, "http://") {
			t.Fatalf("a span says who or what it is about: %s", text)
		}
	}
	if text := c.text.String(); strings.Contains(text, canary) || strings.Contains(text, tenant) {
		t.Error("a canary is beside the spans")
	}
}

// filled makes a message, with canaries or empty.
func filled(t *testing.T, of protoreflect.MessageDescriptor, full bool) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
	if err != nil {
		t.Fatal(err)
	}
	m := kind.New()
	if full {
		fill(m)
	}
	return m.Interface()
}
