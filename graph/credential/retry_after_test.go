package credential_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
)

// What a caller is told to wait after a 429 of the authority with one Retry-After, or several.
func TestTheRetryAfterOfTheAuthorityIsBelieved(t *testing.T) {
	const missing = 5 * time.Second
	// A clock of the authority that is wrong by years: the wait is counted from its own Date.
	date := time.Date(2031, time.March, 1, 12, 0, 0, 0, time.UTC)
	in := func(wait time.Duration) string { return date.Add(wait).Format(http.TimeFormat) }
	for _, test := range []struct {
		name   string
		values []string
		want   time.Duration
	}{
		{"seconds", []string{"20"}, 20 * time.Second},
		{"fraction of a second", []string{"2.128"}, 2128 * time.Millisecond},
		{"spaces", []string{" 20 "}, 20 * time.Second},
		{"minutes", []string{"300"}, 5 * time.Minute},
		{"an hour", []string{"3600"}, time.Hour},
		{"over an hour", []string{"7200"}, time.Hour},
		{"far over an hour", []string{"1e300"}, time.Hour},
		{"too many digits for a number", []string{"99999999999999999999"}, time.Hour},
		{"date", []string{in(20 * time.Second)}, 20 * time.Second},
		{"date over an hour later", []string{in(2 * time.Hour)}, time.Hour},
		{"date in the past", []string{in(-20 * time.Second)}, missing},
		{"date of now", []string{in(0)}, missing},
		{"zero", []string{"0"}, missing},
		{"negative", []string{"-20"}, missing},
		{"no number", []string{"soon"}, missing},
		{"not a number", []string{"NaN"}, missing},
		{"infinite", []string{"Inf"}, missing},
		{"hexadecimal", []string{"0x20"}, missing},
		{"empty", []string{""}, missing},
		{"none", nil, missing},
		{"several in one header", []string{"2, 20"}, 20 * time.Second},
		{"the longest counts", []string{"2", "20", "soon"}, 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			authority := authoritytest.New(t)
			authority.Handle(func(authoritytest.Request) authoritytest.Answer {
				header := http.Header{"Date": {date.Format(http.TimeFormat)}}
				if test.values != nil {
					header["Retry-After"] = test.values
				}
				return authoritytest.Answer{Status: 429, Header: header, Code: "temporarily_unavailable"}
			})
			got := refuses(t, source(t, authority), graph.TokenRequest{Tenant: tenantA})
			// Up to a second is added at random, and the test itself takes time.
			if got.Kind != graph.TokenUnavailable || got.RetryAfter <= test.want-time.Second || got.RetryAfter > test.want+time.Second {
				t.Errorf("got kind %d and a wait of %v, want %v", got.Kind, got.RetryAfter, test.want)
			}
		})
	}
}

// AADSTS50196 ends a loop of equal requests. It passes when the requests stop for a while, so it is no refusal.
func TestARequestLoopIsRetryable(t *testing.T) {
	authority := authoritytest.New(t)
	authority.Handle(func(authoritytest.Request) authoritytest.Answer {
		return authoritytest.Answer{Status: 400, Body: aadsts("invalid_grant", 50196, "The server terminated an operation because it encountered a client request loop. Please contact your app vendor.")}
	})
	s := source(t, authority)
	for _, request := range []graph.TokenRequest{
		{Tenant: tenantA}, {Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, "u")},
	} {
		got := refuses(t, s, request)
		if got.Kind != graph.TokenUnavailable || got.Cause != graph.CauseOther || got.RetryAfter < 29*time.Second || got.RetryAfter > time.Minute {
			t.Errorf("delegated %v: got kind %d, cause %q and a wait of %v", request.UserAssertion != "", got.Kind, got.Cause, got.RetryAfter)
		}
	}
}
