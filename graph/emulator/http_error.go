package emulator

import (
	"fmt"
	"net/http"
	"strings"
)

// graphError is a refusal in Graph's shape: a status and an error body.
type graphError struct {
	status  int
	code    string
	message string
	target  string        // the property, option or value that is at fault; "" for none
	header  http.Header   // of the answer; nil for none
	details []publicError // nil for no such member
}

func (e *graphError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.status, e.code, e.message)
}

// refuse makes a graphError whose status comes from the documentation where it
// has one for the code, else it is 400.
func refuse(method, code, format string, args ...any) *graphError {
	status, ok := documentedStatus(method, code)
	if !ok {
		status = http.StatusBadRequest
	}
	return &graphError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// about names what an error is about: a property, an option of the query, or a
// value of a list. Graph's public errors have the same member.
func (e *graphError) about(target string) *graphError {
	e.target = target
	return e
}

// element names an element of a list: by its value, or by its place when that
// says more.
func element(list string, i int, value string) string {
	if value != "" {
		return value
	}
	return fmt.Sprintf("%s[%d]", list, i)
}

// Codes that Graph uses across its services, for what this API's own pages do
// not name.
const (
	codeBadRequest       = "BadRequest"
	codeAccessDenied     = "accessDenied"
	codeInvalidToken     = "InvalidAuthenticationToken"
	codeNotFound         = "ResourceNotFound"
	codeMethodNotAllowed = "MethodNotAllowed"
	codeUnsupportedMedia = "UnsupportedMediaType"
	codeTooLarge         = "RequestEntityTooLarge"
	codeThrottled        = "TooManyRequests"
	codeNotAllowed       = "OperationNotAllowed" // documented for offboarding; here for every wrong service state
)

// documentedStatus is the status under which the documentation lists a code for
// a whole call. Codes that only ever stand inside a 200 answer have none.
func documentedStatus(method, code string) (int, bool) {
	if code == "RestoreArtifactsLimitBreached" && strings.EqualFold(method, http.MethodPatch) {
		return http.StatusBadRequest, true // 413 when a session is created
	}
	switch code {
	case "InvalidCreateRequest", "InvalidDisplayName", "InvalidProtectionUnitId", "InvalidPolicyId",
		"DuplicateProtectionUnitInList", "ProtectionUnitActionNotAllowed", "FilterLengthExceeded",
		"InvalidPathType", "InvalidArtifactRequest", "InvalidRestorePoint", "DifferentRestoreDestinationType",
		"DuplicateArtifactInList", "InvalidRestoreSessionId", "InvalidPatchRequest",
		"InvalidInclusionRuleCreateRequest", "InvalidRuleExpression", "InvalidProtectionRulePatchRequest",
		"InvalidProtectionRuleStatusForUpdation", "PatchNotAllowedForStaticRule", "InvalidInclusionRuleId",
		"ProtectionRuleActionNotAllowed", "RunNotAllowedForDynamicRule", "InvalidProtectionRuleStatusForDeletion",
		"InvalidSearchRequest", "InvalidAppOwnerTenantId", "InvalidBulkRestoreArtifactId",
		"BulkRestoreInvalidCreateRequest", "BulkRestoreRestorationResourcesCountExceedsLimit",
		"BulkRestoreInvalidCreateRequestSiteUrl", "BulkRestoreInvalidCreateRequestUserEmail",
		"invalidStateForActivation", codeBadRequest:
		return http.StatusBadRequest, true
	case codeInvalidToken:
		return http.StatusUnauthorized, true
	case "InvalidBillingProfile":
		return http.StatusPaymentRequired, true
	case "PolicyActionNotAllowed", "RestoreSessionActionNotAllowed", "UnableToReadBillingProfile",
		"InvalidStateForBulkRequestDeletion", "Forbidden", codeNotAllowed, codeAccessDenied:
		return http.StatusForbidden, true
	case "PolicyNotFound", "RestoreSessionNotFound", "ProtectionRuleNotFound", "BulkRestoreArtifactsNotFound",
		codeNotFound:
		return http.StatusNotFound, true
	case codeMethodNotAllowed:
		return http.StatusMethodNotAllowed, true
	case "PolicyCreationNotAllowed", "ProtectionUnitAlreadyExists", "Directory_ConcurrencyViolation":
		return http.StatusConflict, true
	case "ProtectionUnitsLimitBreached", "RestoreArtifactsLimitBreached",
		"InvalidRuleExpressionGroupLimitExceeded", codeTooLarge:
		return http.StatusRequestEntityTooLarge, true
	case "InvalidProtectionRuleStatusForDynamicRuleEdit",
		"InvalidProtectionRuleStatusForDynamicRuleDeleteAndUnprotectAll",
		"InvalidProtectionRuleStatusForDynamicRuleDeletion":
		return http.StatusUnprocessableEntity, true
	case codeUnsupportedMedia:
		return http.StatusUnsupportedMediaType, true
	case codeThrottled:
		return http.StatusTooManyRequests, true
	case "PolicySaveFailed", "IncompleteArtifactDeletion", "TooManyActiveRestoreSessions":
		return http.StatusInternalServerError, true
	}
	return 0, false
}

// errorBody is what goes over the wire for a graphError.
type errorBody struct {
	Error errorObject `json:"error"`
}

type errorObject struct {
	Code       string        `json:"code"`
	Message    string        `json:"message"`
	Target     string        `json:"target,omitempty"`
	Details    []publicError `json:"details,omitzero"`
	InnerError innerError    `json:"innerError"`
}

type innerError struct {
	Date            string `json:"date"` // UTC without a zone, as Graph writes it
	RequestID       string `json:"request-id"`
	ClientRequestID string `json:"client-request-id"`
}

// publicError is the error that an item inside a good answer carries.
type publicError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target,omitempty"`
}

// detailedError is a publicError that tells about several things.
type detailedError struct {
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Details []publicError `json:"details"`
	Inner   *innerCode    `json:"innerError,omitempty"`
}

type innerCode struct {
	Code string `json:"code"`
}
