package servicetest

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// Context is the context of a call: it has the tenant and the user, and ends after 20 seconds.
func (s *Server) Context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	s.TB.Cleanup(cancel)
	if s.Tenant != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", s.Tenant)
	}
	if s.User != 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-user-assertion", emulator.UserAssertion(s.Tenant, s.User))
	}
	return ctx
}

// Call calls an rpc by its short name, such as `ProtectionPolicyService/GetProtectionPolicy`.
func (s *Server) Call(method string, request, response proto.Message) *Outcome {
	s.TB.Helper()
	return s.CallContext(s.Context(), method, request, response)
}

// CallContext is Call with a context of the caller's own. The context has to have the tenant.
func (s *Server) CallContext(ctx context.Context, method string, request, response proto.Message) *Outcome {
	s.TB.Helper()
	o := new(Outcome)
	err := s.Conn.Invoke(ctx, "/m365.backupstorage.v1."+method, request, response, grpc.Header(&o.Header), grpc.Trailer(&o.Trailer))
	if err != nil {
		o.Status = status.Convert(err).Proto()
	}
	return o
}

// Try calls an rpc whose response does not matter, usually one that fails. The call has two minutes: with less time
// than RetryInfo asks for, the server would tell the client not to retry.
func (s *Server) Try(method string, request proto.Message) *Outcome {
	s.TB.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), 2*time.Minute)
	defer cancel()
	// No field of the response is read, so any message can take it.
	return s.CallContext(ctx, method, request, new(emptypb.Empty))
}

// Must calls an rpc that has to succeed.
func Must[T any, R interface {
	*T
	proto.Message
}](s *Server, method string, request proto.Message) R {
	s.TB.Helper()
	response := R(new(T))
	if o := s.Call(method, request, response); o.Status != nil {
		s.TB.Fatalf("%s: %v", method, o.Status)
	}
	return response
}

// Raw sends a request past the server to the upstream, for what the contract cannot express. The path is relative to
// the API, such as `/restorePoints`. The upstream allows it everything.
func (s *Server) Raw(method, path, body string) (status int, response string) {
	s.TB.Helper()
	request, err := http.NewRequestWithContext(s.Context(), method, s.Endpoint+graph.Root+path, strings.NewReader(body))
	if err != nil {
		s.TB.Fatal(err)
	}
	token, err := graph.Unsigned{Lenient: true}.Token(s.Context(), graph.TokenRequest{Tenant: s.Tenant})
	if err != nil {
		s.TB.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		s.TB.Fatal(err)
	}
	defer r.Body.Close()
	var read bytes.Buffer
	if _, err := read.ReadFrom(r.Body); err != nil {
		s.TB.Fatal(err)
	}
	return r.StatusCode, read.String()
}

// Mark is the position at which the emulator's ledger ends now.
func (s *Server) Mark() uint64 { return s.Emulator.Ledger(0).Last }

// Requests returns the requests that the emulator received since a mark.
func (s *Server) Requests(since uint64) []emulator.Entry {
	var entries []emulator.Entry
	for _, entry := range s.Emulator.Ledger(since).Entries {
		if entry.Kind == emulator.EntryRequest {
			entries = append(entries, entry)
		}
	}
	return entries
}

// LastRequest returns the newest request since a mark. There has to be one.
func (s *Server) LastRequest(since uint64) emulator.Entry {
	s.TB.Helper()
	requests := s.Requests(since)
	if len(requests) == 0 {
		s.TB.Fatal("no request was sent")
	}
	return requests[len(requests)-1]
}

// Fault adds a fault to the emulator. It acts once, unless it says how many times.
func (s *Server) Fault(f emulator.Fault) {
	s.TB.Helper()
	if f.Times == 0 {
		f.Times = 1
	}
	if _, err := s.Emulator.AddFault(f); err != nil {
		s.TB.Fatal(err)
	}
}
