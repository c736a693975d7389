package emulator

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (t *tenant) setArtifact(a *restoreArtifact, to string, why cause) {
	if a.status != "" {
		a.session.tally[a.status]--
	}
	a.session.tally[to]++
	t.record(why, a.typeName(), a.ledgerID(), a.status, to, 1)
	a.status = to
}

// activate begins to run a draft.
func (t *tenant) activate(s *restoreSession, why cause) {
	t.setSession(s, sessionStarting, why)
	for _, a := range s.artifacts {
		t.setArtifact(a, artifactScheduling, why)
	}
	if b := s.bulk; b != nil {
		t.steps.schedule(why.at.Add(t.lengths.Restore.Resolve), func(at time.Time) { t.fill(s, b, cause{at: at}) })
	}
	t.steps.schedule(why.at.Add(t.lengths.Restore.Activate), func(at time.Time) {
		if s.bulk != nil && s.bulk.status == requestActive {
			s.held = true // until its artifacts are known
			return
		}
		t.begin(s, cause{at: at})
	})
}

// begin hands the artifacts of an activating session to the queue.
func (t *tenant) begin(s *restoreSession, why cause) {
	t.setSession(s, sessionActive, why)
	for _, a := range s.artifacts {
		t.setArtifact(a, artifactScheduled, why)
	}
	if len(s.artifacts) == 0 { // all that a bulk request asked for was unknown
		t.setSession(s, sessionFailed, why)
		s.completed = why.at
		return
	}
	t.steps.schedule(why.at.Add(t.lengths.Restore.Queue), func(at time.Time) {
		t.vault.waiting[s.workload] = append(t.vault.waiting[s.workload], s.artifacts...)
		t.pump(s.workload, cause{at: at})
	})
}

// pump picks up waiting artifacts as long as the workload has room.
func (t *tenant) pump(w Workload, why cause) {
	v := &t.vault
	for v.running[w] < maxRunning && len(v.waiting[w]) > 0 {
		a := v.waiting[w][0]
		v.waiting[w] = v.waiting[w][1:]
		a.started = why.at
		if err := t.restoreObstacle(a, why.at); err != nil {
			t.finish(a, err, why)
			continue
		}
		v.running[w]++
		v.busy[a.unit] = append(v.busy[a.unit], a)
		t.setArtifact(a, artifactInProgress, why)
		t.steps.schedule(why.at.Add(t.runLength(a)), func(at time.Time) {
			v.running[w]--
			v.busy[a.unit] = slices.DeleteFunc(v.busy[a.unit], func(b *restoreArtifact) bool { return b == a })
			if len(v.busy[a.unit]) == 0 {
				delete(v.busy, a.unit)
			}
			t.finish(a, t.mishap(a), cause{at: at})
			t.pump(w, cause{at: at})
		})
	}
}

// runLength is how long a restore runs.
func (t *tenant) runLength(a *restoreArtifact) time.Duration {
	if a.session.workload != SharePoint && a.number > 0 {
		return cmp.Or(t.dir.user(a.number).restoreTakes, t.lengths.Restore.Run)
	}
	return t.lengths.Restore.Run
}

// restoreObstacle tells why a restore cannot begin, or nil.
func (t *tenant) restoreObstacle(a *restoreArtifact, at time.Time) *publicError {
	fail := func(code, message string) *publicError {
		return &publicError{Code: code, Message: message, Target: a.unit}
	}
	u := t.findUnit(a.unit)
	switch {
	case u == nil || u.status == unitOffboarded:
		return fail("ArtifactNotFound", "There is no backup of this protection unit any more.")
	case !a.point.kept(at):
		return fail("InvalidRestoreTime", "The restore point was past its retention when the restore began.")
	case slices.ContainsFunc(t.vault.busy[a.unit], a.collides):
		return fail("DuplicateArtifactRestoreRequest", "Another restore of the same artifact is in progress.")
	case a.destination == destinationInPlace && a.session.workload != SharePoint && t.dir.user(a.number).preservationLock:
		return fail("ArtifactCannotBeRestored", "The artifact is under a preservation lock.")
	}
	if a.kind == granularItem {
		if _, found := itemByKey(t.tree(t.placeOf(a.session.workload, a.number), a.point.at), a.id); !found {
			return fail("ArtifactNotFound", "The restore point holds no such item.")
		}
	}
	return nil
}

// mishap tells why a restore that ran failed in the end, or nil.
func (t *tenant) mishap(a *restoreArtifact) *publicError {
	switch {
	case a.doom != nil:
		return a.doom.on(a.unit)
	case a.session.workload != SharePoint && t.dir.user(a.number).restoreFails:
		return &publicError{Code: "UnknownError", Message: "Restores of this user always fail.", Target: a.unit}
	}
	return nil
}

// finish ends a restore, and the session when it was the last one.
func (t *tenant) finish(a *restoreArtifact, err *publicError, why cause) {
	a.completed, a.err = why.at, err
	if err != nil {
		t.setArtifact(a, artifactFailed, why)
	} else {
		t.deliver(a, why)
		t.setArtifact(a, artifactSucceeded, why)
	}
	s := a.session
	if gone := why.at.Add(artifactKept); !gone.Equal(s.swept) {
		s.swept = gone
		t.steps.schedule(gone, func(at time.Time) { t.sweep(s, at) })
	}
	good, bad := s.tally[artifactSucceeded], s.tally[artifactFailed]
	if good+bad < s.total() {
		return
	}
	to := sessionPartly
	switch {
	case bad == 0:
		to = sessionCompleted
	case good == 0:
		to = sessionFailed
	}
	t.setSession(s, to, why)
	s.completed = why.at
}

// deliver puts what was restored somewhere and names the place. In place keeps
// the ids; a new place is one that nothing had before.
func (t *tenant) deliver(a *restoreArtifact, why cause) {
	w := a.session.workload
	copied := 0
	if a.destination == destinationNew {
		t.vault.copies[a.unit]++
		copied = t.vault.copies[a.unit]
	}
	switch {
	case a.kind == granularItem:
		t.deliverItem(a, why)
	case w == Exchange:
		a.restored = restored{id: hashedID(t.id, "inbox", a.object), name: "Inbox"}
		if copied > 0 {
			a.restored.id = hashedID(t.id, "restored folder", a.unit, copied)
			a.restored.name = "Restored " + strconv.Itoa(copied)
			t.record(why, "mailFolder", a.restored.id, "", "created", 1)
		}
		a.restored.count = countIn(t.findMail(a.number, a.query, why.at), a.point.at)
	default:
		p := t.placeOf(w, a.number)
		host, _, _ := strings.Cut(strings.TrimPrefix(p.webURL, "https://"), "/")
		a.restored = restored{id: host + "," + p.guids[0] + "," + p.guids[1], name: p.name, url: p.webURL}
		if copied > 0 {
			suffix := "R" + strconv.Itoa(copied-1)
			a.restored.id = host + "," + hashedID(t.id, "restored site", a.unit, copied) + "," +
				hashedID(t.id, "restored web", a.unit, copied)
			a.restored.name, a.restored.url = p.name+suffix, p.webURL+suffix
			t.record(why, "site", a.restored.id, "", "created", 1)
		}
	}
}

// deliverItem copies an item, and all that is in it, into a folder of its own
// library that the session's items share. Later restore points hold the copies.
func (t *tenant) deliverItem(a *restoreArtifact, why cause) {
	p := t.placeOf(a.session.workload, a.number)
	tree := t.tree(p, a.point.at)
	source, _ := itemByKey(tree, a.id)
	library, _, _ := strings.Cut(source.path, "/")
	if library == "" { // the whole site
		library = p.libraries[0]
	}
	folder := library + "/Restored " + a.session.id[:8]
	put := func(path string, i item) {
		t.vault.files[p.object] = append(t.vault.files[p.object], addition{
			path: path, folder: i.kind != itemFile, size: i.size, created: why.at,
		})
	}
	put(folder, item{kind: itemFolder})
	cut := 0
	if source.parent() != "" {
		cut = len(source.parent()) + 1
	}
	target := folder
	if source.path != "" {
		target += "/" + source.path[cut:]
		put(target, source)
	}
	for _, i := range tree {
		if i.below(source.path) {
			put(folder+"/"+i.path[cut:], i)
		}
	}
	a.restored = restored{path: folder}
	for _, i := range t.tree(p, why.at) {
		if i.path == target {
			a.restored.id, a.restored.url = i.key, i.url
		}
	}
}

// sweep removes what came to its end a year ago. The session's counts keep it.
func (t *tenant) sweep(s *restoreSession, at time.Time) {
	s.artifacts = slices.DeleteFunc(s.artifacts, func(a *restoreArtifact) bool {
		old := !a.completed.IsZero() && !a.completed.Add(artifactKept).After(at)
		if old {
			t.record(cause{at: at}, a.typeName(), a.ledgerID(), a.status, "", 1)
		}
		return old
	})
}
