package credential

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/m365backup/backupstorage/graph"
)

// authorityError is what an authority said, without any text of its: that can hold names and ids of the tenant, and
// parts of what it was asked.
type authorityError struct {
	status int
	// code is the error code of OAuth, numbers are Microsoft's own ones.
	code    string
	numbers []int
	// suberror and wantsClaims tell refusals apart that a user can mend.
	suberror    string
	wantsClaims bool
	retryAfter  time.Duration
}

func (e *authorityError) Error() string {
	return fmt.Sprintf("authority answered %d %s %v", e.status, e.code, e.numbers)
}

func retryAfter(err error) time.Duration {
	var answer *authorityError
	if errors.As(err, &answer) {
		return answer.retryAfter
	}
	return 0
}

// problemOf makes a TokenError of any error.
func problemOf(err error) *graph.TokenError {
	var failed *graph.TokenError
	if errors.As(err, &failed) {
		return failed
	}
	return &graph.TokenError{Kind: graph.TokenUnavailable, Err: err}
}

// classify says what a failure of azidentity means. delegated tells that the token was to be one of a user.
func classify(err error, delegated bool) *graph.TokenError {
	var known *graph.TokenError
	var failed *azidentity.AuthenticationFailedError
	switch {
	case errors.As(err, &known):
		return known
	case !errors.As(err, &failed):
		// azidentity did not get as far as asking: it has nothing to ask with.
		return &graph.TokenError{Kind: graph.TokenRefused, Err: errors.New("the credential cannot be used")}
	case failed.RawResponse == nil:
		// Of the network's errors azidentity leaves the text alone, and that may hold anything.
		return &graph.TokenError{Kind: graph.TokenUnavailable, Err: errors.New("no answer of the authority that can be read")}
	}
	answer := readResponse(failed.RawResponse)
	return &graph.TokenError{Kind: answer.problem(delegated), Err: answer}
}

func readResponse(response *http.Response) *authorityError {
	answer := &authorityError{status: response.StatusCode}
	// The date form is for proxies; authorities send seconds.
	if seconds, err := strconv.Atoi(strings.TrimSpace(response.Header.Get("Retry-After"))); err == nil && seconds > 0 {
		answer.retryAfter = time.Duration(min(seconds, int(longestTime/time.Second))) * time.Second
	}
	body, err := runtime.Payload(response)
	if err != nil {
		return answer
	}
	var said struct {
		Error    string          `json:"error"`
		Suberror string          `json:"suberror"`
		Codes    []int           `json:"error_codes"`
		Claims   json.RawMessage `json:"claims"`
	}
	// What can be read of a body of other types is read.
	_ = json.Unmarshal(body, &said)
	answer.code, answer.suberror = word(said.Error), word(said.Suberror)
	answer.numbers = said.Codes[:min(len(said.Codes), 4)]
	answer.wantsClaims = len(said.Claims) > 0 && string(said.Claims) != "null" && string(said.Claims) != `""`
	return answer
}

// word keeps a code that is one: small letters and underscores.
func word(s string) string {
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return s
}

// Numbers of Microsoft's where the code alone does not tell.
const (
	malformedJWT    = 50027 // Of the user: that of the application has 700027.
	consentRequired = 65001
)

// problem decides by the codes of the answer, never by its text.
func (e *authorityError) problem(delegated bool) graph.TokenKind {
	switch {
	case e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout || e.status >= 500,
		e.code == "" || e.code == "temporarily_unavailable" || e.code == "server_error":
		// Without a code it was somebody else who answered, such as a proxy.
		return graph.TokenUnavailable
	case slices.Contains(e.numbers, consentRequired) || e.suberror == "consent_required":
		// It is for an administrator to consent.
		return graph.TokenRefused
	case e.code == "interaction_required" || e.code == "login_required" || e.wantsClaims,
		e.suberror == "basic_action" || e.suberror == "additional_action" || e.suberror == "message_only":
		return graph.TokenClaimsRefused
	case delegated && (e.code == "invalid_grant" || slices.ContainsFunc(e.numbers, isMalformedJWT)):
		return graph.TokenAssertionRefused
	}
	return graph.TokenRefused
}

// isMalformedJWT tells the number and those below it: 5002723 is one of several kinds of 50027.
func isMalformedJWT(number int) bool {
	return strings.HasPrefix(strconv.Itoa(number), strconv.Itoa(malformedJWT))
}

// refusesClient tells whether the authority refuses what the application proves itself with, as it does while that is
// being replaced.
func refusesClient(err error) bool {
	var answer *authorityError
	return errors.As(err, &answer) && answer.code == "invalid_client"
}
