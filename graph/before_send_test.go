package graph

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// asking is a write that notes when it is asked whether it may be sent.
func asking(s *script, asked *[]time.Duration, sendBy time.Duration, err error) *Request {
	request := newRequest(http.MethodPost)
	request.BeforeSend = func(context.Context) (time.Time, error) {
		*asked = append(*asked, time.Since(s.start))
		if sendBy == 0 {
			return time.Time{}, err
		}
		return time.Now().Add(sendBy), err
	}
	return request
}

// Each attempt is asked for, when it has waited as long as Graph wants, and none that is not sent.
func TestBeforeSendIsAskedBeforeEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(429, "Retry-After", "7"), reply(503, "Retry-After", "3"), reply(200))
		var asked []time.Duration
		if _, err := client.Do(t.Context(), asking(upstream, &asked, 0, nil)); err != nil {
			t.Fatal(err)
		}
		if len(upstream.sent) != 3 || !slices.Equal(asked, upstream.sent) {
			t.Errorf("asked after %v, sent after %v", asked, upstream.sent)
		}
	})
}

func TestBeforeSendKeepsARequestBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(200))
		var asked []time.Duration
		no := errors.New("no")
		_, err := client.Do(t.Context(), asking(upstream, &asked, 0, no))
		e := failure(t, err)
		if e == nil || e.Kind != KindHeldBack || !errors.Is(e, no) || e.ResponseLost() || len(asked) != 1 || len(upstream.sent) != 0 {
			t.Errorf("asked %d times, sent %d requests: %+v", len(asked), len(upstream.sent), e)
		}
		// The throttles do not wait for it.
		if _, err := client.Do(t.Context(), newRequest(http.MethodPost)); err != nil {
			t.Error(err)
		}
	})
}

// A request that the client itself refuses, since Graph throttles its tenant, is not asked for.
func TestBeforeSendIsNotAskedWhileGraphThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(429, "Retry-After", "600"))
		if _, err := client.Do(t.Context(), newRequest(http.MethodPost)); failure(t, err) == nil {
			t.Fatal("it was not throttled")
		}
		sent := len(upstream.sent)
		var asked []time.Duration
		_, err := client.Do(t.Context(), asking(upstream, &asked, 0, nil))
		if e := failure(t, err); e == nil || e.Kind == KindHeldBack || len(asked) != 0 || len(upstream.sent) != sent {
			t.Errorf("asked %d times, sent %d requests: %+v", len(asked), len(upstream.sent)-sent, e)
		}
	})
}

// A write that gets no connection in its time is given up as not sent. One that has one waits for its response.
func TestAWriteIsSentInItsTimeOrNever(t *testing.T) {
	for name, c := range map[string]struct {
		connected bool
		took      time.Duration
	}{
		"no connection": {false, 2 * time.Second},
		"a connection":  {true, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, upstream := responding(t, reply(200))
				client.roundTrip = func(request *http.Request, _ way) (*http.Response, error) {
					if c.connected {
						httptrace.ContextClientTrace(request.Context()).GotConn(httptrace.GotConnInfo{})
					}
					select {
					case <-time.After(time.Minute):
						return reply(200)()
					case <-request.Context().Done():
						return nil, request.Context().Err()
					}
				}
				client.repeats = 0
				var asked []time.Duration
				got := <-begin(t, t.Context(), client, asking(upstream, &asked, 2*time.Second, nil))
				if got.took != c.took || (got.err == nil) != c.connected {
					t.Fatalf("after %v: %+v", got.took, got.err)
				}
				if got.err != nil && (got.err.Sent || got.err.ResponseLost()) {
					t.Errorf("it counts as sent: %+v", got.err)
				}
			})
		})
	}
}
