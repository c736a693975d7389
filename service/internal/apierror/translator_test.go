package apierror

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

const getPolicy = "/m365.backupstorage.v1.ProtectionPolicyService/GetProtectionPolicy"

func TestCallEndedWithinAResponseKeepsItsHead(t *testing.T) {
	translator, c := steady(t)
	op := c.OfMethod(getPolicy)
	meta := graph.Meta{Status: 200, RequestID: "graph-1", Date: time.Unix(0, 0)}
	for _, kind := range []graph.Kind{graph.KindDeadline, graph.KindCancelled} {
		f := translator.Translate(op, nil, "own", &graph.Error{Kind: kind, Meta: meta})
		if f.metadata["httpStatus"] != "200" || f.metadata["graphRequestId"] != "graph-1" || f.requestID != "graph-1" {
			t.Errorf("%s: %v, request id %q", f.Reason(), f.metadata, f.requestID)
		}
	}
}

func TestCallThatCannotBeSentIsAnIncident(t *testing.T) {
	translator, _ := steady(t)
	f := translator.Translate(nil, nil, "own", &graph.Error{Kind: graph.KindInvalidRequest})
	if f.Code() != codes.Internal || f.metadata["incident"] == "" {
		t.Errorf("got %v %v", f.Code(), f.metadata)
	}
}

func TestDelayWithoutTokenIsThatOfTheAuthority(t *testing.T) {
	translator, _ := steady(t)
	for told, want := range map[time.Duration]time.Duration{
		0:                      5 * time.Second, // The default of the contract.
		42 * time.Second:       42 * time.Second,
		100 * time.Millisecond: MinRetryDelay,
	} {
		cause := fmt.Errorf("asking: %w", &graph.TokenError{Kind: graph.TokenUnavailable, RetryAfter: told})
		f := translator.Translate(nil, nil, "", &graph.Error{Kind: graph.KindToken, Token: graph.TokenUnavailable, Err: cause})
		if f.retryDelay != want {
			t.Errorf("left alone for %v: delay %v, want %v", told, f.retryDelay, want)
		}
	}
}

// A connection that would fail again in the same way has no RetryInfo, whether it is one to Graph or to the authority.
func TestWhichConnectionsAreTriedAgain(t *testing.T) {
	translator, _ := steady(t)
	for cause, again := range map[graph.Cause]bool{
		graph.CauseDNS: false, graph.CauseTLSUnknownAuthority: false, graph.CauseTLSExpired: false, graph.CauseTLSName: false,
		graph.CauseTLSOther: false, graph.CauseProxyAuthentication: false,
		graph.CauseRefused: true, graph.CauseReset: true, graph.CauseTimeout: true, graph.CauseProxyRefused: true, graph.CauseNoDescriptors: true,
	} {
		token := &graph.TokenError{Kind: graph.TokenUnavailable, Cause: cause, RetryAfter: 7 * time.Second, RequestID: "earlier"}
		withoutRetry := codes.FailedPrecondition
		if again {
			withoutRetry = codes.Unavailable
		}
		for _, test := range []struct {
			err    *graph.Error
			reason string
			code   codes.Code
			host   string
			token  string
		}{
			{&graph.Error{Kind: graph.KindUnreachable, Cause: cause}, "GRAPH_UNREACHABLE", codes.Unavailable, "graph", ""},
			{&graph.Error{Kind: graph.KindToken, Token: graph.TokenUnavailable, Err: token}, "GRAPH_CREDENTIALS_UNAVAILABLE", withoutRetry, "authority", "earlier"},
		} {
			f := translator.Translate(nil, nil, "own", test.err)
			if f.Reason() != test.reason || f.Code() != test.code || (f.RetryDelay() > 0) != again || f.Metadata("cause") != string(cause) {
				t.Errorf("%s of %s: got %s %v, delay %v, %v", cause, test.host, f.Reason(), f.Code(), f.RetryDelay(), f.metadata)
			}
			if f.Host() != test.host || f.TokenRequestID() != test.token {
				t.Errorf("%s: got host %q and token request %q", cause, f.Host(), f.TokenRequestID())
			}
		}
	}
}

func TestSecretsAreScrubbed(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJ0aWQiOiIxIn0.c2lnbmF0dXJl"
	for text, want := range map[string]string{
		"nothing to hide, a@b.example = 1":                         "nothing to hide, a@b.example = 1",
		"the token is invalid":                                     "the token is invalid",
		"sent " + token + " to us":                                 "sent … to us",
		"header 'Authorization: Bearer opaque-7' refused":          "header 'Authorization: …' refused",
		"BEARER\topaque":                                           "…",
		"bearer%20opaque":                                          "…",
		"https://a.example/x?$skiptoken=abc-7&$top=5":              "https://a.example/x?$skip…&$top=5",
		"https%3A%2F%2Fa.example%3F%24skiptoken%3Dabc":             "https%3A%2F%2Fa.example%3F%24skip…",
		"client_secret=s3cret, grant_type=x":                       "client_…, grant_type=x",
		`{"access_token": "opaque", "expires_in": 1}`:              `{"access_…", "expires_in": 1}`,
		"https://a.blob.example/c?sv=1&sig=Zm9v":                   "https://a.blob.example/c?sv=1&…",
		"the design=good":                                          "the design=good",
		strings.Repeat("Mail ", 3) + "of bearer bonds is not here": "Mail Mail Mail of … is not here",
	} {
		if got := scrub(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestShowableCodes(t *testing.T) {
	_, c := steady(t)
	values := pb.ErrorReason(0).Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		for _, code := range c.Reasons.Of(pb.ErrorReason(values.Get(i).Number())).GetGraphCode() {
			if showable(code) != code {
				t.Errorf("%s is a code of Graph's and is not shown", code)
			}
		}
	}
	for _, code := range []string{"SomethingNew", "Request_ResourceNotFound", "some.thing", "404", "two words", "ä", strings.Repeat("a", 256)} {
		if showable(code) != code {
			t.Errorf("%s is not shown", code)
		}
	}
	for _, code := range []string{"ada@contoso.example", "https://contoso.example", `\\contoso`, "eyJhbGciOiJub25lIn0.eyJ0aWQiOjF9.", "Bearer opaque", "$skiptoken=opaque"} {
		if got := showable(code); got != "" {
			t.Errorf("%q is shown as %q", code, got)
		}
	}
}

func TestEqualFailuresMakeEqualBytes(t *testing.T) {
	translator, c := steady(t)
	marshal := func() []byte {
		f := translator.Translate(c.OfMethod(getPolicy), nil, "own", &graph.Error{
			Meta: graph.Meta{Status: 429, RequestID: "graph-1", ClientRequestID: "own"}, Codes: []string{"x"}, RetryAfter: 7 * time.Second, HasRetryAfter: true,
		})
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(f.Status())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := marshal()
	for range 20 {
		if string(marshal()) != string(first) {
			t.Fatal("two equal failures made different Statuses")
		}
	}
}
