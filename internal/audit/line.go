package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what a line takes from a call, in bytes and items.
const (
	maxText     = 256
	maxName     = 2048
	maxRequests = 8
	maxIDs      = 8
)

// Call is what a line says of a call. Texts that are too long are cut.
type Call struct {
	// Principal is the caller, empty when it is not known.
	Principal string
	// Tenant is the GUID of the tenant, empty when the call names none.
	Tenant string
	// RPC is `Service/Method`.
	RPC string
	// Effects are the effects of the call, such as CHANGE and REMOVE.
	Effects []string
	// IDs are the ids of the path, by the names of their fields.
	IDs map[string]string
	// RequestID is the id of the call.
	RequestID string
	// OnBehalfOf is the object id of the user on whose behalf the call is made.
	OnBehalfOf string
}

// Outcome is how a call ended.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"
	Unknown Outcome = "unknown"
)

// Result is what a line says of the end of a call.
type Result struct {
	// Code is the gRPC code, such as NOT_FOUND; Reason the reason, empty for OK.
	Code, Reason string
	Outcome      Outcome
	// GraphRequestIDs are Graph's ids of the requests of the call.
	GraphRequestIDs []string
}

// kind says what a line is about.
type kind string

const (
	kindStart   kind = "start"
	kindAttempt kind = "attempt"
	kindOutcome kind = "outcome"
	kindDenied  kind = "denied"
	kindRead    kind = "read"
	kindEnd     kind = "end"
)

// line is one line, in the order of its fields.
type line struct {
	Time            time.Time         `json:"time"`
	Instance        string            `json:"instance"`
	Seq             uint64            `json:"seq"`
	Kind            kind              `json:"kind"`
	Attempt         uint64            `json:"attempt,omitempty"`
	Principal       string            `json:"principal,omitempty"`
	Tenant          string            `json:"tenant,omitempty"`
	RPC             string            `json:"rpc,omitempty"`
	Effects         []string          `json:"effects,omitempty"`
	IDs             map[string]string `json:"ids,omitempty"`
	RequestID       string            `json:"requestId,omitempty"`
	GraphRequestIDs []string          `json:"graphRequestIds,omitempty"`
	Code            string            `json:"code,omitempty"`
	Reason          string            `json:"reason,omitempty"`
	Outcome         Outcome           `json:"outcome,omitempty"`
	OnBehalfOf      string            `json:"onBehalfOf,omitempty"`
	Suppressed      uint64            `json:"suppressed,omitempty"`
	Lost            uint64            `json:"lost,omitempty"`
}

// lineOf is a line of a call. It keeps nothing that the caller can change later.
func lineOf(k kind, c Call, r Result) *line {
	l := &line{
		Kind: k, Principal: cut(c.Principal, maxName), Tenant: cut(c.Tenant, maxText), RPC: cut(c.RPC, maxText),
		RequestID: cut(c.RequestID, maxText), OnBehalfOf: cut(c.OnBehalfOf, maxText),
		Code: cut(r.Code, maxText), Reason: cut(r.Reason, maxText), Outcome: r.Outcome,
	}
	for _, effect := range c.Effects[:min(len(c.Effects), maxIDs)] {
		l.Effects = append(l.Effects, cut(effect, maxText))
	}
	for _, id := range r.GraphRequestIDs[:min(len(r.GraphRequestIDs), maxRequests)] {
		l.GraphRequestIDs = append(l.GraphRequestIDs, cut(id, maxText))
	}
	if len(c.IDs) > 0 {
		l.IDs = make(map[string]string, len(c.IDs))
	}
	for name, id := range c.IDs {
		if len(l.IDs) == maxIDs {
			break
		}
		l.IDs[cut(name, maxText)] = cut(id, maxText)
	}
	return l
}

// bytes returns the line with its line feed.
func (l *line) bytes() []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	// Every value is of a type that JSON has.
	_ = encoder.Encode(l)
	return b.Bytes()
}

// cut returns a text of valid UTF-8 of at most size bytes.
func cut(text string, size int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}
