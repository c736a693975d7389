package graph

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// The transport's own time limits are context.DeadlineExceeded as well.
func TestATimeoutOfTheTransportIsNotTheCallersDeadline(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	for _, test := range []struct {
		name  string
		limit func(*connections)
		sent  bool
	}{
		{"no head in time", func(c *connections) {
			c.headTime = time.Millisecond
			c.get(time.Now()).writes.ResponseHeaderTimeout = time.Millisecond
		}, true},
		{"no connection in time", func(c *connections) {
			dialer := &net.Dialer{Timeout: time.Nanosecond}
			c.get(time.Now()).reads.DialContext, c.get(time.Now()).writes.DialContext = dialer.DialContext, dialer.DialContext
		}, false},
	} {
		for _, safe := range []bool{true, false} {
			t.Run(test.name, func(t *testing.T) {
				client, err := New(Options{Endpoint: server.URL, Tokens: Unsigned{}, Repeats: -1})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				test.limit(client.connections)
				// A distant deadline makes no difference.
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_, err = client.Do(ctx, &Request{Method: http.MethodPost, Target: Root, Safe: safe})
				var e *Error
				if !errors.As(err, &e) || e.Kind != KindUnreachable || e.Cause != CauseTimeout || e.Sent != (test.sent && !safe) {
					t.Errorf("got %+v", err)
				}
				if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v is no longer what this test is about", e.Err)
				}
			})
		}
	}
}

func TestADeadlineCountsBeforeTheContextNotices(t *testing.T) {
	ctx := passed{t.Context()}
	if e := transportError(ctx, context.DeadlineExceeded, true); e.Kind != KindDeadline || !e.Sent {
		t.Errorf("got %+v", e)
	}
	if e := transportError(ctx, errors.New("connection reset"), true); e.Kind != KindUnreachable || !e.Sent {
		t.Errorf("got %+v", e)
	}
}

// passed is a context past its deadline whose timer has not fired yet.
type passed struct{ context.Context }

func (passed) Deadline() (time.Time, bool) { return time.Now().Add(-time.Nanosecond), true }

func (passed) Err() error { return nil }

func TestARequestThatEndsInItsBodyKeepsTheHead(t *testing.T) {
	for _, status := range []int{200, 403} {
		for _, safe := range []bool{true, false} {
			ctx, cancel := context.WithCancel(t.Context())
			// No server knows when the client has read the head, so the body itself ends the request.
			_, err := readResponse(ctx, &http.Response{
				StatusCode: status, Header: http.Header{"Request-Id": {"graph-1"}}, ContentLength: 100, Body: endingBody(cancel),
			}, &Request{Safe: safe})
			want := KindCancelled
			if status == 403 {
				want = KindResponse
			}
			var e *Error
			if !errors.As(err, &e) || e.Kind != want || e.Status != status || e.RequestID != "graph-1" || e.Sent == safe {
				t.Errorf("%d: got %+v, want kind %d", status, err, want)
			}
		}
	}
}

// endingBody ends the request when it is read.
type endingBody context.CancelFunc

func (b endingBody) Read([]byte) (int, error) {
	b()
	return 0, context.Canceled
}

func (endingBody) Close() error { return nil }
