package service_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// firstHeaders makes a call in frames of HTTP/2. It returns whether the first frame of headers in the response ends the
// stream, and its fields.
func firstHeaders(s *servicetest.Server, method string, request proto.Message) (ends bool, fields map[string]string) {
	s.TB.Helper()
	conn, err := net.Dial("tcp", s.Conn.Target())
	if err != nil {
		s.TB.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.TB.Fatal(err)
	}
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		s.TB.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		s.TB.Fatal(err)
	}

	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/m365.backupstorage.v1." + method}, {":authority", s.Conn.Target()},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"x-tenant-id", s.Tenant},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			s.TB.Fatal(err)
		}
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		s.TB.Fatal(err)
	}
	message, err := proto.Marshal(request)
	if err != nil {
		s.TB.Fatal(err)
	}
	// A gRPC message: a byte for "not compressed", its length, its bytes.
	framed := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	if err := framer.WriteData(1, true, append(framed, message...)); err != nil {
		s.TB.Fatal(err)
	}

	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			s.TB.Fatal(err)
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			fields = map[string]string{}
			for _, field := range f.Fields {
				fields[field.Name] = field.Value
			}
			return f.StreamEnded(), fields
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			s.TB.Fatalf("the server responded with %v", f.Header())
		}
	}
}

// A runtime takes headers for the start of a response, and retries nothing that has started.
func TestAnErrorIsOneFrameOfHeaders(t *testing.T) {
	s := servicetest.New(t)
	t.Run("a good response is not", func(t *testing.T) {
		if ends, fields := firstHeaders(s, "BackupRestoreService/GetBackupRestore", new(pb.GetBackupRestoreRequest)); ends || fields["grpc-status"] != "" {
			t.Errorf("a good response is seen as one: %v", fields)
		}
	})

	// This is longer than a call may take, so the response comes at once.
	late := []string{"300"}
	s.Fault(emulator.Fault{Operation: "GET /protectionPolicies", Status: http.StatusTooManyRequests, RetryAfter: late})
	s.Fault(emulator.Fault{Operation: "GET /serviceApps", Status: http.StatusServiceUnavailable, RetryAfter: late})
	s.Fault(emulator.Fault{Operation: "POST /exchangeProtectionPolicies", Cut: "after"})
	for _, c := range []struct {
		name, method string
		request      proto.Message
		code         string
		pushback     bool
	}{
		{"refused before anything was sent", "ProtectionPolicyService/GetProtectionPolicy", new(pb.GetProtectionPolicyRequest), "3", false},
		{"not found", "ProtectionPolicyService/GetProtectionPolicy", &pb.GetProtectionPolicyRequest{ProtectionPolicyId: "00000000-0000-4000-8000-000000000404"}, "5", false},
		{"unavailable", "ServiceAppService/ListServiceApps", new(pb.ListServiceAppsRequest), "14", true},
		// From here on the server itself refuses reads of the tenant.
		{"throttled", "ProtectionPolicyService/ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest), "8", true},
		{"outcome unknown", "ProtectionPolicyService/CreateExchangeProtectionPolicy", &pb.CreateExchangeProtectionPolicyRequest{DisplayName: "Mail"}, "2", true},
		{"no such method", "ProtectionPolicyService/Nothing", new(pb.GetProtectionPolicyRequest), "12", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ends, fields := firstHeaders(s, c.method, c.request)
			if !ends {
				t.Errorf("the first headers do not end the stream: %v", fields)
			}
			if fields["grpc-status"] != c.code || fields["grpc-status-details-bin"] == "" {
				t.Errorf("grpc-status is %q, want %q with details: %v", fields["grpc-status"], c.code, fields)
			}
			if has := fields["grpc-retry-pushback-ms"] != ""; has != c.pushback {
				t.Errorf("grpc-retry-pushback-ms is %q", fields["grpc-retry-pushback-ms"])
			}
		})
	}
}
