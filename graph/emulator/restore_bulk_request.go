package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// States of a bulk addition request.
const (
	requestActive     = "active"
	requestCompleted  = "completed"
	requestWithErrors = "completedWithErrors"
)

const maxBulkResources = 10_000

// bulkRequest adds the artifacts of many users or sites to a session, by name.
type bulkRequest struct {
	id          string
	name        string
	status      string
	want        wish
	destination string
	names       []string // addresses or URLs
	objects     []string // directory object ids or site ids
	err         *detailedError

	created, modified     time.Time
	createdBy, modifiedBy identitySet
}

func (w Workload) bulkType() string {
	return w.info().thing + "RestoreArtifactsBulkAdditionRequest"
}

// fill makes an artifact for each resource that has a backup in the period.
// A request waits for its session to be activated, and the session for it.
func (t *tenant) fill(s *restoreSession, b *bulkRequest, why cause) {
	details := []publicError{}
	seen := map[string]bool{}
	set := t.units[s.workload]
	try := func(given string, o object) {
		var p *restorePoint
		if o.number > 0 {
			if u := set.find(t, set.unitID(t, o)); u != nil {
				p = b.want.choose(u, why.at, func(restorePoint) bool { return true })
			}
		}
		if p == nil {
			details = append(details, publicError{
				Code: "UserNotBackedup", Target: given,
				Message: fmt.Sprintf("'%s' has no backup in the period.", given),
			})
			return
		}
		if seen[p.unit.id] {
			return // named twice, or by name and by id
		}
		seen[p.unit.id] = true
		t.put(s, &restoreArtifact{
			kind: wholeUnit, unit: p.unit.id, object: o.id, number: o.number, point: *p, destination: b.destination,
		}, why)
	}
	for _, name := range b.names {
		try(name, t.objectByName(s.workload, name))
	}
	for _, id := range b.objects {
		try(id, t.objectByID(s.workload, id))
	}
	to := requestCompleted
	if len(details) > 0 {
		to = requestWithErrors
		b.err = &detailedError{Code: "BulkRestoreArtifactsNotResolved", Message: "Some of the resources could not be resolved.", Details: details}
	}
	t.record(why, s.workload.bulkType(), b.id, b.status, to, 1)
	b.status, b.modified = to, why.at
	s.touch(why)
	for _, a := range s.artifacts {
		t.setArtifact(a, artifactScheduling, why)
	}
	if s.held {
		s.held = false
		t.begin(s, why)
	}
}

// view shows a request, with the lists that it was given or with empty ones, or
// without any.
func (b *bulkRequest) view(w Workload, lists string) map[string]any {
	v := map[string]any{
		"id": b.id, "displayName": b.name, "status": b.status, "destinationType": b.destination,
		"restorePointPreference": "latest", "tags": tagNone, "error": b.err,
		"createdBy": b.createdBy.twice(), "createdDateTime": graphTime(b.created),
		"lastModifiedBy": b.modifiedBy.twice(), "lastModifiedDateTime": graphTime(b.modified),
	}
	if b.want.oldest {
		v["restorePointPreference"] = "oldest"
	}
	if b.want.fast {
		v["tags"] = tagFast
	}
	bounds := map[string]string{}
	if !b.want.period.from.IsZero() {
		bounds["startDateTime"] = graphTime(b.want.period.from)
	}
	if !b.want.period.to.IsZero() {
		bounds["endDateTime"] = graphTime(b.want.period.to)
	}
	v["protectionTimePeriod"] = bounds
	names, objects := w.bulkLists()
	switch lists {
	case "full":
		v[names], v[objects] = append([]string{}, b.names...), append([]string{}, b.objects...)
	case "empty":
		v[names], v[objects] = []string{}, []string{}
	}
	return v
}

// bulkSession finds the session of a path below which bulk requests stand.
func (c *call) bulkSession(w Workload) (*restoreSession, *graphError) {
	s, err := c.sessionOr("InvalidBulkRestoreArtifactId")
	return c.ofWorkload(w, s, err)
}

// bulkOf finds the request that the path names.
func (c *call) bulkOf(w Workload) (*restoreSession, *bulkRequest, *graphError) {
	if id := c.param(1); !isGUID(id) {
		return nil, nil, refuse(c.r.Method, "InvalidBulkRestoreArtifactId", "The request id is not a GUID.")
	}
	s, err := c.bulkSession(w)
	if err != nil {
		return nil, nil, err
	}
	if s.bulk == nil || !strings.EqualFold(s.bulk.id, c.param(1)) {
		return nil, nil, refuse(c.r.Method, "BulkRestoreArtifactsNotFound", "The restore session has no such bulk addition request.")
	}
	return s, s.bulk, nil
}

func (c *call) bulkContext(s *restoreSession, end string) string {
	return c.context("/" + s.typeName() + "s('" + s.id + "')/" + s.workload.bulkType() + "s" + end)
}

func listBulkRequests(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		s, err := c.bulkSession(w)
		if err != nil {
			return nil, err
		}
		if _, err = c.readQuery(); err != nil {
			return nil, err // also for any token, since there is one page only
		}
		views := []any{}
		if s.bulk != nil {
			v := s.bulk.view(w, "")
			v["@odata.type"] = odataType(w.bulkType())
			views = append(views, v)
		}
		return c.answerPage(collection{Context: c.bulkContext(s, ""), Value: views}), nil
	}
}

func getBulkRequest(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		s, b, err := c.bulkOf(w)
		if err != nil {
			return nil, err
		}
		v := b.view(w, "full")
		v["@odata.type"] = odataType(w.bulkType())
		v["@odata.context"] = c.bulkContext(s, "/$entity")
		return ok(v), nil
	}
}

// deleteBulkRequest deletes a request that has come to its end. The session,
// which runs by then, keeps the artifacts that it added.
func deleteBulkRequest(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		s, b, err := c.bulkOf(w)
		if err != nil {
			return nil, err
		}
		if b.status == requestActive {
			return nil, refuse(c.r.Method, "InvalidStateForBulkRequestDeletion", "The request is active; it must be completed to be deleted.")
		}
		why := c.cause()
		s.bulk = nil
		s.touch(why)
		c.tenant.record(why, w.bulkType(), b.id, b.status, "", 1)
		return &answer{status: http.StatusNoContent}, nil
	}
}

// createBulkRequest makes the handler that adds a bulk request to a draft.
func createBulkRequest(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		s, err := c.bulkSession(w)
		if err != nil {
			return nil, err
		}
		b, err := c.readBulk(w)
		if err != nil {
			return nil, err
		}
		if _, err = c.draft(s, nil); err != nil {
			return nil, err
		}
		if s.bulk != nil || len(s.artifacts) > 0 {
			return nil, c.notAllowed("The restore session has artifacts or a bulk addition request already.")
		}
		t, why := c.tenant, c.cause()
		b.id, b.status = t.newID("bulk addition request"), requestActive
		b.created, b.modified, b.createdBy, b.modifiedBy = why.at, why.at, why.by, why.by
		s.bulk, s.bulkJob = b, true
		s.touch(why)
		t.record(why, w.bulkType(), b.id, "", requestActive, 1)
		v := b.view(w, "empty")
		v["@odata.context"] = c.bulkContext(s, "/$entity")
		return &answer{status: http.StatusCreated, body: v}, nil
	}
}

func (c *call) readBulk(w Workload) (*bulkRequest, *graphError) {
	bad := func(format string, args ...any) (*bulkRequest, *graphError) {
		return nil, refuse(c.r.Method, "BulkRestoreInvalidCreateRequest", format, args...)
	}
	fields, ok := readObject(c.body)
	if !ok {
		return bad("The body is not a JSON object.")
	}
	names, objects := w.bulkLists()
	if unknown := unknownField(fields, "displayName", names, objects, "protectionUnitIds", "protectionTimePeriod",
		"destinationType", "tags", "restorePointPreference"); unknown != "" {
		return bad("A %s has no property %q that can be set.", w.bulkType(), unknown)
	}
	b := &bulkRequest{}
	want, problem := readWish(fields)
	if problem != "" {
		return bad("%s", problem)
	}
	b.want = want
	if !readField(fields, "displayName", &b.name) {
		return bad("displayName is not a string.")
	}
	_ = json.Unmarshal(fields["destinationType"], &b.destination) // what is no string is no destination
	if b.destination != destinationNew && b.destination != destinationInPlace {
		return bad("destinationType must be new or inPlace.")
	}
	var units []json.RawMessage
	if !readField(fields, "protectionUnitIds", &units) || len(units) > 0 {
		return bad("protectionUnitIds is documented as not implemented.")
	}
	lists := map[string][]*string{} // pointers tell null from ""
	for _, name := range []string{names, objects} {
		var list []*string
		if !readField(fields, name, &list) {
			return bad("%s is not a list of strings.", name)
		}
		lists[name] = list
	}
	switch n := len(lists[names]) + len(lists[objects]); {
	case n == 0:
		err := refuse(c.r.Method, "BulkRestoreInvalidCreateRequest", "The request names nothing to restore: %s and %s are empty.", names, objects)
		return nil, err.about(names)
	case n > maxBulkResources:
		return nil, refuse(c.r.Method, "BulkRestoreRestorationResourcesCountExceedsLimit", "The request names %d resources; at most %d are allowed.", n, maxBulkResources).about(longer(names, len(lists[names]), objects, len(lists[objects])))
	}
	code, valid := "BulkRestoreInvalidCreateRequestUserEmail", isAddress
	if w == SharePoint {
		code, valid = "BulkRestoreInvalidCreateRequestSiteUrl", isSiteURL
	}
	for i, name := range lists[names] {
		if name == nil || !valid(*name) {
			return nil, refuse(c.r.Method, code, "One of the %s is missing or malformed.", names).about(element(names, i, ""))
		}
		b.names = append(b.names, *name)
	}
	for i, id := range lists[objects] {
		if id == nil || w == SharePoint && !isSiteID(*id) || w != SharePoint && !isGUID(*id) {
			err := refuse(c.r.Method, "BulkRestoreInvalidCreateRequest", "One of the %s is missing or malformed.", objects)
			return nil, err.about(element(objects, i, ""))
		}
		b.objects = append(b.objects, *id)
	}
	return b, nil
}
