package graph

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/m365backup/backupstorage/graph/internal/throttle"
)

// script is an upstream in memory that sends the next of its responses to each request, and then repeats the last one.
type script struct {
	responses []func() (*http.Response, error)
	// sent are the times of the requests by the bubble's clock, since its start; fresh says which had to have a
	// connection of their own.
	sent   []time.Duration
	fresh  []bool
	tokens []string
	start  time.Time
}

// responding makes a client of a script, without jitter.
func responding(t *testing.T, responses ...func() (*http.Response, error)) (*Client, *script) {
	t.Helper()
	client, err := New(Options{Endpoint: "https://graph.example/v1.0", Tokens: Unsigned{}})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{responses: responses, start: time.Now()}
	client.jitter = func() float64 { return 0 }
	client.roundTrip = func(request *http.Request, way way) (*http.Response, error) {
		n := min(len(s.sent), len(s.responses)-1)
		s.sent = append(s.sent, time.Since(s.start))
		s.fresh = append(s.fresh, way.fresh)
		s.tokens = append(s.tokens, request.Header.Get("Authorization"))
		return s.responses[n]()
	}
	return client, s
}

func reply(status int, headers ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		header := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
		for i := 0; i < len(headers); i += 2 {
			header.Add(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: header, ContentLength: 2, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	}
}

// replyWith is reply with a body.
func replyWith(status int, body string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		response, err := reply(status)()
		response.ContentLength, response.Body = -1, io.NopCloser(strings.NewReader(body))
		return response, err
	}
}

// gone is how Graph responds for a resource that it does not know.
func gone() (*http.Response, error) {
	return replyWith(404, `{"error":{"code":"PolicyNotFound"}}`)()
}

func cut() (*http.Response, error) { return nil, errors.New("connection reset") }

const (
	testTenant  = "0f6b1d1c-7a4b-4d55-9a31-6c1f0a3f2b11"
	otherTenant = "11111111-2222-4333-8444-555555555555"
)

func newRequest(method string) *Request {
	return &Request{Method: method, Target: Root, Tenant: testTenant, RequestID: "1", Safe: method == http.MethodGet}
}

func readOf(tenant string) *Request {
	return &Request{Method: http.MethodGet, Target: Root, Tenant: tenant, RequestID: "1", Safe: true}
}

// outcome is how a request ended, and after how long.
type outcome struct {
	err  *Error
	took time.Duration
}

// begin starts a request and returns when it is sent, refused or waiting.
func begin(t *testing.T, ctx context.Context, client *Client, request *Request) <-chan outcome {
	ended := make(chan outcome, 1)
	start := time.Now()
	go func() {
		_, err := client.Do(ctx, request)
		ended <- outcome{failure(t, err), time.Since(start)}
	}()
	synctest.Wait()
	return ended
}

// failure returns the *Error of a request that failed, nil for one that did not.
func failure(t *testing.T, err error) *Error {
	t.Helper()
	var failed *Error
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("got %v, want a *Error", err)
	}
	return failed
}

func TestARepeatWaitsAsLongAsGraphAsks(t *testing.T) {
	at := func(offset, clock time.Duration) []string {
		date := time.Now().Add(clock)
		return []string{"Date", date.UTC().Format(http.TimeFormat), "Retry-After", date.Add(offset).UTC().Format(http.TimeFormat)}
	}
	for _, test := range []struct {
		name    string
		headers func() []string
		// wait is that of a 503. throttled is that of a 429 when it differs, since throttles have a default.
		wait, throttled time.Duration
	}{
		{"whole seconds", func() []string { return []string{"Retry-After", "2"} }, 2 * time.Second, 0},
		{"less than a second", func() []string { return []string{"Retry-After", "0.4"} }, 400 * time.Millisecond, 0},
		{"a fraction", func() []string { return []string{"Retry-After", "2.128"} }, 2128 * time.Millisecond, 0},
		{"a date", func() []string { return at(3*time.Second, 0) }, 3 * time.Second, 0},
		{"a date by a clock an hour ahead", func() []string { return at(3*time.Second, time.Hour) }, 3 * time.Second, 0},
		{"a date by a clock a day behind", func() []string { return at(3*time.Second, -24*time.Hour) }, 3 * time.Second, 0},
		{"a past date", func() []string { return at(-3*time.Second, 0) }, 0, throttle.DefaultWait},
		{"negative", func() []string { return []string{"Retry-After", "-5"} }, 0, throttle.DefaultWait},
		{"a word", func() []string { return []string{"Retry-After", "soon"} }, 0, throttle.DefaultWait},
		{"two headers", func() []string { return []string{"Retry-After", "2", "Retry-After", "5"} }, 5 * time.Second, 0},
		{"two values in one header", func() []string { return []string{"Retry-After", "5, 2"} }, 5 * time.Second, 0},
		{"missing", func() []string { return nil }, 0, throttle.DefaultWait},
	} {
		for _, status := range []int{429, 503, 509} {
			t.Run(test.name+" "+http.StatusText(status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, upstream := responding(t, refusing(status, test.headers()), reply(200))
					if _, err := client.Do(t.Context(), newRequest(http.MethodGet)); err != nil {
						t.Fatal(err)
					}
					want := test.wait
					if status != 503 && test.throttled != 0 {
						want = test.throttled
					}
					if len(upstream.sent) != 2 || upstream.sent[1] != want {
						t.Errorf("sent at %v, want the second at %v", upstream.sent, want)
					}
				})
			})
		}
	}
}

// TestARetryAfterOfDaysIsBelievedForAnHour has waits of more than an hour. The next request goes out after an hour.
func TestARetryAfterOfDaysIsBelievedForAnHour(t *testing.T) {
	for name, value := range map[string]func() string{
		"seconds":  func() string { return "7200" },
		"fraction": func() string { return "86400.5" },
		"date":     func() string { return time.Now().Add(48 * time.Hour).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, upstream := responding(t, reply(429, "Retry-After", value()), reply(200))
				for time.Since(upstream.start) <= time.Hour {
					client.Do(t.Context(), newRequest(http.MethodGet))
					time.Sleep(time.Second)
				}
				if len(upstream.sent) != 2 || upstream.sent[1] < time.Hour {
					t.Errorf("sent at %v", upstream.sent)
				}
			})
		})
	}
}

// refusing is reply with headers that may replace the Date.
func refusing(status int, headers []string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		response, err := reply(status)()
		for i := 0; i < len(headers); i += 2 {
			if headers[i] == "Date" {
				response.Header.Del("Date")
			}
			response.Header.Add(headers[i], headers[i+1])
		}
		return response, err
	}
}

func TestAWaitThatDoesNotFitEndsTheRequestAtOnce(t *testing.T) {
	for _, test := range []struct {
		name, retryAfter string
		deadline         time.Duration
		repeated         bool
	}{
		{"315 s of 20 s", "315", 20 * time.Second, false},
		{"315 s of an hour", "315", time.Hour, false},
		{"10 s of a minute", "10", time.Minute, true},
		{"2 s and an attempt of 2.1 s", "2", 2100 * time.Millisecond, true},
		{"2 s without time for an attempt", "2", 2099 * time.Millisecond, false},
	} {
		for _, status := range []int{429, 503} {
			t.Run(test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, upstream := responding(t, reply(status, "Retry-After", test.retryAfter), reply(200))
					ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
					defer cancel()
					_, err := client.Do(ctx, newRequest(http.MethodPost))
					if test.repeated {
						if err != nil || len(upstream.sent) != 2 {
							t.Errorf("got %v after requests at %v", err, upstream.sent)
						}
						return
					}
					if e := failure(t, err); e == nil || e.Status != status || !e.HasRetryAfter || time.Since(upstream.start) != 0 {
						t.Errorf("got %+v after %v", e, time.Since(upstream.start))
					}
				})
			})
		}
	}
}

func TestOnlyWhatDoesNoHarmIsRepeated(t *testing.T) {
	refused := func() (*http.Response, error) { return nil, errors.New("connection refused") }
	sent := map[string]map[string]int{
		// The key is what happens, the values are the numbers of requests for a read, a DELETE and a POST.
		"429":         {"GET": 3, "DELETE": 3, "POST": 3},
		"509":         {"GET": 3, "DELETE": 3, "POST": 3},
		"503 after 1": {"GET": 3, "DELETE": 3, "POST": 3},
		"503":         {"GET": 3, "DELETE": 3, "POST": 1},
		"502":         {"GET": 3, "DELETE": 3, "POST": 1},
		"504":         {"GET": 3, "DELETE": 3, "POST": 1},
		"408":         {"GET": 3, "DELETE": 3, "POST": 1},
		"500":         {"GET": 1, "DELETE": 1, "POST": 1},
		"404":         {"GET": 1, "DELETE": 1, "POST": 1},
		"302":         {"GET": 1, "DELETE": 1, "POST": 1},
		"refused":     {"GET": 3, "DELETE": 3, "POST": 3},
		"409":         {"GET": 1, "DELETE": 1, "POST": 1},
		"lost race":   {"GET": 3, "DELETE": 3, "POST": 3},
		"inner":       {"GET": 3, "DELETE": 3, "POST": 3},
		"outer":       {"GET": 1, "DELETE": 1, "POST": 1},
		"another way": {"GET": 1, "DELETE": 1, "POST": 1},
	}
	responses := map[string]func() (*http.Response, error){
		"429": reply(429, "Retry-After", "1"), "509": reply(509, "Retry-After", "1"), "503 after 1": reply(503, "Retry-After", "1"),
		"503": reply(503), "502": reply(502), "504": reply(504), "408": reply(408), "500": reply(500), "404": reply(404),
		"302": reply(302), "refused": refused, "409": replyWith(409, `{"error":{"code":"Conflict"}}`),
		"lost race":   replyWith(409, `{"error":{"code":"directory_concurrencyviolation"}}`),
		"inner":       replyWith(409, `{"error":{"code":"Conflict","innerError":{"code":"Directory_ConcurrencyViolation"}}}`),
		"outer":       replyWith(409, `{"error":{"code":"Directory_ConcurrencyViolation","innerError":{"code":"PolicySaveFailed"}}}`),
		"another way": replyWith(500, `{"error":{"code":"Directory_ConcurrencyViolation"}}`),
	}
	for what, counts := range sent {
		for method, want := range counts {
			t.Run(what+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, upstream := responding(t, responses[what])
					_, err := client.Do(t.Context(), newRequest(method))
					if e := failure(t, err); e == nil || len(upstream.sent) != want {
						t.Errorf("sent %d requests, want %d; %+v", len(upstream.sent), want, e)
					}
				})
			})
		}
	}
}

func TestBackoffDoublesAndIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(503))
		client.jitter = func() float64 { return 0.5 }
		client.Do(t.Context(), newRequest(http.MethodGet))
		if len(upstream.sent) != 3 || upstream.sent[1] != 250*time.Millisecond || upstream.sent[2] != 750*time.Millisecond {
			t.Errorf("sent at %v", upstream.sent)
		}
		client, upstream = responding(t, reply(503, "Retry-After", "2"), reply(200))
		client.jitter = func() float64 { return 0.5 }
		if _, err := client.Do(t.Context(), newRequest(http.MethodGet)); err != nil || upstream.sent[1] != 2200*time.Millisecond {
			t.Errorf("sent at %v, error %v", upstream.sent, err)
		}
	})
}

func TestTheRepeatAfterA503GoesOverAConnectionOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(503), reply(502), reply(200))
		if _, err := client.Do(t.Context(), newRequest(http.MethodGet)); err != nil {
			t.Fatal(err)
		}
		if len(upstream.fresh) != 3 || upstream.fresh[0] || !upstream.fresh[1] || upstream.fresh[2] {
			t.Errorf("fresh: %v", upstream.fresh)
		}
	})
}

func TestTheCallerCanGiveUpWhileTheServerWaits(t *testing.T) {
	for _, status := range []int{429, 503} {
		synctest.Test(t, func(t *testing.T) {
			client, upstream := responding(t, reply(status, "Retry-After", "5"))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := client.Do(ctx, newRequest(http.MethodPost))
			if e := failure(t, err); e == nil || e.Kind != KindCancelled || e.Sent || time.Since(upstream.start) != time.Second {
				t.Errorf("%d: got %+v after %v", status, e, time.Since(upstream.start))
			}
		})
	}
}

func TestA404AfterAnOwnLostDeleteIsSuccess(t *testing.T) {
	race := replyWith(409, `{"error":{"code":"Directory_ConcurrencyViolation"}}`)
	for _, test := range []struct {
		name      string
		responses []func() (*http.Response, error)
		ok        bool
		status    int
		lost      bool
	}{
		{"lost, then gone", []func() (*http.Response, error){reply(504), gone}, true, 0, false},
		{"lost twice, then gone", []func() (*http.Response, error){reply(504), reply(502), gone}, true, 0, false},
		{"unavailable, then gone", []func() (*http.Response, error){reply(503), gone}, true, 0, false},
		{"refused, then gone", []func() (*http.Response, error){reply(503, "Retry-After", "1"), gone}, false, 404, false},
		{"throttled, then gone", []func() (*http.Response, error){reply(429, "Retry-After", "1"), gone}, false, 404, false},
		{"gone", []func() (*http.Response, error){gone}, false, 404, false},
		{"lost, then a gateway that knows no such path", []func() (*http.Response, error){reply(504), reply(404)}, false, 504, false},
		{"lost, then not allowed", []func() (*http.Response, error){reply(504), reply(403)}, false, 403, true},
		{"lost race, then gone", []func() (*http.Response, error){race, gone}, false, 404, false},
		{"lost, then lost races", []func() (*http.Response, error){reply(504), race}, false, 504, false},
		{"lost, then throttled for long", []func() (*http.Response, error){reply(504), reply(429, "Retry-After", "300")}, false, 504, false},
		{"lost three times", []func() (*http.Response, error){reply(504), reply(502), reply(408)}, false, 504, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, _ := responding(t, test.responses...)
				_, err := client.Do(t.Context(), newRequest(http.MethodDelete))
				e := failure(t, err)
				if test.ok != (e == nil) || e != nil && (e.Status != test.status || e.Lost != test.lost || !e.Sent) {
					t.Errorf("got %+v", e)
				}
			})
		})
	}
}

func TestAnOutageIsNotMultiplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, reply(503))
		const calls = 1000
		for range calls {
			client.Do(t.Context(), newRequest(http.MethodGet))
		}
		if got := len(upstream.sent); got > calls*11/10+20 || got < calls {
			t.Errorf("%d calls became %d requests", calls, got)
		}
	})
}

func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	const claims = `{"access_token":{"nbf":{"essential":true,"value":"1702682181"}}}`
	challenge := `Bearer realm="", authorization_uri="https://login.example/common", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNzAyNjgyMTgxIn19fQ=="`
	for _, test := range []struct {
		name      string
		responses []func() (*http.Response, error)
		claims    string
		status    int
		sent      int
	}{
		{"expired", []func() (*http.Response, error){reply(401), reply(200)}, "", 0, 2},
		{"claims", []func() (*http.Response, error){reply(401, "WWW-Authenticate", challenge), reply(200)}, claims, 0, 2},
		{"claims by 403", []func() (*http.Response, error){reply(403, "WWW-Authenticate", challenge), reply(200)}, claims, 0, 2},
		{"twice", []func() (*http.Response, error){reply(401), reply(401)}, "", 401, 2},
		{"claims twice", []func() (*http.Response, error){reply(403, "WWW-Authenticate", challenge)}, claims, 403, 2},
		{"403 without a challenge", []func() (*http.Response, error){reply(403)}, "", 403, 1},
		{"then throttled", []func() (*http.Response, error){reply(401), reply(429, "Retry-After", "1"), reply(200)}, "", 0, 3},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, upstream := responding(t, test.responses...)
					tokens := new(askedTokens)
					client.tokens = tokens
					_, err := client.Do(t.Context(), newRequest(method))
					if e := failure(t, err); (e == nil) != (test.status == 0) || e != nil && (e.Status != test.status || e.InsufficientClaims != (test.claims != "")) {
						t.Errorf("got %+v", e)
					}
					if len(upstream.sent) != test.sent {
						t.Errorf("sent %d requests, want %d", len(upstream.sent), test.sent)
					}
					if test.sent == 1 {
						return
					}
					want := TokenRequest{Tenant: testTenant, RequestID: newRequest(method).RequestID, Refused: "token-1", Claims: test.claims}
					if got := (*tokens)[1]; got != want || upstream.tokens[1] != "Bearer token-2" {
						t.Errorf("asked for %+v and sent %q", got, upstream.tokens[1])
					}
				})
			})
		}
	}
}

// askedTokens returns token-1, token-2 and so on.
type askedTokens []TokenRequest

func (a *askedTokens) Token(_ context.Context, request TokenRequest) (string, error) {
	*a = append(*a, request)
	return "token-" + string(rune('0'+len(*a))), nil
}

func TestAnUpstreamThatIsNotThereIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, upstream := responding(t, cut, cut, reply(200))
		if _, err := client.Do(t.Context(), newRequest(http.MethodGet)); err != nil || len(upstream.sent) != 3 {
			t.Errorf("got %v after %d requests", err, len(upstream.sent))
		}
	})
}

// TestATenantThatOnlyFailsSpendsItsOwnRepeats has a tenant, or many that were never seen before, that get only 502.
func TestATenantThatOnlyFailsSpendsItsOwnRepeats(t *testing.T) {
	for _, tenants := range []int{1, 10_000} {
		t.Run(strconv.Itoa(tenants)+" tenants", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, _ := responding(t, reply(200))
				lost := false
				client.roundTrip = func(request *http.Request, _ way) (*http.Response, error) {
					if !strings.HasSuffix(request.URL.Path, "/y") || lost {
						lost = false
						return reply(502)()
					}
					return reply(200)()
				}
				send := func(tenant, path string) error {
					_, err := client.Do(t.Context(), &Request{Method: http.MethodGet, Target: Root + path, Tenant: tenant, Safe: true})
					return err
				}
				saved, other := 0, 0
				if err := send("y", "/y"); err != nil {
					t.Fatal(err)
				}
				for range 10 {
					for range 2000 {
						if other++; send(strconv.Itoa(other%tenants), "/x") == nil {
							t.Error("a 502 was a success")
						}
					}
					lost = true
					if send("y", "/y") == nil {
						saved++
					}
				}
				if saved != 10 {
					t.Errorf("%d of 10 reads were saved by a repeat", saved)
				}
			})
		})
	}
}
