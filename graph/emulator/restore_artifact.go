package emulator

import (
	"slices"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
)

// Destinations of a restore.
const (
	destinationNew     = "new"
	destinationInPlace = "inPlace"
)

// artifactKind is what an artifact restores.
type artifactKind int

const (
	wholeUnit    artifactKind = iota
	granularMail              // what a search of a mailbox found
	granularItem              // an item that browsing found
)

// restoreArtifact is one restore of one thing.
type restoreArtifact struct {
	session     *restoreSession
	kind        artifactKind
	position    int    // within the session, from 1
	id          string // of a granular item: its item key
	unit        string // id
	object      string // of the unit
	number      int    // of the unit in the directory
	point       restorePoint
	destination string
	search      string // of granular mail
	query       *expression.Query
	browse      string // of a granular item

	status             string
	doom               *InBandError // what a fault rule wants to become of it
	started, completed time.Time
	err                *publicError
	restored           restored
}

// restored is where a restore put things.
type restored struct {
	id, name, url string
	count         int    // messages
	path          string // of the folder that got an item
}

func (a *restoreArtifact) typeName() string {
	list := a.session.workload.artifacts(a.kind)
	return strings.TrimSuffix(list, "s")
}

// ledgerID tells an artifact from all others. The id of a granular item is its
// key, and other sessions may restore the same.
func (a *restoreArtifact) ledgerID() string {
	if a.kind == granularItem {
		return a.session.id + "/" + a.id
	}
	return a.id
}

// same tells whether two artifacts restore the same thing.
func (a *restoreArtifact) same(b *restoreArtifact) bool {
	return a.kind == b.kind && a.unit == b.unit && a.search == b.search && (a.kind != granularItem || a.id == b.id)
}

// collides tells whether two restores cannot run at once: when they are of the
// same thing, or one is of the whole unit.
func (a *restoreArtifact) collides(b *restoreArtifact) bool {
	return a.same(b) || a.kind == wholeUnit || b.kind == wholeUnit
}

// artifactView is an artifact of a whole unit, or of mail that was found, on the
// wire.
type artifactView struct {
	Type        string       `json:"@odata.type,omitempty"`
	ID          string       `json:"id"`
	Destination string       `json:"destinationType"`
	Status      string       `json:"status"`
	Started     string       `json:"startDateTime,omitempty"`
	Completed   string       `json:"completionDateTime,omitempty"`
	FolderID    string       `json:"restoredFolderId,omitempty"`
	FolderName  string       `json:"restoredFolderName,omitempty"`
	ItemCount   *int         `json:"restoredItemCount,omitempty"`
	SiteID      string       `json:"restoredSiteId,omitempty"`
	SiteName    string       `json:"restoredSiteName,omitempty"`
	SiteURL     string       `json:"restoredSiteWebUrl,omitempty"`
	Search      string       `json:"searchResponseId,omitempty"`
	Point       pointView    `json:"restorePoint"`
	Error       *publicError `json:"error"`
}

// itemView is a granular artifact of an item. What is not set yet is spelt out,
// as Microsoft's examples do.
type itemView struct {
	ID        string `json:"id"`
	Browse    string `json:"browseSessionId"`
	Key       string `json:"restoredItemKey"`
	WebURL    string `json:"webUrl"`
	Path      string `json:"restoredItemPath"`
	ItemURL   string `json:"restoredItemWebUrl"`
	Status    string `json:"status"`
	PointAt   string `json:"restorePointDateTime"`
	Started   string `json:"startDateTime"`
	Completed string `json:"completionDateTime"`
	protectedID
}

func (t *tenant) artifactView(a *restoreArtifact) artifactView {
	v := artifactView{
		ID: a.id, Destination: a.destination, Status: a.status, Search: a.search, Error: a.err, Point: a.point.view(),
	}
	if a.kind == granularMail {
		v.Type = odataType(a.typeName()) // the list's own type does not have searchResponseId
	}
	if !a.started.IsZero() {
		v.Started = graphTime(a.started)
	}
	if !a.completed.IsZero() {
		v.Completed = graphTime(a.completed)
	}
	if a.status != artifactSucceeded {
		return v
	}
	if a.session.workload == Exchange {
		count := a.restored.count
		v.FolderID, v.FolderName, v.ItemCount = a.restored.id, a.restored.name, &count
	} else {
		v.SiteID, v.SiteName, v.SiteURL = a.restored.id, a.restored.name, a.restored.url
	}
	return v
}

const unsetTime = "0001-01-01T00:00:00Z"

func (t *tenant) itemView(a *restoreArtifact) itemView {
	v := itemView{
		ID: a.id, Browse: a.browse, Status: a.status,
		Key: a.restored.id, Path: a.restored.path, ItemURL: a.restored.url,
		PointAt: unsetTime, Started: unsetTime, Completed: unsetTime,
		protectedID: a.session.workload.protectedID(a.object),
	}
	for _, set := range []struct {
		at   time.Time
		into *string
	}{{a.started, &v.Started}, {a.completed, &v.Completed}} {
		if !set.at.IsZero() {
			*set.into = graphTime(set.at)
		}
	}
	if !a.started.IsZero() {
		v.PointAt = graphTime(a.point.at)
		tree := t.tree(t.placeOf(a.session.workload, a.number), a.point.at)
		if i, found := itemByKey(tree, a.id); found {
			v.WebURL = i.url
		}
	}
	return v
}

// listArtifacts makes the handler of a list of artifacts.
func listArtifacts(w Workload, granular bool) handler {
	return func(c *call) (*answer, *graphError) {
		s, err := c.sessionOfWorkload(w)
		if err != nil {
			return nil, err
		}
		kind, options := wholeUnit, []string{"$top"}
		if granular {
			kind, options = granularItem, nil // as the documentation says
		}
		q, err := c.readQuery(options...)
		if err != nil {
			return nil, err
		}
		where := "/" + w.info().name + "RestoreSessions('" + s.id + "')/" + w.artifacts(kind)
		// Mail that was found stands in the list of mailboxes.
		shown := slices.Clone(s.artifacts)
		shown = slices.DeleteFunc(shown, func(a *restoreArtifact) bool { return (a.kind == granularItem) != granular })
		return listing(c, q, where, shown, func(a *restoreArtifact) int { return a.position }, c.listedArtifact), nil
	}
}

// listedArtifact shows an artifact, or how a fault rule says that it failed.
func (c *call) listedArtifact(a *restoreArtifact) any {
	in := c.itemFault(a.id, a.unit, a.object, a.point.id())
	if a.kind == granularItem {
		v := c.tenant.itemView(a)
		if in != nil {
			v.Status = artifactFailed // v1.0 has no error here
		}
		return v
	}
	v := c.tenant.artifactView(a)
	if in != nil {
		v.Status, v.Error = artifactFailed, in.on(a.unit)
	}
	return v
}
