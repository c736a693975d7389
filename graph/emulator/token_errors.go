package emulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Codes of the token authority's errors, without "AADSTS".
const (
	aadNoTenant        = 50059
	aadTenantForm      = 900023
	aadFieldMissing    = 900144
	aadGrantUnknown    = 70003
	aadScopeMissing    = 90014
	aadScopeForm       = 1002012
	aadResourceUnknown = 500011
	aadAppUnknown      = 700016
	aadNoSecret        = 7000218
	aadWrongSecret     = 7000215
	aadAssertionForm   = 50027
	aadAssertionSigned = 700027
	aadAssertionFor    = 700023
	aadAssertionLate   = 700024
	aadUserSigned      = 50013
	aadUserFor         = 500131
	aadUserLate        = 500133
	aadConsent         = 65001
)

// aadPrefix begins each code of the token authority.
const aadPrefix = "AADSTS"

// aadError is how the authority answers with a code: OAuth's name of the error, and the status.
func aadError(number int) (name string, status int) {
	switch number {
	case aadNoSecret, aadWrongSecret, 7000216, 7000222, aadAssertionSigned, aadAssertionFor, aadAssertionLate, 700025:
		return "invalid_client", http.StatusUnauthorized
	case aadAppUnknown, 700011, 7000112, 7000113:
		return "unauthorized_client", http.StatusBadRequest
	case aadGrantUnknown:
		return "unsupported_grant_type", http.StatusBadRequest
	case aadScopeForm, 70011:
		return "invalid_scope", http.StatusBadRequest
	case aadResourceUnknown, 50001:
		return "invalid_resource", http.StatusBadRequest
	case aadUserSigned, aadUserFor, aadUserLate, aadConsent, 50076, 50079, 53003, 70008, 700082, 50173:
		return "invalid_grant", http.StatusBadRequest
	case 90033, 90024, 90006:
		return "temporarily_unavailable", http.StatusServiceUnavailable
	case 90013, 50000, 90052:
		return "server_error", http.StatusInternalServerError
	}
	return "invalid_request", http.StatusBadRequest
}

// aadNumber reads "AADSTS50013".
func aadNumber(code string) (int, bool) {
	digits, found := strings.CutPrefix(code, aadPrefix)
	number, err := strconv.Atoi(digits)
	return number, found && err == nil && number > 0
}

// refuseToken is an error of the token authority.
func refuseToken(number int, format string, args ...any) *graphError {
	_, status := aadError(number)
	return &graphError{status: status, code: aadPrefix + strconv.Itoa(number), message: fmt.Sprintf(format, args...)}
}

// aadErrorBody is an error of the token authority on the wire.
type aadErrorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	Timestamp   string `json:"timestamp"`
	TraceID     string `json:"trace_id"`
	Correlation string `json:"correlation_id"`
	URI         string `json:"error_uri"`
}

// aadRefused is a refusal in the token authority's form. What is no error of its own, such as a body that is too large,
// has no code of its own either.
func (c *call) aadRefused(err *graphError) aadErrorBody {
	stamp := c.realNow().UTC().Format("2006-01-02 15:04:05Z")
	number, _ := aadNumber(err.code)
	name, _ := aadError(number)
	body := aadErrorBody{
		Error: name, Codes: []int{number}, Timestamp: stamp, TraceID: c.requestID, Correlation: c.clientRequestID,
		URI: fmt.Sprintf("%s/error?code=%d", c.origin(), number),
	}
	body.Description = fmt.Sprintf("%s: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
		err.code, err.message, c.requestID, c.clientRequestID, stamp)
	return body
}
