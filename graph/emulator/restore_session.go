package emulator

import (
	"slices"
	"time"
)

// States of a restore session.
const (
	sessionDraft     = "draft"
	sessionActive    = "active"
	sessionStarting  = "activating"
	sessionCompleted = "completed"
	sessionPartly    = "completedWithError"
	sessionFailed    = "failed"
)

// States of a restore artifact.
const (
	artifactAdded      = "added"
	artifactScheduling = "scheduling"
	artifactScheduled  = "scheduled"
	artifactInProgress = "inProgress"
	artifactSucceeded  = "succeeded"
	artifactFailed     = "failed"
)

// Kinds of restore jobs.
const (
	jobStandard = "standard"
	jobBulk     = "bulk"
	jobGranular = "granular"
)

const (
	maxArtifactsPerRequest = 50
	maxActiveSessions      = 25
	maxRunning             = 1000 // artifacts of a workload in progress at once
	artifactKept           = longDays * day
)

// restoreSession is a set of restores that run together.
type restoreSession struct {
	workload  Workload
	order     int // of creation, from 1
	id        string
	status    string
	granular  bool
	artifacts []*restoreArtifact // in order of position
	placed    int                // the last position given
	tally     map[string]int     // artifacts by status, those removed after a year too
	bulk      *bulkRequest       // nil without
	bulkJob   bool               // has, or ran with, a bulk request
	held      bool               // would be active, and waits for its bulk request
	swept     time.Time          // when the last removal of old artifacts is due

	created, modified, completed time.Time
	createdBy, modifiedBy        identitySet
}

func (s *restoreSession) jobType() string {
	switch {
	case s.bulkJob:
		return jobBulk
	case s.granular:
		return jobGranular
	}
	return jobStandard
}

func (s *restoreSession) typeName() string { return s.workload.info().name + "RestoreSession" }

// artifacts is the name of the collection of the workload's artifacts of a kind.
func (w Workload) artifacts(k artifactKind) string {
	return map[artifactKind]string{
		wholeUnit:    w.info().thing + "RestoreArtifacts",
		granularMail: "granularMailboxRestoreArtifacts",
		granularItem: map[Workload]string{OneDrive: "granularDriveRestoreArtifacts", SharePoint: "granularSiteRestoreArtifacts"}[w],
	}[k]
}

func (t *tenant) newSession(w Workload, why cause) *restoreSession {
	t.vault.made++
	s := &restoreSession{
		workload: w, order: t.vault.made, id: t.newID("restore session"), status: sessionDraft, tally: map[string]int{},
		created: why.at, modified: why.at, createdBy: why.by, modifiedBy: why.by,
	}
	t.vault.sessions = append(t.vault.sessions, s)
	t.vault.byID[s.id] = s
	t.record(why, s.typeName(), s.id, "", sessionDraft, 1)
	return s
}

// dropSession removes a draft and all that is in it.
func (t *tenant) dropSession(s *restoreSession, why cause) {
	t.vault.sessions = slices.DeleteFunc(t.vault.sessions, func(other *restoreSession) bool { return other == s })
	delete(t.vault.byID, s.id)
	t.record(why, s.typeName(), s.id, s.status, "", 1)
}

func (s *restoreSession) touch(why cause) { why.sign(&s.modified, &s.modifiedBy) }

func (t *tenant) setSession(s *restoreSession, to string, why cause) {
	t.record(why, s.typeName(), s.id, s.status, to, 1)
	s.status = to
	s.touch(why)
}

// put adds an artifact to a session.
func (t *tenant) put(s *restoreSession, a *restoreArtifact, why cause) {
	s.placed++
	a.session, a.position = s, s.placed
	if a.id == "" {
		a.id = t.newID("restore artifact")
	}
	s.granular = a.kind != wholeUnit
	s.artifacts = append(s.artifacts, a)
	t.setArtifact(a, artifactAdded, why)
}

// takeOut removes an artifact from a draft.
func (t *tenant) takeOut(s *restoreSession, a *restoreArtifact, why cause) {
	s.artifacts = slices.DeleteFunc(s.artifacts, func(other *restoreArtifact) bool { return other == a })
	s.tally[a.status]--
	s.granular = s.granular && len(s.artifacts) > 0
	t.record(why, a.typeName(), a.ledgerID(), a.status, "", 1)
}

// active counts the sessions that are under way.
func (v *vault) active() int {
	n := 0
	for _, s := range v.sessions {
		if s.status == sessionStarting || s.status == sessionActive {
			n++
		}
	}
	return n
}

// total is how many artifacts there are, or were until a year after their end.
func (s *restoreSession) total() int {
	n := 0
	for _, of := range s.tally {
		n += of
	}
	return n
}

type sessionCount struct {
	Total      int `json:"total"`
	Completed  int `json:"completed"`
	InProgress int `json:"inProgress"`
	Failed     int `json:"failed"`
}

type sessionView struct {
	Context    string       `json:"@odata.context,omitempty"`
	Type       string       `json:"@odata.type,omitempty"`
	ID         string       `json:"id"`
	Status     string       `json:"status"`
	JobType    string       `json:"restoreJobType"`
	Count      sessionCount `json:"restoreSessionArtifactCount"`
	CreatedBy  identitySet  `json:"createdBy"`
	CreatedAt  string       `json:"createdDateTime"`
	ModifiedBy identitySet  `json:"lastModifiedBy"`
	ModifiedAt string       `json:"lastModifiedDateTime"`
	Completed  string       `json:"completedDateTime,omitempty"`
	Error      *publicError `json:"error"`
}

func (s *restoreSession) view() sessionView {
	v := sessionView{
		ID: s.id, Status: s.status, JobType: s.jobType(),
		Count: sessionCount{
			Total: s.total(), Completed: s.tally[artifactSucceeded], Failed: s.tally[artifactFailed], InProgress: s.tally[artifactInProgress],
		},
		CreatedBy: s.createdBy, CreatedAt: graphTime(s.created),
		ModifiedBy: s.modifiedBy, ModifiedAt: graphTime(s.modified),
	}
	if !s.completed.IsZero() {
		v.Completed = graphTime(s.completed)
	}
	return v
}

// typedView is the view where the collection or operation is polymorphic.
func (s *restoreSession) typedView() sessionView {
	v := s.view()
	v.Type = odataType(s.typeName())
	return v
}
