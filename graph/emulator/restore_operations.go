package emulator

import (
	"net/http"
	"slices"
	"strings"
)

// sessionOf finds the restore session that the path names.
func (c *call) sessionOf() (*restoreSession, *graphError) {
	return c.sessionOr("InvalidRestoreSessionId")
}

// sessionOr is sessionOf with a code for a malformed id of its own.
func (c *call) sessionOr(malformed string) (*restoreSession, *graphError) {
	id := c.param(0)
	if !isGUID(id) {
		return nil, refuse(c.r.Method, malformed, "The restore session id is not a GUID.")
	}
	s := c.tenant.vault.byID[strings.ToLower(id)]
	if s == nil {
		return nil, refuse(c.r.Method, "RestoreSessionNotFound", "This tenant has no restore session %s.", id)
	}
	return s, nil
}

// ofWorkload lets only sessions of a workload through: below its path others do
// not exist.
func (c *call) ofWorkload(w Workload, s *restoreSession, err *graphError) (*restoreSession, *graphError) {
	if err == nil && s.workload != w {
		return nil, refuse(c.r.Method, "RestoreSessionNotFound", "Restore session %s is not one for a %s.", s.id, w.info().thing)
	}
	return s, err
}

func (c *call) sessionOfWorkload(w Workload) (*restoreSession, *graphError) {
	s, err := c.sessionOf()
	return c.ofWorkload(w, s, err)
}

// draft refuses a session that has left the draft state.
func (c *call) draft(s *restoreSession, err *graphError) (*restoreSession, *graphError) {
	if err == nil && s.status != sessionDraft {
		return nil, c.notAllowed("The restore session is %s; this needs a draft.", s.status)
	}
	return s, err
}

func (c *call) notAllowed(format string, args ...any) *graphError {
	return refuse(c.r.Method, "RestoreSessionActionNotAllowed", format, args...)
}

func listSessions(c *call) (*answer, *graphError) {
	q, err := c.readQuery("$top")
	if err != nil {
		return nil, err
	}
	return listing(c, q, "/restoreSessions", c.tenant.vault.sessions,
		func(s *restoreSession) int { return s.order }, func(s *restoreSession) any { return s.typedView() }), nil
}

func getSession(c *call) (*answer, *graphError) {
	s, err := c.sessionOf()
	if err != nil {
		return nil, err
	}
	return c.shown(s), nil
}

func (c *call) shown(s *restoreSession) *answer {
	v := s.typedView()
	v.Context = c.context("/restoreSessions/$entity")
	return ok(v)
}

func deleteSession(c *call) (*answer, *graphError) {
	s, err := c.draft(c.sessionOf())
	if err != nil {
		return nil, err
	}
	c.tenant.dropSession(s, c.cause())
	return &answer{status: http.StatusNoContent}, nil
}

func activateSession(c *call) (*answer, *graphError) {
	s, err := c.draft(c.sessionOf())
	if err != nil {
		return nil, err
	}
	if len(s.artifacts) == 0 && s.bulk == nil {
		return nil, c.notAllowed("The restore session has no artifacts.")
	}
	if n := c.tenant.vault.active(); n >= maxActiveSessions {
		return nil, refuse(c.r.Method, "TooManyActiveRestoreSessions", "%d restore sessions are active already.", n)
	}
	for _, a := range s.artifacts {
		a.doom = c.itemFault(a.id, a.unit, a.object, a.point.id())
	}
	c.tenant.activate(s, c.cause())
	return c.shown(s), nil
}

type createdSessionView struct {
	sessionView
	Granular []artifactView `json:"granularMailboxRestoreArtifacts,omitempty"`
}

// createSession makes the handler that creates a session of one workload.
func createSession(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		r := &artifactReader{c: c, workload: w, malformed: "InvalidArtifactRequest"}
		var changes []artifactChange
		if len(strings.TrimSpace(string(c.body))) > 0 {
			fields, ok := readObject(c.body)
			if !ok {
				return nil, r.bad("The body is not a JSON object.")
			}
			var err *graphError
			if changes, _, err = r.read(fields); err != nil {
				return nil, err
			}
		}
		why := c.cause()
		s := c.tenant.newSession(w, why)
		v := createdSessionView{}
		for _, ch := range changes {
			c.tenant.put(s, ch.artifact, why)
			if ch.artifact.kind == granularMail {
				v.Granular = append(v.Granular, c.tenant.artifactView(ch.artifact))
			}
		}
		v.sessionView = s.typedView()
		v.Context = c.context("/" + w.info().name + "RestoreSessions/$entity")
		return &answer{status: http.StatusCreated, body: v, contentLocation: c.url("/restoreSessions/" + s.id)}, nil
	}
}

// patchSession makes the handler that updates a draft of one workload. What is
// wrong with the request fails all of it; what cannot be removed, or what a
// fault rule names, fails as an item.
func patchSession(w Workload) handler {
	return func(c *call) (*answer, *graphError) {
		s, err := c.sessionOfWorkload(w)
		if err != nil {
			return nil, err
		}
		r := &artifactReader{c: c, workload: w, malformed: "InvalidPatchRequest", delta: true}
		fields, isObject := readObject(c.body)
		if !isObject {
			return nil, r.bad("The body is not a JSON object.")
		}
		changes, kind, err := r.read(fields)
		if err != nil {
			return nil, err
		}
		if len(changes) == 0 {
			return nil, refuse(c.r.Method, "InvalidArtifactRequest", "The request names no artifacts.")
		}
		if _, err = c.draft(s, nil); err != nil {
			return nil, err
		}
		if s.bulk != nil {
			return nil, c.notAllowed("The artifacts of a session with a bulk addition request cannot be changed.")
		}
		if err = c.fitsIn(s, changes); err != nil {
			return nil, err
		}
		why := c.cause()
		s.touch(why)
		return ok(map[string]any{
			"@odata.context": c.context("/" + s.typeName() + "s/$entity"), "id": s.id,
			w.artifacts(kind) + "@delta": c.applyDelta(s, changes, why),
		}), nil
	}
}

// applyDelta does a whole delta and shows its items in the request's order.
// Removals come first, so that a delta can replace an artifact.
func (c *call) applyDelta(s *restoreSession, changes []artifactChange, why cause) []any {
	items := make([]any, len(changes))
	for _, removals := range []bool{true, false} {
		for i, ch := range changes {
			if (ch.artifact == nil) == removals {
				items[i] = c.applyToSession(s, ch, why)
			}
		}
	}
	return slices.DeleteFunc(items, func(shown any) bool { return shown == nil })
}

// fitsIn checks a delta against what the session has: additions must be of the
// same kind and destination, and none may be there already, unless what is in
// the way is removed by the same delta.
func (c *call) fitsIn(s *restoreSession, changes []artifactChange) *graphError {
	stays := slices.Clone(s.artifacts)
	for _, ch := range changes {
		if ch.artifact == nil {
			stays = slices.DeleteFunc(stays, func(a *restoreArtifact) bool { return strings.EqualFold(a.id, ch.id) })
		}
	}
	for _, ch := range changes {
		if ch.artifact == nil {
			continue
		}
		for _, a := range stays {
			switch {
			case a.kind != ch.artifact.kind:
				return refuse(c.r.Method, "InvalidArtifactRequest", "Standard and granular artifacts cannot stand in one session.")
			case a.same(ch.artifact):
				return refuse(c.r.Method, "DuplicateArtifactInList", "The session has this artifact already.")
			case a.destination != ch.artifact.destination:
				return refuse(c.r.Method, "DifferentRestoreDestinationType", "The session's artifacts go to %s.", a.destination)
			}
		}
	}
	return nil
}

// failedArtifact is an item of a delta that was not done.
type failedArtifact struct {
	failedChange
	Point *pointView `json:"restorePoint,omitempty"`
}

// applyToSession does one item and shows what became of it; nil is not shown.
func (c *call) applyToSession(s *restoreSession, ch artifactChange, why cause) any {
	if ch.artifact == nil {
		i := slices.IndexFunc(s.artifacts, func(a *restoreArtifact) bool { return strings.EqualFold(a.id, ch.id) })
		if in := c.itemFault(ch.id); in != nil {
			return c.failedArtifact(ch, in.Code, in.Message)
		}
		if i < 0 {
			return c.failedArtifact(ch, "Invalid", "The restore session has no artifact with this id.")
		}
		a := s.artifacts[i]
		c.tenant.takeOut(s, a, why)
		if a.kind == granularItem { // as in Microsoft's example; others leave no trace
			return map[string]any{"id": a.id, "@removed": map[string]string{"reason": "changed"}}
		}
		return nil
	}
	a := ch.artifact
	if in := c.itemFault(a.id, a.unit, a.object, a.point.id()); in != nil {
		return c.failedArtifact(ch, in.Code, in.Message)
	}
	c.tenant.put(s, a, why)
	if a.kind == granularItem {
		return c.tenant.itemView(a)
	}
	return c.tenant.artifactView(a)
}

func (c *call) failedArtifact(ch artifactChange, code, message string) failedArtifact {
	v := failedArtifact{failedChange: failedChange{
		ContentID: ch.contentID, ID: ch.id,
		Exception: changeException{
			Info: publicError{Code: code, Message: message}, Operation: "remove", ResponseCode: http.StatusConflict,
		},
	}}
	what := ch.id
	if a := ch.artifact; a != nil {
		point := a.point.view()
		v.Exception.Operation, v.ID, v.Point = "add", a.id, &point
		what = a.id + point.ID
	}
	if v.ContentID == "" {
		v.ContentID = hashedID(c.requestID, v.Exception.Operation, what)
	}
	return v
}
