package emulator

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator/internal/expression"
)

// States of a browse session. One that has expired is gone.
const (
	browseCreating = "creating"
	browseCreated  = "created"
	browseFailed   = "failed"
)

const (
	browseLife     = 3 * day
	browsePageSize = 10
)

// browseSession shows what a restore point of a drive or site holds.
type browseSession struct {
	workload Workload
	order    int // of creation, from 1
	id       string
	point    restorePoint
	status   string
	err      *publicError
	size     int64
	created  time.Time
}

func (b *browseSession) typeName() string { return b.workload.info().name + "BrowseSession" }

// browse finds a session that has not expired; nil when there is none.
func (v *vault) browse(id string) *browseSession {
	i := slices.IndexFunc(v.browses, func(b *browseSession) bool { return b.id == id })
	if i < 0 {
		return nil
	}
	return v.browses[i]
}

// newBrowse makes a session, which ends by itself.
func (t *tenant) newBrowse(p restorePoint, doom *InBandError, why cause) *browseSession {
	t.vault.made++
	sum := sha512.Sum512([]byte(t.newID("browse session")))
	b := &browseSession{
		workload: p.unit.workload, order: t.vault.made, id: base64.RawURLEncoding.EncodeToString(sum[:36]),
		point: p, status: browseCreating, created: why.at,
	}
	_, b.size = childrenOf(t.tree(t.placeOf(b.workload, p.unit.number), p.at), item{})
	t.vault.browses = append(t.vault.browses, b)
	t.record(why, b.typeName(), b.id, "", browseCreating, 1)
	ready := func(why cause) {
		to := browseCreated
		if doom != nil {
			to, b.err = browseFailed, doom.on("")
		}
		t.record(why, b.typeName(), b.id, b.status, to, 1)
		b.status = to
	}
	if wait := t.lengths.Restore.Browse; wait > 0 {
		t.steps.schedule(why.at.Add(wait), func(at time.Time) { ready(cause{at: at}) })
	} else {
		ready(why)
	}
	t.steps.schedule(why.at.Add(browseLife), func(at time.Time) {
		t.record(cause{at: at}, b.typeName(), b.id, b.status, "", 1)
		t.vault.browses = slices.DeleteFunc(t.vault.browses, func(other *browseSession) bool { return other == b })
	})
	return b
}

type browseView struct {
	Context string `json:"@odata.context,omitempty"`
	Type    string `json:"@odata.type,omitempty"`
	ID      string `json:"id"`
	PointAt string `json:"restorePointDateTime"`
	Status  string `json:"status"`
	Created string `json:"createdDateTime"`
	Expires string `json:"expirationDateTime"`
	Size    string `json:"backupSizeInBytes"`
	protectedID
	Error *publicError `json:"error,omitempty"`
}

func (b *browseSession) view() browseView {
	return browseView{
		ID: b.id, PointAt: graphTime(b.point.at), Status: b.status, Created: graphTime(b.created),
		Expires: graphTime(b.created.Add(browseLife)), Size: strconv.FormatInt(b.size, 10), Error: b.err,
		protectedID: b.workload.protectedID(b.point.unit.object),
	}
}

func (b *browseSession) typedView() browseView {
	v := b.view()
	v.Type = odataType(b.typeName())
	return v
}

// browsedItem is a browseQueryResponseItem.
type browsedItem struct {
	Key      string  `json:"itemKey"`
	Name     string  `json:"name"`
	URL      string  `json:"webUrl"`
	Kind     string  `json:"type"`
	Children *int    `json:"itemsCount,omitempty"`
	Size     *string `json:"sizeInBytes,omitempty"`
}

// browseQuery is what a browse asks for; a token carries it to the next page.
type browseQuery struct {
	Location string `json:"l,omitempty"` // item key; empty for the top
	Filter   string `json:"f,omitempty"`
	Order    string `json:"o,omitempty"`
	Skip     int    `json:"s,omitempty"`
}

// found lists what a query finds: the children of its location or, with a
// filter, what fits anywhere below it.
func (t *tenant) found(b *browseSession, q browseQuery, only *expression.Query) (page []browsedItem, more bool) {
	p := t.placeOf(b.workload, b.point.unit.number)
	tree := t.tree(p, b.point.at)
	var hits []item
	if q.Location == "" && only == nil {
		hits = tree[:1]
	} else {
		location := tree[0]
		if q.Location != "" {
			location, _ = itemByKey(tree, q.Location)
		}
		for _, i := range tree {
			switch {
			case !i.below(location.path):
			case only == nil && i.parent() == location.path,
				only != nil && only.Matches(func(x *expression.Comparison) bool { return x.HoldsText(i.name()) }):
				hits = append(hits, i)
			}
		}
	}
	slices.SortStableFunc(hits, browseOrder(q.Order))
	hits = hits[min(q.Skip, len(hits)):]
	more = len(hits) > browsePageSize
	page = []browsedItem{}
	for _, i := range hits[:min(browsePageSize, len(hits))] {
		v := browsedItem{Key: i.key, Name: i.name(), URL: i.url, Kind: i.kind}
		if i.kind == itemSite {
			v.Name = p.name
		} else {
			children, size := childrenOf(tree, i)
			text := fmt.Sprint(size)
			v.Children, v.Size = &children, &text
		}
		page = append(page, v)
	}
	return page, more
}
