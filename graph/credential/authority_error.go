package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/internal/retryafter"
)

// authorityError is an error response of an authority without any of its text, which can hold names and ids of the
// tenant, and parts of the request.
type authorityError struct {
	status int
	// code is the error code of OAuth, numbers are those of Microsoft (AADSTS…).
	code    string
	numbers []int
	// requestID is the authority's own id of the request, a GUID; empty when it gave none.
	requestID string
	// suberror and wantsClaims identify the refusals that the user can resolve.
	suberror    string
	wantsClaims bool
	retryAfter  time.Duration
}

func (e *authorityError) Error() string {
	return fmt.Sprintf("authority responded %d %s %v", e.status, e.code, e.numbers)
}

func retryAfter(err error) time.Duration {
	if response, ok := errors.AsType[*authorityError](err); ok {
		return response.retryAfter
	}
	return 0
}

// asTokenError makes a TokenError of any error.
func asTokenError(err error) *graph.TokenError {
	if failed, ok := errors.AsType[*graph.TokenError](err); ok {
		return failed
	}
	return unavailable(err)
}

// The errors by what is wrong, for failures that the authority did not report itself.

// unavailable is an authority without a response, in time or at all.
func unavailable(err error) *graph.TokenError {
	cause := graph.CauseAuthorityUnavailable
	if failed, ok := errors.AsType[*connectionError](err); ok {
		cause = failed.cause
	} else if errors.Is(err, context.DeadlineExceeded) {
		cause = graph.CauseTimeout
	}
	return &graph.TokenError{Kind: graph.TokenUnavailable, Cause: cause, Err: err}
}

func unusable(err error) *graph.TokenError {
	return &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseApplicationCredential, Err: err}
}

func wrongTenant(text string) *graph.TokenError {
	return &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseWrongTenant, Err: errors.New(text)}
}

func wrongAudience() *graph.TokenError {
	return &graph.TokenError{Kind: graph.TokenRefused, Cause: graph.CauseWrongAudience, Err: errors.New("the token is for another API than Microsoft Graph")}
}

func assertionRefused(cause graph.Cause, text string) *graph.TokenError {
	return &graph.TokenError{Kind: graph.TokenAssertionRefused, Cause: cause, Err: errors.New(text)}
}

// classify says what an error of azidentity means. delegated says that the token was to be one of a user.
func classify(err error, delegated bool) *graph.TokenError {
	var known *graph.TokenError
	var failed *azidentity.AuthenticationFailedError
	switch {
	case errors.As(err, &known):
		return known
	case !errors.As(err, &failed):
		// azidentity did not send a request: it has no credential to send.
		return unusable(errors.New("the credential cannot be used"))
	case failed.RawResponse == nil:
		// azidentity leaves the text of network errors as it is, and that can hold anything.
		return unavailable(errors.New("the authority sent no response that can be read"))
	}
	response := readResponse(failed.RawResponse)
	kind := response.kind(delegated)
	return &graph.TokenError{Kind: kind, Cause: response.cause(kind), AADSTS: response.number(), Err: response}
}

func readResponse(response *http.Response) *authorityError {
	// Without a Date of the authority, date is zero, and our clock counts.
	date, _ := http.ParseTime(response.Header.Get("Date"))
	wait, _ := retryafter.Read(response.Header, date)
	e := &authorityError{status: response.StatusCode, retryAfter: wait}
	if id := response.Header.Get("X-Ms-Request-Id"); graph.IsGUID(id) {
		e.requestID = id
	}
	content, err := runtime.Payload(response)
	if err != nil {
		return e
	}
	var body struct {
		Error       string          `json:"error"`
		Description string          `json:"error_description"`
		Suberror    string          `json:"suberror"`
		Codes       []int           `json:"error_codes"`
		TraceID     string          `json:"trace_id"`
		Claims      json.RawMessage `json:"claims"`
	}
	// A property of another type is left out, the others are read.
	_ = json.Unmarshal(content, &body)
	e.code, e.suberror = codeOrNone(body.Error), codeOrNone(body.Suberror)
	e.numbers = numbers(body.Codes, body.Description)
	if e.requestID == "" && graph.IsGUID(body.TraceID) {
		e.requestID = body.TraceID
	}
	if e.loops() && e.retryAfter == 0 {
		// The loop ends when the requests stop for a while.
		e.retryAfter = minRefusalTime
	}
	e.wantsClaims = len(body.Claims) > 0 && string(body.Claims) != "null" && string(body.Claims) != `""`
	return e
}

// aadsts is how the description of an error begins.
var aadsts = regexp.MustCompile(`^AADSTS([1-9][0-9]{0,9})\b`)

// numbers are Microsoft's numbers of an error, at most 4. Where error_codes has none, the description begins with one.
func numbers(codes []int, description string) []int {
	// What is no number was read as 0.
	codes = slices.DeleteFunc(codes, func(code int) bool { return code <= 0 })
	if found := aadsts.FindStringSubmatch(description); len(codes) == 0 && found != nil {
		if number, err := strconv.Atoi(found[1]); err == nil {
			codes = []int{number}
		}
	}
	return codes[:min(len(codes), 4)]
}

// codeOrNone keeps a text that can be a code: lower-case letters and underscores.
func codeOrNone(s string) string {
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return s
}

// Numbers of Microsoft's that decide the kind, where the code of OAuth is ambiguous.
const (
	malformedJWT    = 50027 // A malformed assertion of the user; a bad one of the application has 700027.
	requestLoop     = 50196 // The same request came too often in a short time.
	consentRequired = 65001
)

// kind decides by the codes of the response, never by its text.
func (e *authorityError) kind(delegated bool) graph.TokenKind {
	switch {
	case e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout || e.status >= 500,
		e.code == "" || e.code == "temporarily_unavailable" || e.code == "server_error":
		// A response without a code is not the authority's own, but for example that of a proxy.
		return graph.TokenUnavailable
	case e.loops():
		return graph.TokenUnavailable
	case slices.Contains(e.numbers, consentRequired) || e.suberror == "consent_required":
		// An administrator has to consent.
		return graph.TokenRefused
	case e.code == "interaction_required" || e.code == "login_required" || e.wantsClaims,
		e.suberror == "basic_action" || e.suberror == "additional_action" || e.suberror == "message_only":
		return graph.TokenClaimsRefused
	case delegated && (e.code == "invalid_grant" || slices.ContainsFunc(e.numbers, isMalformedJWT)):
		return graph.TokenAssertionRefused
	}
	return graph.TokenRefused
}

// loops reports whether the authority ended a loop of equal requests. That is a throttle, although its code is that of
// a refusal.
func (e *authorityError) loops() bool { return slices.Contains(e.numbers, requestLoop) }

// isMalformedJWT reports whether a number is 50027 or one of its special cases, such as 5002723.
func isMalformedJWT(number int) bool {
	return strings.HasPrefix(strconv.Itoa(number), strconv.Itoa(malformedJWT))
}

// numberCauses are the causes of Microsoft's numbers, by the list of AADSTS error codes:
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes. Microsoft may change them: they only add
// to the kind, which decides what happens.
var numberCauses = map[int]graph.Cause{
	70002:           graph.CauseApplicationCredential, // The secret is another one.
	7000215:         graph.CauseApplicationCredential, // The secret is invalid.
	7000222:         graph.CauseApplicationCredential, // The secret has expired.
	7000216:         graph.CauseApplicationCredential, // There is neither secret nor assertion.
	7000218:         graph.CauseApplicationCredential, // The same.
	700024:          graph.CauseApplicationCredential, // The assertion is outside its time.
	700025:          graph.CauseApplicationCredential, // A public client has sent a credential.
	700027:          graph.CauseApplicationCredential, // The signature of the assertion is wrong, or its key unknown.
	700030:          graph.CauseApplicationCredential, // The certificate is not authorized.
	70021:           graph.CauseApplicationCredential, // No federated identity matches the assertion,
	700211:          graph.CauseApplicationCredential, // by its issuer,
	700212:          graph.CauseApplicationCredential, // by its audience,
	700213:          graph.CauseApplicationCredential, // by its subject.
	700011:          graph.CauseApplicationUnknown,    // The application is not in the directory.
	700016:          graph.CauseApplicationUnknown,    // The same.
	7000229:         graph.CauseApplicationUnknown,    // The application has no service principal in the tenant.
	consentRequired: graph.CauseConsentMissing,
	65004:           graph.CauseConsentMissing, // The user declined to consent.
	90008:           graph.CauseConsentMissing, // Neither the user nor an administrator has consented.
	90094:           graph.CauseConsentMissing, // An administrator has to consent.
	90002:           graph.CauseTenantUnknown,  // There is no such tenant.
	900021:          graph.CauseTenantUnknown,  // The id of the tenant is no valid one.
	900023:          graph.CauseTenantUnknown,  // The name of the tenant is neither a domain nor an id.
	50005:           graph.CausePolicy,         // The device's platform is not supported.
	50072:           graph.CausePolicy,         // The user has to enroll for a second factor.
	50074:           graph.CausePolicy,         // A second factor is required.
	50076:           graph.CausePolicy,         // The same, after a change by the administrator.
	50079:           graph.CausePolicy,         // The user has to register for a second factor.
	50097:           graph.CausePolicy,         // The device has to authenticate.
	50105:           graph.CausePolicy,         // The user is not assigned to the application.
	50131:           graph.CausePolicy,         // Conditional access failed.
	50158:           graph.CausePolicy,         // An external challenge is open.
	53000:           graph.CausePolicy,         // The device is not compliant.
	53001:           graph.CausePolicy,         // The device is not joined to the domain.
	53002:           graph.CausePolicy,         // The application is not approved.
	53003:           graph.CausePolicy,         // Conditional access blocks it.
	53004:           graph.CausePolicy,         // The user's risk blocks the registration of a second factor.
	53011:           graph.CausePolicy,         // The user's risk blocks it.
	530035:          graph.CausePolicy,         // Security defaults block it.
}

// number is the number that decided the cause, else the first one; 0 when there is none.
func (e *authorityError) number() int {
	for _, number := range e.numbers {
		if _, ok := numberCauses[number]; ok {
			return number
		}
	}
	switch {
	case e.loops():
		return requestLoop
	case len(e.numbers) > 0:
		return e.numbers[0]
	}
	return 0
}

// cause tells refusals of one kind apart. A number says more than a code of OAuth.
func (e *authorityError) cause(kind graph.TokenKind) graph.Cause {
	switch {
	case e.loops():
		// The authority is well: the requests are the fault.
		return graph.CauseOther
	case kind == graph.TokenUnavailable:
		return graph.CauseAuthorityUnavailable
	}
	for _, number := range e.numbers {
		if cause, ok := numberCauses[number]; ok {
			return cause
		}
	}
	switch {
	case e.suberror == "consent_required":
		return graph.CauseConsentMissing
	case kind == graph.TokenClaimsRefused:
		return graph.CausePolicy
	case kind == graph.TokenAssertionRefused:
		return graph.CauseUserAssertion
	case e.code == "invalid_client", slices.ContainsFunc(e.numbers, isMalformedJWT):
		// Without a user the only JWT of a request is the application's.
		return graph.CauseApplicationCredential
	case e.code == "unauthorized_client":
		return graph.CauseApplicationUnknown
	case e.code == "invalid_tenant":
		return graph.CauseTenantUnknown
	}
	return graph.CauseOther
}

// refusesClient reports whether the authority refuses the credential of the application, as it does while that is being
// replaced.
func refusesClient(err error) bool {
	var response *authorityError
	return errors.As(err, &response) && response.code == "invalid_client"
}
