package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Fault is a scripted rule: which requests it meets, how often, and what happens
// to them. Rules are tried in the order in which they were added; the first that
// fits a request acts (rules with InBand or Throttle let others act as well).
//
// Code, Status and Redirect answer instead of the work, so nothing changes;
// Body alone spoils the answer of work that was done. AfterWork has the work
// done in every case.
type Fault struct {
	// ID names the rule in the ledger and for removal. Empty: "fault-N".
	ID string `json:"id,omitempty"`
	// Operation is "METHOD /template" below /solutions/backupRestore, such as
	// "POST /exchangeProtectionPolicies" or "GET /protectionPolicies/{policyId}",
	// "METHOD *"; or "*". "*" also meets requests that match no operation.
	// Placeholders can have any name; [Emulator.Faults] spells them as the
	// ledger does.
	Operation string `json:"operation"`
	// Item narrows the rule to requests that have this id in their path or
	// body; for InBand, to the item with this id, directoryObjectId or siteId.
	Item string `json:"item,omitempty"`
	// Tenant narrows the rule to one tenant.
	Tenant string `json:"tenant,omitempty"`
	// Match narrows the rule to requests with something in a header, the query or the body.
	Match *FaultMatch `json:"match,omitempty"`
	// Probability is how likely the rule acts on a request that fits, above 0 and up to 1; 0 is always. What is drawn
	// follows from ProbabilitySeed, the tenant and how many requests of the tenant fitted before, so that it is the same
	// in each run.
	Probability     float64 `json:"probability,omitempty"`
	ProbabilitySeed int64   `json:"probabilitySeed,omitempty"`
	// Times is how often the rule acts; 0 is for ever.
	Times int `json:"times,omitempty"`
	// After is how many requests that fit pass before the rule acts.
	After int `json:"after,omitempty"`

	// Code answers with this error code. Status comes from the documentation
	// unless given; a code that only stands in 200 answers needs one.
	Code string `json:"code,omitempty"`
	// Message replaces the text that goes with Code or Status.
	Message string `json:"message,omitempty"`
	// Status answers with this HTTP status (200 to 599).
	Status int `json:"status,omitempty"`
	// RetryAfter is sent as it is, once per value. A value "date+30s" or
	// "date-30s" becomes the HTTP date that far from the answer's own Date.
	RetryAfter []string `json:"retryAfter,omitempty"`
	// Headers are further headers of the answer.
	Headers map[string]string `json:"headers,omitempty"`
	// Delay holds the request back, in real time, before the work (after it with
	// AfterWork). Work is not begun for a client that went away meanwhile,
	// unless Late is set.
	Delay Duration `json:"delay,omitempty"`
	// Late has the work done after Delay although the client went away: it is
	// a request whose bytes came late, since its process was stopped between
	// its last look and the sending of them.
	Late bool `json:"late,omitempty"`
	// Cut ends the connection: "before" the work, "after" it, or "within" the
	// answer, which then ends in the middle of its body.
	Cut string `json:"cut,omitempty"`
	// Body replaces or spoils the answer's body.
	Body *FaultBody `json:"body,omitempty"`
	// Redirect answers 302 (or Status) with this Location.
	Redirect string `json:"redirect,omitempty"`
	// NextLink stands in for @odata.nextLink of a page, "" for none.
	NextLink *string `json:"nextLink,omitempty"`
	// InBand puts an error into an item of a good answer; an item of a delta
	// fails with it and is not done.
	InBand *InBandError `json:"inBand,omitempty"`
	// Throttle answers 429 beyond a number of requests.
	Throttle *Throttle `json:"throttle,omitempty"`
	// AfterWork has the work done before Code, Status, Redirect or Delay acts.
	AfterWork bool `json:"afterWork,omitempty"`
}

// FaultMatch is what a request must have for a rule to fit. All that is given must be there, in these letters.
type FaultMatch struct {
	// Headers are texts that the values of headers contain; an empty one asks for the header alone. Authorization cannot
	// be asked for.
	Headers map[string]string `json:"headers,omitempty"`
	// Query is a text that the query contains, as it was sent or unescaped; Body is one that the body contains.
	Query string `json:"query,omitempty"`
	Body  string `json:"body,omitempty"`
}

// FaultBody is how a body goes wrong.
type FaultBody struct {
	// Mode is "truncated" (the first half, as a complete HTTP answer), "html",
	// "empty", "huge" (Size bytes of valid JSON), "raw" (Content) or "slow"
	// (the good body, Size bytes at a time, with a Pause before each piece).
	Mode string `json:"mode"`
	// Size of a huge body in bytes, at most 1 GiB; 0 is 16 MiB. Size of a slow
	// body's pieces; 0 is 1.
	Size int64 `json:"size,omitempty"`
	// Pause before each piece of a slow body, in real time, at most a minute; 0
	// is 100 ms.
	Pause Duration `json:"pause,omitempty"`
	// Content of a raw body.
	Content string `json:"content,omitempty"`
	// ContentType of a raw body; empty is application/json.
	ContentType string `json:"contentType,omitempty"`
}

// InBandError is the error of an item.
type InBandError struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

// on is the error as one of an item; target may be empty.
func (in *InBandError) on(target string) *publicError {
	return &publicError{Code: in.Code, Message: in.Message, Target: target}
}

// detailed is the error of a resource whose errors have details.
func (in *InBandError) detailed() *detailedError {
	return &detailedError{Code: in.Code, Message: in.Message, Details: []publicError{}}
}

// Throttle lets Requests pass per Window and tenant and answers the next ones
// with 429 until RetryAfter is over. A client that comes back before that waits
// RetryAfter longer each time. The rule's own RetryAfter, if it has one, is sent
// in place of that. Windows are measured in base time (real time
// unless [Options.Base] says otherwise), since clients wait in it.
type Throttle struct {
	Requests   int      `json:"requests"`
	Window     Duration `json:"window"`
	RetryAfter Duration `json:"retryAfter"` // whole seconds, at least 1; 0 is 1 s
}

// Duration is a [time.Duration] that JSON writes like "1.5s" or "2h".
type Duration time.Duration

// MarshalText writes the duration in Go's form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads Go's form, such as "300ms".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no length of time such as \"90s\" or \"1h30m\"", text)
	}
	*d = Duration(v)
	return nil
}

const (
	defaultHugeBody = 16 << 20
	maxHugeBody     = 1 << 30
	defaultPause    = 100 * time.Millisecond
	maxPause        = time.Minute
)

// check tells what is wrong with a rule.
func (f *Fault) check(known *router) error {
	if err := checkOperation(f.Operation, known); err != nil {
		return err
	}
	if f.Times < 0 || f.After < 0 || f.Delay < 0 {
		return errors.New("times, after and delay cannot be negative")
	}
	if f.Late && (f.Delay == 0 || f.AfterWork) {
		return errors.New("late needs a delay before the work")
	}
	if !(f.Probability >= 0 && f.Probability <= 1) {
		return fmt.Errorf("probability %v is not between 0 and 1", f.Probability)
	}
	if err := f.Match.check(); err != nil {
		return err
	}
	if f.Tenant != "" && !isGUID(f.Tenant) {
		return fmt.Errorf("tenant %q is not a GUID", f.Tenant)
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	}
	if f.Code != "" && f.Status == 0 {
		if _, ok := f.documentedStatus(known); !ok {
			return fmt.Errorf("no status is documented for code %q: give one, or use inBand", f.Code)
		}
	}
	switch f.Cut {
	case "", "before", "after", "within":
	default:
		return fmt.Errorf("cut %q is none of before, after, within", f.Cut)
	}
	for _, v := range f.RetryAfter {
		if strings.ContainsAny(v, "\r\n") {
			return errors.New("retryAfter has a line break")
		}
		if _, err := retryAfter(v, time.Time{}); err != nil {
			return err
		}
	}
	if f.InBand != nil && f.InBand.Code == "" {
		return errors.New("inBand needs a code")
	}
	if t := f.Throttle; t != nil && (t.Requests < 0 || t.Window <= 0 || t.RetryAfter < 0) {
		return errors.New("throttle needs a window, and neither requests nor retryAfter below 0")
	}
	if err := f.Body.check(); err != nil {
		return err
	}
	if f.idle() {
		return errors.New("the rule does nothing")
	}
	return nil
}

func (f *Fault) idle() bool {
	return f.Code == "" && f.Status == 0 && len(f.RetryAfter) == 0 && len(f.Headers) == 0 && f.Delay == 0 &&
		f.Cut == "" && f.Body == nil && f.Redirect == "" && f.NextLink == nil && f.InBand == nil && f.Throttle == nil
}

func (f *Fault) method() string {
	method, _, _ := strings.Cut(f.Operation, " ")
	return method
}

func checkOperation(operation string, known *router) error {
	if operation == "*" {
		return nil
	}
	method, template, found := strings.Cut(operation, " ")
	if !found {
		return fmt.Errorf("operation %q is neither \"*\" nor \"METHOD /template\"", operation)
	}
	if template == "*" {
		return nil
	}
	if known.named(method, splitTemplate(template)) == nil {
		return fmt.Errorf("there is no operation %q", operation)
	}
	return nil
}

// route is the operation that a rule names; nil when it names several.
func (f *Fault) route(known *router) *route {
	method, template, _ := strings.Cut(f.Operation, " ")
	return known.named(method, splitTemplate(template))
}

// documentedStatus is the status of the rule's code: that of the token authority when the rule is about it.
func (f *Fault) documentedStatus(known *router) (int, bool) {
	if rt := f.route(known); rt != nil && rt.area == areaAuthority {
		number, ok := aadNumber(f.Code)
		_, status := aadError(number)
		return status, ok
	}
	return documentedStatus(f.method(), f.Code)
}

// check refuses what could never be.
func (m *FaultMatch) check() error {
	if m == nil {
		return nil
	}
	for name := range m.Headers {
		if strings.EqualFold(name, "Authorization") {
			return errors.New("match: the header Authorization cannot be asked for; tenant narrows a rule to a tenant")
		}
	}
	if len(m.Headers) == 0 && m.Query == "" && m.Body == "" {
		return errors.New("match asks for nothing: give headers, query or body")
	}
	return nil
}

// fits compares a request with what must be in it.
func (m *FaultMatch) fits(c *call) bool {
	if m == nil {
		return true
	}
	for name, text := range m.Headers {
		if !slices.ContainsFunc(c.r.Header.Values(name), func(value string) bool { return strings.Contains(value, text) }) {
			return false
		}
	}
	if raw := c.r.URL.RawQuery; !strings.Contains(raw, m.Query) {
		if plain, err := url.QueryUnescape(raw); err != nil || !strings.Contains(plain, m.Query) {
			return false
		}
	}
	return strings.Contains(string(c.body), m.Body)
}

// respell writes the operation of a checked rule as the ledger does.
func (f *Fault) respell(known *router) {
	method, template, _ := strings.Cut(f.Operation, " ")
	if rt := known.named(method, splitTemplate(template)); rt != nil {
		f.Operation = rt.operation()
	}
}

func (b *FaultBody) check() error {
	if b == nil {
		return nil
	}
	switch b.Mode {
	case "truncated", "html", "empty", "raw":
	case "slow":
		if b.Size < 0 || b.Pause < 0 || b.Pause > Duration(maxPause) {
			return fmt.Errorf("a slow body has pieces of at least 1 byte, and pauses of at most %v", maxPause)
		}
	case "huge":
		if b.Size < 0 || b.Size > maxHugeBody {
			return fmt.Errorf("size of a huge body is not between 0 and %d", maxHugeBody)
		}
	default:
		return fmt.Errorf("body mode %q is none of truncated, html, empty, huge, raw, slow", b.Mode)
	}
	return nil
}

// retryAfter expands the date form relative to the answer's own date.
func retryAfter(value string, date time.Time) (string, error) {
	offset, found := strings.CutPrefix(value, "date")
	if !found {
		return value, nil
	}
	d, err := time.ParseDuration(offset)
	if err != nil {
		return "", fmt.Errorf("retryAfter %q is no date+duration: %w", value, err)
	}
	return date.Add(d).UTC().Format(http.TimeFormat), nil
}

// answersItself tells whether the rule has an answer of its own, so that the
// work is left undone unless AfterWork says otherwise.
func (f *Fault) answersItself() bool { return f.Code != "" || f.Status != 0 || f.Redirect != "" }

func decodeFaults(data []byte) ([]Fault, error) {
	var many []Fault
	if err := decodeStrict(data, &many); err == nil {
		return many, nil
	}
	var one Fault
	if err := decodeStrict(data, &one); err != nil {
		var list []json.RawMessage
		if json.Unmarshal(data, &list) == nil {
			return nil, forPeople(decodeStrict(data, &many)) // the list's own complaint
		}
		return nil, forPeople(err)
	}
	return []Fault{one}, nil
}
