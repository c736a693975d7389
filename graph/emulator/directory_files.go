package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Types of items, as browsing shows them.
const (
	itemSite    = "site"
	itemLibrary = "documentLibrary"
	itemFolder  = "folder"
	itemFile    = "file"
)

const (
	driveLibrary = "Documents"
	siteLibrary  = "Shared Documents"
	secondary    = "Site Assets"
)

// File is a file or folder to put into a drive or site.
type File struct {
	Tenant string `json:"tenant,omitempty"` // empty is [Options.DefaultTenant]
	// Object is whose: a user's object id or address for the drive, or the id or URL of a site.
	Object string `json:"object"`
	// Path begins with the document library ("Documents" in a drive, "Shared
	// Documents" or "Site Assets" in a site). Folders on the way are made.
	Path    string    `json:"path"`
	Folder  bool      `json:"folder,omitempty"`
	Size    int64     `json:"size,omitempty"`
	Created time.Time `json:"created,omitzero"` // zero: now; older restore points do not hold it
}

// addition is an item that was added to a place.
type addition struct {
	path    string
	folder  bool
	size    int64
	created time.Time
}

// place is a drive or site as a container of items.
type place struct {
	object    string    // id of the user or site
	guids     [2]string // the first two of each item key
	name      string
	webURL    string
	libraries []string
	number    int
}

// placeOf is the drive of a user, or the site, that a unit protects.
func (t *tenant) placeOf(w Workload, number int) place {
	if w == SharePoint {
		s := t.dir.site(number)
		parts := strings.Split(s.id, ",")
		return place{
			object: s.id, guids: [2]string{parts[1], parts[2]}, name: s.name, webURL: s.webURL,
			libraries: []string{siteLibrary, secondary}, number: number,
		}
	}
	u := t.dir.user(number)
	local, _, _ := strings.Cut(u.mail, "@")
	return place{
		object: u.id, guids: [2]string{u.id, hashedID(t.id, "drive web", u.id)}, name: u.displayName,
		webURL:    "https://" + t.dir.host + "-my.sharepoint.example/personal/" + strings.ReplaceAll(local, ".", "_"),
		libraries: []string{driveLibrary}, number: number,
	}
}

// item is a node of a place's tree.
type item struct {
	kind string
	path string // below the place, "" for the site itself
	key  string // 2 GUIDs for a site, 3 for a library, 4 for what is in it
	size int64
	url  string
}

func (i item) name() string { return i.path[strings.LastIndexByte(i.path, '/')+1:] }

// parent is the path of the item that holds this one.
func (i item) parent() string { return i.path[:max(strings.LastIndexByte(i.path, '/'), 0)] }

// below tells whether the item is a descendant of the one at a path.
func (i item) below(path string) bool {
	return i.path != "" && (path == "" || strings.HasPrefix(i.path, path+"/"))
}

// tree is what a place holds at a moment, parents before children.
func (t *tenant) tree(p place, at time.Time) []item {
	guids := p.guids[0] + "," + p.guids[1]
	items := []item{{kind: itemSite, key: guids, url: p.webURL}}
	known := map[string]bool{"": true}
	add := func(kind, path string, size int64) {
		if known[path] {
			return
		}
		known[path] = true
		library, _, _ := strings.Cut(path, "/")
		key := guids + "," + hashedID(p.object, "library", library)
		if kind == itemFile || kind == itemFolder {
			key += "," + hashedID(p.object, "item", path)
		}
		items = append(items, item{kind: kind, path: path, key: key, size: size, url: p.webURL + "/" + path})
	}
	for _, library := range p.libraries {
		add(itemLibrary, library, 0)
	}
	if !t.vault.ownFiles[p.object] && !at.Before(t.vault.seededAt.Add(-contentAge)) {
		p.seeded(add)
	}
	for _, a := range t.vault.files[p.object] {
		if a.created.After(at) {
			continue
		}
		for i, r := range a.path {
			if r == '/' {
				add(itemFolder, a.path[:i], 0) // libraries are known already
			}
		}
		if a.folder {
			add(itemFolder, a.path, 0)
		} else {
			add(itemFile, a.path, a.size)
		}
	}
	return items
}

// contentAge is how long before its seed a tenant's files were made: longer than
// any restore point is kept.
const contentAge = 20 * 365 * day

// seeded adds the computed content: some files in the first library, a folder
// with 23 reports, which is more than two pages, and one in another.
func (p place) seeded(add func(kind, path string, size int64)) {
	top := p.libraries[0]
	for i := 1; i <= 3+p.number%4; i++ {
		add(itemFile, top+"/note "+strconv.Itoa(i)+".txt", int64(100*i+p.number))
	}
	add(itemFolder, top+"/Reports", 0)
	for i := 1; i <= 23; i++ {
		add(itemFile, fmt.Sprintf("%s/Reports/report %02d.docx", top, i), int64(2000+10*i))
	}
	add(itemFolder, top+"/Projects", 0)
	add(itemFile, top+"/Projects/plan.xlsx", 4096)
	add(itemFolder, top+"/Projects/Archive", 0)
	add(itemFile, top+"/Projects/Archive/old plan.xlsx", 2048)
	if len(p.libraries) > 1 {
		add(itemFile, p.libraries[1]+"/logo.png", 512)
	}
}

// childrenOf counts an item's children and adds up the sizes of all files below.
func childrenOf(tree []item, of item) (children int, size int64) {
	size = of.size
	for _, i := range tree {
		if i.below(of.path) {
			size += i.size
			if i.parent() == of.path {
				children++
			}
		}
	}
	return children, size
}

func itemByKey(tree []item, key string) (item, bool) {
	i := slices.IndexFunc(tree, func(i item) bool { return strings.EqualFold(i.key, key) })
	if i < 0 {
		return item{}, false
	}
	return tree[i], true
}

// isItemKey tells whether s is 2 to 4 GUIDs with commas between.
func isItemKey(s string) bool {
	parts := strings.Split(s, ",")
	return len(parts) >= 2 && len(parts) <= 4 && !slices.ContainsFunc(parts, func(p string) bool { return !isGUID(p) })
}

// AddFile puts a file or folder into a drive or site and returns its item key.
// It refuses a tenant that is no GUID, an object without a drive, a path outside
// the libraries or with empty parts, and one that exists.
func (e *Emulator) AddFile(f File) (itemKey string, err error) {
	err = e.inTenant(cmp.Or(f.Tenant, e.opts.DefaultTenant), func(t *tenant, now time.Time) error {
		var err error
		itemKey, err = t.addFile(f, now)
		return err
	})
	return itemKey, err
}

// placeNamed finds a drive by its user's id or address, a site by its id or URL.
func (t *tenant) placeNamed(name string) (place, error) {
	for _, w := range []Workload{OneDrive, SharePoint} {
		o := t.objectByID(w, name)
		if o.number == 0 {
			o = t.objectByName(w, name)
		}
		if t.licensed(w, o) {
			return t.placeOf(w, o.number), nil
		}
	}
	return place{}, fmt.Errorf("tenant %s has neither a drive nor a site %q", t.id, name)
}

func (t *tenant) addFile(f File, now time.Time) (itemKey string, err error) {
	p, err := t.placeNamed(f.Object)
	if err != nil {
		return "", err
	}
	parts := strings.Split(f.Path, "/")
	if len(parts) < 2 || slices.Contains(parts, "") || !slices.Contains(p.libraries, parts[0]) {
		return "", fmt.Errorf("path %q does not lead into one of the libraries %v", f.Path, p.libraries)
	}
	if f.Size < 0 || f.Folder && f.Size > 0 {
		return "", fmt.Errorf("size %d of %q makes no sense", f.Size, f.Path)
	}
	if f.Created.IsZero() {
		f.Created = now
	}
	for _, have := range t.tree(p, farFuture()) {
		if have.path == f.Path || have.kind == itemFile && strings.HasPrefix(f.Path, have.path+"/") {
			return "", errors.New(have.path + " is there already")
		}
	}
	t.vault.files[p.object] = append(t.vault.files[p.object], addition{f.Path, f.Folder, f.Size, f.Created})
	for _, i := range t.tree(p, farFuture()) {
		if i.path == f.Path {
			itemKey = i.key
		}
	}
	return itemKey, nil
}

// farFuture is later than anything that is in a tree.
func farFuture() time.Time { return time.Unix(1<<40, 0) }

func (e *Emulator) controlFiles(in controlRequest) (any, error) {
	var what File
	if err := in.read(&what); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	key, err := e.AddFile(what)
	return map[string]string{"itemKey": key}, err
}
