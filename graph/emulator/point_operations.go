package emulator

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
)

const (
	maxListedPoints = 5
	maxSearchUnits  = 20
)

func (c *call) badSearch(format string, args ...any) *graphError {
	return refuse(c.r.Method, "InvalidSearchRequest", format, args...)
}

// listPoints answers at most five points of one unit; there are no pages.
func listPoints(c *call) (*answer, *graphError) {
	values, refusal := c.options("$expand", "$filter", "$orderby")
	if refusal != nil {
		return nil, refusal
	}
	want, refusal := c.readPointFilter(values.Get("$expand"), values.Get("$filter"))
	if refusal != nil {
		return nil, refusal
	}
	newestFirst := true
	if order, given := values["$orderby"]; given {
		switch strings.Join(strings.Fields(order[0]), " ") {
		case "protectionDateTime", "protectionDateTime asc":
			newestFirst = false
		case "protectionDateTime desc":
		default:
			return nil, c.badSearch("$orderby knows protectionDateTime, asc and desc only.").about("$orderby")
		}
	}
	views := []pointView{}
	for p := range want.unit.points(c.now, want.from, want.to, newestFirst) {
		if !want.unit.within(want.policy) {
			break
		}
		if views = append(views, p.expandedView()); len(views) == maxListedPoints {
			break
		}
	}
	page := collection{Context: c.context("/restorePoints"), Value: views}
	if c.shape.count {
		page.Count = new(len(views))
	}
	return c.answerPage(page), nil
}

// period is a time range of a request; a zero bound is open.
type period struct{ from, to time.Time }

func readPeriod(raw json.RawMessage) (p period, problem string) {
	if raw == nil || string(raw) == "null" {
		return p, ""
	}
	fields, ok := readObject(raw)
	if !ok || unknownField(fields, "startDateTime", "endDateTime") != "" {
		return p, "protectionTimePeriod is not an object with startDateTime and endDateTime."
	}
	for _, bound := range []struct {
		name string
		into *time.Time
	}{{"startDateTime", &p.from}, {"endDateTime", &p.to}} {
		if !readField(fields, bound.name, bound.into) {
			return p, "The " + bound.name + " of protectionTimePeriod is not a time."
		}
	}
	if !p.from.IsZero() && !p.to.IsZero() && !p.from.Before(p.to) {
		return p, "protectionTimePeriod ends before it starts."
	}
	return p, ""
}

// wish is which of a unit's points a request wants.
type wish struct {
	period period
	oldest bool
	fast   bool
}

// readWish reads what searches and bulk addition requests have in common.
func readWish(fields map[string]json.RawMessage) (w wish, problem string) {
	if w.period, problem = readPeriod(fields["protectionTimePeriod"]); problem != "" {
		return w, problem
	}
	var preference, tags *string
	if !readField(fields, "restorePointPreference", &preference) {
		return w, "restorePointPreference is not a string."
	}
	if !readField(fields, "tags", &tags) {
		return w, "tags is not a string."
	}
	if preference != nil {
		if *preference != "latest" && *preference != "oldest" {
			return w, "restorePointPreference is neither latest nor oldest."
		}
		w.oldest = *preference == "oldest"
	}
	if tags != nil {
		if *tags != tagNone && *tags != tagFast {
			return w, "tags is neither none nor fastRestore."
		}
		w.fast = *tags == tagFast
	}
	return w, ""
}

// choose returns the point of a unit that a wish leads to and that fits; nil
// when there is none.
func (w wish) choose(u *unit, now time.Time, fits func(restorePoint) bool) *restorePoint {
	for p := range u.points(now, w.period.from, w.period.to, !w.oldest) {
		if (!w.fast || p.fast()) && fits(p) {
			return &p
		}
	}
	return nil
}

type searchView struct {
	Context  string         `json:"@odata.context"`
	ID       string         `json:"searchResponseId"`
	Results  []searchResult `json:"searchResults"`
	NoResult []string       `json:"noResultProtectionUnitIds"`
}

type searchResult struct {
	Hits  *int      `json:"artifactHitCount,omitempty"` // with a query only
	Point pointView `json:"restorePoint"`
}

// searchPoints answers one point per unit. With a mail query, only points that
// hold a message that it fits count.
func searchPoints(c *call) (*answer, *graphError) {
	ids, policy, want, query, err := c.readSearch()
	if err != nil {
		return nil, err
	}
	t := c.tenant
	view := searchView{
		Context: c.context("/restorePoints"), ID: strings.ReplaceAll(hashedID(t.id, "search", c.requestID), "-", ""),
		Results: []searchResult{}, NoResult: []string{},
	}
	for _, id := range ids {
		u := t.findUnit(id)
		if u != nil && query != nil && u.workload != Exchange {
			return nil, c.badSearch("Only mailboxes can be searched for messages.")
		}
		if u != nil && !u.within(policy) {
			return nil, c.badSearch("Unit %s does not belong to policyId.", id).about(id)
		}
		result := searchResult{}
		var p *restorePoint
		if u != nil {
			var mail []message
			if query != nil {
				mail = t.findMail(u.number, query, c.now)
			}
			p = want.choose(u, c.now, func(p restorePoint) bool { return query == nil || countIn(mail, p.at) > 0 })
			if p != nil && query != nil {
				hits := countIn(mail, p.at)
				result.Hits = &hits
				t.vault.remember(view.ID, mailSearch{unit: u.id, query: query})
			}
		}
		if p == nil {
			view.NoResult = append(view.NoResult, id)
			continue
		}
		result.Point = p.expandedView()
		view.Results = append(view.Results, result)
	}
	return ok(view), nil
}

func (c *call) readSearch() (ids []string, policy string, want wish, query *expression.Query, _ *graphError) {
	bad := func(err *graphError) ([]string, string, wish, *expression.Query, *graphError) {
		return nil, "", want, nil, err
	}
	fields, ok := readObject(c.body)
	if !ok {
		return bad(c.badSearch("The body is not a JSON object."))
	}
	if unknown := unknownField(fields, "protectionUnitIds", "policyId", "protectionTimePeriod", "restorePointPreference", "tags", "artifactQuery"); unknown != "" {
		return bad(c.badSearch("A search has no property %q.", unknown))
	}
	if json.Unmarshal(fields["protectionUnitIds"], &ids) != nil || len(ids) == 0 || len(ids) > maxSearchUnits {
		return bad(c.badSearch("protectionUnitIds must be a list of 1 to %d ids.", maxSearchUnits).about("protectionUnitIds"))
	}
	for i, id := range ids {
		if !isUnitID(id) {
			return bad(refuse(c.r.Method, "InvalidProtectionUnitId", "A protection unit id is malformed.").about(element("protectionUnitIds", i, id)))
		}
		ids[i] = canonicalUnitID(id)
		if slices.Contains(ids[:i], ids[i]) {
			return bad(c.badSearch("%s stands in the list twice.", id).about(element("protectionUnitIds", i, "")))
		}
	}
	if !readField(fields, "policyId", &policy) || policy != "" && !isGUID(policy) {
		return bad(c.badSearch("policyId is not a GUID.").about("policyId"))
	}
	want, problem := readWish(fields)
	if problem != "" {
		return bad(c.badSearch("%s", problem))
	}
	raw := fields["artifactQuery"]
	if raw == nil || string(raw) == "null" {
		return ids, policy, want, nil, nil
	}
	if len(ids) != 1 {
		return bad(c.badSearch("With artifactQuery there must be exactly one protection unit.").about("artifactQuery"))
	}
	query, err := c.readMailQuery(raw)
	return ids, policy, want, query, err
}

func (c *call) readMailQuery(raw json.RawMessage) (*expression.Query, *graphError) {
	fields, ok := readObject(raw)
	if !ok || unknownField(fields, "queryExpression", "artifactType") != "" {
		return nil, c.badSearch("artifactQuery is not an object with queryExpression and artifactType.")
	}
	kind, text := "message", ""
	if !readField(fields, "artifactType", &kind) || kind != "message" {
		return nil, c.badSearch("artifactType must be message.")
	}
	if json.Unmarshal(fields["queryExpression"], &text) != nil {
		return nil, c.badSearch("queryExpression is not a string.")
	}
	query, wrong := expression.ParseQuery(text, expression.MailVocabulary())
	if wrong != nil {
		return nil, refuse(c.r.Method, cmp.Or(wrong.Code, "InvalidSearchRequest"), "%s", wrong.Message)
	}
	return query, nil
}
