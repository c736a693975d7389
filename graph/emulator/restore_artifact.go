package emulator

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Destinations of a restore.
const (
	destinationNew     = "new"
	destinationInPlace = "inPlace"
)

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
		host := strings.SplitN(strings.TrimPrefix(p.webURL, "https://"), "/", 2)[0]
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
	ObjectID  string `json:"directoryObjectId,omitempty"`
	SiteID    string `json:"siteId,omitempty"`
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
	if a.session.workload == SharePoint {
		v.SiteID = a.object
	} else {
		v.ObjectID = a.object
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
		v.Status, v.Error = artifactFailed, &publicError{Code: in.Code, Message: in.Message, Target: a.unit}
	}
	return v
}
