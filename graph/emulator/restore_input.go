package emulator

import (
	"encoding/json"
	"slices"
	"strings"
)

// artifactChange is one artifact of a request: to add, or to remove.
type artifactChange struct {
	artifact  *restoreArtifact // nil to remove
	id        string           // of what to remove
	contentID string           // as the client sent it
}

// artifactReader reads the artifacts of one request.
type artifactReader struct {
	c         *call
	workload  Workload
	malformed string // code of a request that is
	delta     bool
}

func (r *artifactReader) bad(format string, args ...any) *graphError {
	return refuse(r.c.r.Method, r.malformed, format, args...)
}

// kinds are the kinds of artifacts that a request to a workload may have.
func (r *artifactReader) kinds() []artifactKind {
	switch {
	case r.workload != Exchange:
		return []artifactKind{wholeUnit, granularItem}
	case r.delta:
		return []artifactKind{wholeUnit} // the documentation's update has no granular mail
	}
	return []artifactKind{wholeUnit, granularMail}
}

// read reads the body. Without any list, changes is nil.
func (r *artifactReader) read(fields map[string]json.RawMessage) (changes []artifactChange, kind artifactKind, _ *graphError) {
	var names []string
	list := ""
	var raw json.RawMessage
	given := 0
	for _, k := range r.kinds() {
		name := r.workload.artifacts(k)
		if r.delta {
			name += "@delta"
		}
		names = append(names, name)
		if value, sent := fields[name]; sent {
			raw, kind, list = value, k, name
			given++
		}
	}
	if unknown := unknownField(fields, names...); unknown != "" {
		return nil, kind, r.bad("A restore session has no property %q that can be set.", unknown)
	}
	invalid := func(text string) ([]artifactChange, artifactKind, *graphError) {
		return nil, kind, refuse(r.c.r.Method, "InvalidArtifactRequest", "%s", text)
	}
	switch given {
	case 0:
		return nil, kind, nil
	case 2:
		return invalid("Standard and granular artifacts cannot stand in one request.")
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return nil, kind, r.bad("The artifacts are not a list.")
	}
	if len(items) == 0 {
		return invalid("The list of artifacts is empty.")
	}
	if len(items) > maxArtifactsPerRequest {
		return nil, kind, refuse(r.c.r.Method, "RestoreArtifactsLimitBreached",
			"The request has %d artifacts; at most %d are allowed.", len(items), maxArtifactsPerRequest).about(list)
	}
	for i, raw := range items {
		ch, err := r.item(raw, kind)
		if err != nil {
			return nil, kind, err.about(element(list, i, err.target))
		}
		if slices.ContainsFunc(changes, ch.repeats) {
			err := refuse(r.c.r.Method, "DuplicateArtifactInList", "The same artifact stands in the list twice.")
			return nil, kind, err.about(element(list, i, ""))
		}
		changes = append(changes, ch)
	}
	return changes, kind, r.oneDestination(changes)
}

func (ch artifactChange) repeats(other artifactChange) bool {
	if ch.artifact == nil || other.artifact == nil {
		return ch.artifact == nil && other.artifact == nil && strings.EqualFold(ch.id, other.id)
	}
	return ch.artifact.same(other.artifact)
}

func (r *artifactReader) oneDestination(changes []artifactChange) *graphError {
	first := ""
	for _, ch := range changes {
		if ch.artifact == nil {
			continue
		}
		if first == "" {
			first = ch.artifact.destination
		}
		if ch.artifact.destination != first {
			return refuse(r.c.r.Method, "DifferentRestoreDestinationType", "All artifacts need the same destinationType.")
		}
	}
	return nil
}

// item reads one artifact of the list.
func (r *artifactReader) item(raw json.RawMessage, kind artifactKind) (ch artifactChange, _ *graphError) {
	fields, ok := readObject(raw)
	if !ok {
		return ch, r.bad("An artifact is not an object.")
	}
	known := map[artifactKind][]string{
		wholeUnit:    {"restorePoint", "destinationType"},
		granularMail: {"restorePoint", "destinationType", "searchResponseId"},
		granularItem: {"browseSessionId", "id", "itemKey"},
	}[kind]
	if r.delta {
		known = append(known, "@removed", "@contentId", "id")
	}
	if unknown := unknownField(fields, known...); unknown != "" {
		return ch, r.bad("An artifact has no property %q that can be set.", unknown)
	}
	if !readField(fields, "@contentId", &ch.contentID) {
		return ch, r.bad("An @contentId is not a string.")
	}
	if removed, sent := fields["@removed"]; sent {
		if !isRemoval(removed) {
			return ch, r.bad("@removed is not an object with a reason alone.")
		}
		if json.Unmarshal(fields["id"], &ch.id) != nil || ch.id == "" {
			return ch, r.bad("An artifact to remove has no id.")
		}
		return ch, nil
	}
	var err *graphError
	if kind == granularItem {
		ch.artifact, err = r.browsed(fields)
		return ch, err
	}
	if ch.artifact, err = r.pointed(fields); err == nil && kind == granularMail {
		err = r.searched(ch.artifact, fields["searchResponseId"])
	}
	return ch, err
}

// pointed reads an artifact that names a restore point and a destination.
func (r *artifactReader) pointed(fields map[string]json.RawMessage) (*restoreArtifact, *graphError) {
	var point struct {
		ID      string
		ODataID string // the older form; may be a path
	}
	if inner, ok := readObject(fields["restorePoint"]); ok { // what is no object names no point
		if unknown := unknownField(inner, "id"); unknown != "" {
			return nil, r.bad("A restore point has no property %q that can be set.", unknown)
		}
		_ = json.Unmarshal(inner["id"], &point.ID) // what is no string names no point either
		_ = json.Unmarshal(inner["@odata.id"], &point.ODataID)
	}
	id := point.ID
	if id == "" {
		id = point.ODataID[strings.LastIndexByte(point.ODataID, '/')+1:]
		if _, key, ok := cutKey(id); ok {
			id = key
		}
	}
	p := r.c.tenant.findPoint(id, r.c.now)
	if p == nil || p.unit.workload != r.workload {
		return nil, refuse(r.c.r.Method, "InvalidRestorePoint", "The restore point is missing, malformed, or none of a %s.", r.workload.info().thing).about(id)
	}
	a := &restoreArtifact{kind: wholeUnit, unit: p.unit.id, object: p.unit.object, number: p.unit.number, point: *p}
	_ = json.Unmarshal(fields["destinationType"], &a.destination) // what is no string is no destination
	if a.destination != destinationNew && a.destination != destinationInPlace {
		return nil, refuse(r.c.r.Method, "InvalidPathType", "destinationType must be new or inPlace.")
	}
	return a, nil
}

// searched makes an artifact of the mail that a search of the same unit found.
func (r *artifactReader) searched(a *restoreArtifact, raw json.RawMessage) *graphError {
	_ = json.Unmarshal(raw, &a.search) // what is no string was never given out
	s, found := r.c.tenant.vault.searches[a.search]
	if !found || s.unit != a.unit {
		return refuse(r.c.r.Method, "InvalidArtifactRequest", "searchResponseId is not that of a search of this mailbox with a query.")
	}
	a.kind, a.query = granularMail, s.query
	return nil
}

// browsed reads an artifact that names an item of a browse session.
func (r *artifactReader) browsed(fields map[string]json.RawMessage) (*restoreArtifact, *graphError) {
	invalid := func(text string) (*restoreArtifact, *graphError) {
		return nil, refuse(r.c.r.Method, "InvalidArtifactRequest", "%s", text)
	}
	var browse, key string
	name := "id"
	if _, sent := fields["itemKey"]; sent {
		if _, both := fields["id"]; both {
			return invalid("An item is named by id or itemKey, not both.")
		}
		name = "itemKey"
	}
	_ = json.Unmarshal(fields["browseSessionId"], &browse) // what is no string is no session
	_ = json.Unmarshal(fields[name], &key)                 // nor a key
	b := r.c.tenant.vault.browse(browse)
	if b == nil || b.workload != r.workload || b.status != browseCreated {
		return invalid("browseSessionId is not that of a browse session of this workload that can be used.")
	}
	p := r.c.tenant.placeOf(b.workload, b.point.unit.number)
	key = strings.ToLower(key)
	if !isItemKey(key) || !strings.HasPrefix(key, p.guids[0]+","+p.guids[1]) {
		return invalid("The item key is malformed, or of another place than the browse session.")
	}
	return &restoreArtifact{
		kind: granularItem, id: key, browse: b.id, unit: b.point.unit.id,
		object: b.point.unit.object, number: b.point.unit.number, point: b.point,
	}, nil
}
