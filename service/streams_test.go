package service_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

// longProofs makes the proofs that take long as long as they are meant to be; CI runs their short form.
var longProofs = flag.Bool("long", false, "streams and waits: run the proofs in full length, on a quiet machine")

// unitPages is an upstream with pages of units.
type unitPages struct {
	pages, perPage int
	took           time.Duration
	// respond responds to the request for a page in the place of the page, if it likes.
	respond func(w http.ResponseWriter, page int) bool
	// padding makes a page larger.
	padding  string
	requests atomic.Int64
	mu       sync.Mutex
	tops     []string
}

func (u *unitPages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.requests.Add(1)
	page, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
	u.mu.Lock()
	u.tops = append(u.tops, r.URL.Query().Get("$top"))
	u.mu.Unlock()
	if u.took > 0 {
		timer := time.NewTimer(u.took)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("request-id", "0f0f0f0f-1111-4222-8333-444444444444")
	w.Header().Set("Date", "Thu, 26 Nov 2026 12:00:00 GMT")
	if u.respond != nil && u.respond(w, page) {
		return
	}
	var body strings.Builder
	body.WriteString(`{"value":[`)
	for i := range u.perPage {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"@odata.type":"#microsoft.graph.mailboxProtectionUnit","id":"%d","status":"protected","policyId":"p%s"}`, page*u.perPage+i, u.padding)
	}
	body.WriteString(`]`)
	if page+1 < u.pages {
		fmt.Fprintf(&body, `,"@odata.nextLink":"/v1.0/solutions/backupRestore/protectionUnits/microsoft.graph.mailboxProtectionUnit?$skiptoken=%d"`, page+1)
	}
	_, _ = io.WriteString(w, body.String()+"}")
}

// receive reads a stream from a token to its end. It returns the ids, the last token, and the error, nil for OK.
func receive(ctx context.Context, s *servicetest.Server, token string, upTo int) (ids []string, last string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewProtectionUnitStreamServiceClient(s.Conn).StreamMailboxProtectionUnits(ctx, &pb.ListMailboxProtectionUnitsRequest{PageToken: token})
	if err != nil {
		return nil, token, err
	}
	last = token
	for page := 0; page != upTo; page++ {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return ids, last, nil
		}
		if err != nil {
			return ids, last, err
		}
		for _, unit := range message.GetProtectionUnits() {
			ids = append(ids, unit.GetId())
		}
		last = message.GetNextPageToken()
	}
	return ids, last, nil
}

// allOnce fails unless the ids are 0 to n-1.
func allOnce(t *testing.T, ids []string, n int) {
	t.Helper()
	seen := make(map[string]bool)
	for _, id := range ids {
		seen[id] = true
	}
	if len(ids) != n || len(seen) != n {
		t.Errorf("%d ids, %d of them different, want %d", len(ids), len(seen), n)
	}
}

// A stream goes on where a list ended, and a list where a stream did.
func TestStreamsAndListsShareTheirTokens(t *testing.T) {
	u := &unitPages{pages: 7, perPage: 3}
	s := servicetest.NewOnHandler(t, u.ServeHTTP)
	ids, token, err := receive(s.Context(), s, "", 2)
	if err != nil || token == "" {
		t.Fatal(token, err)
	}
	list := pb.NewProtectionUnitServiceClient(s.Conn)
	for range 2 {
		page, err := list.ListMailboxProtectionUnits(s.Context(), &pb.ListMailboxProtectionUnitsRequest{PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, unit := range page.GetProtectionUnits() {
			ids = append(ids, unit.GetId())
		}
		token = page.GetNextPageToken()
	}
	rest, last, err := receive(s.Context(), s, token, -1)
	if err != nil || last != "" {
		t.Fatal(last, err)
	}
	allOnce(t, append(ids, rest...), 21)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tops[0] != "999" {
		t.Errorf("pages of %q were asked for", u.tops[0])
	}
	// The token of another list is refused, as the list refuses it.
	_, err = pb.NewProtectionUnitServiceClient(s.Conn).ListDriveProtectionUnits(s.Context(), &pb.ListDriveProtectionUnitsRequest{PageToken: token})
	stream, _ := pb.NewProtectionUnitStreamServiceClient(s.Conn).StreamDriveProtectionUnits(s.Context(), &pb.ListDriveProtectionUnitsRequest{PageToken: token})
	if _, streamed := stream.Recv(); failureOf(streamed).reason != "INVALID_PAGE_TOKEN" || failureOf(err).reason != "INVALID_PAGE_TOKEN" {
		t.Errorf("the list has %v, the stream %v", err, streamed)
	}
}

// The error of a page is that which the list has for it, to the byte and with its trailers, and the pages before it are
// good.
func TestStreamsHaveTheErrorsOfTheirLists(t *testing.T) {
	u := &unitPages{pages: 60, perPage: 2, respond: func(w http.ResponseWriter, page int) bool {
		if page != 49 {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":{"code":"accessDenied","message":"The units of this page are not for you."}}`)
		return true
	}}
	s := servicetest.NewOnHandler(t, u.ServeHTTP)
	ids, token, _ := receive(s.Context(), s, "", -1)
	allOnce(t, ids, 98)
	request := &pb.ListMailboxProtectionUnitsRequest{PageToken: token}
	listed := s.Try("ProtectionUnitService/ListMailboxProtectionUnits", request)
	stream, err := pb.NewProtectionUnitStreamServiceClient(s.Conn).StreamMailboxProtectionUnits(s.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	streamed := status.Convert(err).Proto()
	if listed.Reason() != "FORBIDDEN" || !bytes.Equal(encoded(t, listed.Status), encoded(t, streamed)) {
		t.Errorf("the list has %v\nthe stream %v", listed.Status, streamed)
	}
	for _, trailer := range []string{"x-upstream", "grpc-retry-pushback-ms"} {
		if list, stream := listed.Trailer.Get(trailer), stream.Trailer().Get(trailer); !slices.Equal(list, stream) {
			t.Errorf("%s: the list has %q, the stream %q", trailer, list, stream)
		}
	}
}

// encoded is a message as bytes. The details of a Status are bytes already.
func encoded(t *testing.T, message proto.Message) []byte {
	t.Helper()
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A throttle in the middle is waited for when there is time, and else told with the time to wait.
func TestStreamsWaitForThrottles(t *testing.T) {
	for name, test := range map[string]struct {
		deadline time.Duration
		pages    int
		reason   string
	}{
		"time enough":     {20 * time.Second, 5, ""},
		"no time for it":  {800 * time.Millisecond, 2, "TOO_MANY_REQUESTS"},
		"without a limit": {0, 5, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var throttled atomic.Bool
			u := &unitPages{pages: 5, perPage: 2, respond: func(w http.ResponseWriter, page int) bool {
				if page != 2 || throttled.Swap(true) {
					return false
				}
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}}
			s := servicetest.NewOnHandler(t, u.ServeHTTP)
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", s.Tenant)
			if test.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.deadline)
				defer cancel()
			}
			ids, _, err := receive(ctx, s, "", -1)
			allOnce(t, ids, 2*test.pages)
			if f := failureOf(err); f.reason != test.reason || (f.delay > 0) != (test.reason != "") {
				t.Errorf("%v", err)
			}
		})
	}
}

// A client that stops to read stops the reading of pages: one page is on its way to it, one is read ahead.
func TestSlowReadersStopTheReading(t *testing.T) {
	// A page has some 600 kB, and a client takes 64 KiB before it reads.
	u := &unitPages{pages: 1000, perPage: 200, padding: strings.Repeat("x", 3000)}
	s := servicetest.NewOnHandler(t, u.ServeHTTP)
	// A window that grows would take pages that the client has not read.
	conn, err := grpc.NewClient(s.Conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", s.Tenant), 2*time.Minute)
	defer cancel()
	stream, err := pb.NewProtectionUnitStreamServiceClient(conn).StreamMailboxProtectionUnits(ctx, &pb.ListMailboxProtectionUnitsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	const read = 3
	for range read {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the page ahead", func() bool { return u.requests.Load() >= read+2 })
	pause := time.Second
	if *longProofs {
		pause = time.Minute
	}
	// That nothing happens takes time to see.
	<-time.After(pause)
	if n := u.requests.Load(); n != read+2 {
		t.Errorf("%d pages were asked for, of which the client has read %d", n, read)
	}
	if held := s.Services.HeldBytes(); held > 4<<20 {
		t.Errorf("%d bytes are held", held)
	}
	if _, err := stream.Recv(); err != nil {
		t.Error(err)
	}
}

// A stream ends by its own clock, so that it can go on elsewhere.
func TestStreamsEndByTheirClock(t *testing.T) {
	u := &unitPages{pages: 40, perPage: 1, took: 10 * time.Millisecond}
	s := timedServer(t, u.ServeHTTP, 0, 120*time.Millisecond, 0)
	var ids []string
	token, ends := "", 0
	for {
		got, last, err := receive(s.Context(), s, token, -1)
		ids, token = append(ids, got...), last
		if err == nil {
			break
		}
		if f := failureOf(err); f.reason != "STREAM_RESUME" || f.delay < 500*time.Millisecond || f.delay > time.Second {
			t.Fatal(err)
		}
		ends++
	}
	allOnce(t, ids, 40)
	if ends < 2 {
		t.Errorf("it ended %d times", ends)
	}
	policy := &onePolicy{status: "updating"}
	s = timedServer(t, policy.ServeHTTP, 0, 120*time.Millisecond, 0)
	watch, err := pb.NewWatchServiceClient(s.Conn).WatchProtectionPolicy(s.Context(), &pb.WatchProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Error(err)
	}
	if _, err := watch.Recv(); failureOf(err).reason != "STREAM_RESUME" {
		t.Error(err)
	}
}

// When the server stops, streams and watches say that they can go on, and waits what they know, all within a second.
func TestDrainEndsWhatLasts(t *testing.T) {
	policy := &onePolicy{status: "updating"}
	units := &unitPages{pages: 1000, perPage: 1, took: 50 * time.Millisecond}
	s := servicetest.NewOnHandler(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "protectionUnits") {
			units.ServeHTTP(w, r)
			return
		}
		policy.ServeHTTP(w, r)
	})
	type end struct {
		what string
		err  error
		text string
	}
	ends := make(chan end, 3)
	go func() {
		_, token, err := receive(s.Context(), s, "", -1)
		ends <- end{"stream", err, token}
	}()
	watch, err := pb.NewWatchServiceClient(s.Conn).WatchProtectionPolicy(s.Context(), &pb.WatchProtectionPolicyRequest{ProtectionPolicyId: unknownPolicy})
	if err != nil {
		t.Fatal(err)
	}
	first, err := watch.Recv()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := watch.Recv()
		ends <- end{"watch", err, ""}
	}()
	go func() {
		got, err := waitPolicy(s, &pb.WaitProtectionPolicyRequest{Seen: first.GetRevision()})
		ends <- end{"wait", err, got.GetResult().String() + " " + got.GetProtectionPolicy().GetStatus().String()}
	}()
	eventually(t, "three that last", func() bool { return s.Services.WaitsInFlight() == 3 && units.requests.Load() > 3 })
	start := time.Now()
	s.Services.Drain()
	for range 3 {
		e := <-ends
		switch {
		case e.what == "wait" && (e.err != nil || e.text != "WAIT_RESULT_TIMED_OUT PROTECTION_POLICY_STATUS_UPDATING"),
			e.what != "wait" && failureOf(e.err).reason != "STREAM_RESUME",
			e.what == "stream" && e.text == "":
			t.Errorf("%+v", e)
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if n := s.Services.Polls().Readers; n > 0 {
		t.Errorf("%d still wait", n)
	}
}
