package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultPageSize = 100
	maxPageSize     = 999
)

// collection is one page on the wire.
type collection struct {
	Context  string `json:"@odata.context"`
	Count    *int   `json:"@odata.count,omitempty"`
	NextLink string `json:"@odata.nextLink,omitempty"`
	Value    any    `json:"value"`
}

// mark is where a page ended: the last item shown, by its place in the order
// that never changes.
type mark struct{ set, position int }

// query is what a listing understands of a query string.
type query struct {
	top    int
	filter string
	from   mark
}

// query reads the query string. Graph's clients write the semicolon of $expand as
// it is.
func (c *call) query() (url.Values, error) {
	return url.ParseQuery(strings.ReplaceAll(c.r.URL.RawQuery, ";", "%3B"))
}

// options reads the query options, of which only the known ones may be given,
// and once. Others are refused rather than ignored. It looks at them by name, so
// that the same request is refused for the same one in every run.
func (c *call) options(known ...string) (url.Values, *graphError) {
	values, err := c.query()
	if err != nil {
		return nil, refuse(c.r.Method, codeBadRequest, "The query string cannot be read.")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !strings.HasPrefix(name, "$") || slices.Contains(c.route.common(), name):
		case !slices.Contains(known, name):
			return nil, refuse(c.r.Method, codeBadRequest, "The option %s is not supported here.", name).about(name)
		case len(values[name]) > 1:
			return nil, refuse(c.r.Method, codeBadRequest, "The option %s is given more than once.", name).about(name)
		}
	}
	return values, nil
}

// readQuery reads the query string of a listing. Besides $skiptoken, which each
// listing has, it knows $top and $filter if they are among the options.
func (c *call) readQuery(options ...string) (query, *graphError) {
	q := query{top: defaultPageSize}
	values, refusal := c.options(append(options, "$skiptoken")...)
	if refusal != nil {
		return q, refusal
	}
	if values.Has("$top") {
		n, err := strconv.Atoi(values.Get("$top"))
		if err != nil || n < 1 || n > maxPageSize {
			return q, refuse(c.r.Method, codeBadRequest, "$top must be between 1 and %d.", maxPageSize).about("$top")
		}
		q.top = n
	}
	if n := c.maxPageSize(); n > 0 {
		q.top = min(q.top, n)
	}
	q.filter = values.Get("$filter")
	if values.Has("$skiptoken") {
		from, ok := c.readToken(values.Get("$skiptoken"), q)
		if !ok {
			return q, refuse(c.r.Method, codeBadRequest, "The $skiptoken is not one that this listing gave out.")
		}
		q.from = from
	}
	return q, nil
}

const tokenSeal = 8 // bytes

// sealed makes a token of what a listing needs to go on. It is tied to its
// listing, so that one that was changed, or that comes from another tenant,
// policy or filter, is refused; of says what else it is tied to.
func (c *call) sealed(payload []byte, of string) string {
	return c.sealedFor(c.listing(), payload, of)
}

// browseTokens is what tokens of browse sessions are tied to: the same session
// can be browsed by several paths.
const browseTokens = "browse"

func (c *call) listing() string {
	return c.route.template + "/" + strings.ToLower(strings.Join(c.params, "/"))
}

func (c *call) sealedFor(listing string, payload []byte, of string) string {
	return base64.RawURLEncoding.EncodeToString(append(payload, c.seal(listing, payload, of)...))
}

func (c *call) seal(listing string, payload []byte, of string) []byte {
	mac := hmac.New(sha256.New, []byte("emulator skip token"))
	for _, part := range []string{c.tenant.id, listing, of} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	mac.Write(payload)
	return mac.Sum(nil)[:tokenSeal]
}

// unsealed undoes sealed. It reports false for a token that is not of this
// listing.
func (c *call) unsealed(token, of string) (payload []byte, ok bool) {
	return c.unsealedFor(c.listing(), token, of)
}

func (c *call) unsealedFor(listing, token, of string) (payload []byte, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= tokenSeal {
		return nil, false
	}
	payload = raw[:len(raw)-tokenSeal]
	return payload, hmac.Equal(raw[len(payload):], c.seal(listing, payload, of))
}

func (c *call) token(q query) string {
	payload := binary.AppendUvarint(nil, uint64(q.from.set))
	return c.sealed(binary.AppendUvarint(payload, uint64(q.from.position)), q.filter)
}

func (c *call) readToken(token string, q query) (mark, bool) {
	payload, ok := c.unsealed(token, q.filter)
	if !ok {
		return mark{}, false
	}
	set, n := binary.Uvarint(payload)
	if n <= 0 {
		return mark{}, false
	}
	position, m := binary.Uvarint(payload[n:])
	return mark{int(set), int(position)}, m > 0 && n+m == len(payload)
}

// nextPage is the absolute link to what follows q, built from the request's own
// host and path, with its own options kept.
func (c *call) nextPage(q query) string {
	var kept []string
	for option := range strings.SplitSeq(c.r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(option, "=")
		if name, err := url.QueryUnescape(name); option == "" || err != nil || name == "$skiptoken" {
			continue
		}
		kept = append(kept, strings.ReplaceAll(option, " ", "%20")) // which a part of a batch may have
	}
	kept = append(kept, "$skiptoken="+c.token(q))
	return c.origin() + c.r.URL.EscapedPath() + "?" + strings.Join(kept, "&")
}

// answerPage is a page, with the next link that a fault rule asks for if one
// does.
func (c *call) answerPage(page collection) *answer {
	if c.nextLink != nil {
		page.NextLink = *c.nextLink
	}
	return ok(page)
}

// listing is one page of what q asks for of all, which is in order of creation:
// order numbers it.
func listing[T any](c *call, q query, where string, all []T, order func(T) int, show func(T) any) *answer {
	page, views := collection{Context: c.context(where)}, []any{}
	if c.shape.count {
		page.Count = new(len(all))
	}
	for _, one := range all {
		if order(one) <= q.from.position {
			continue
		}
		if len(views) == q.top {
			page.NextLink = c.nextPage(q)
			break
		}
		views = append(views, show(one))
		q.from.position = order(one)
	}
	page.Value = views
	return c.answerPage(page)
}

// locatedListing is a listing that knows $top and says where it stands.
func locatedListing[T any](c *call, where string, all []T, order func(T) int, show func(T) any) (*answer, *graphError) {
	q, err := c.readQuery("$top")
	if err != nil {
		return nil, err
	}
	a := listing(c, q, where, all, order, show)
	a.contentLocation = c.url(where)
	return a, nil
}
