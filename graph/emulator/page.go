package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
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

// readQuery reads the query options of a listing. Options that are not
// documented for it are refused rather than ignored.
func (c *call) readQuery(filterable bool) (query, *graphError) {
	q := query{top: defaultPageSize}
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return q, refuse(c.r.Method, codeBadRequest, "The query string cannot be read.")
	}
	for name, list := range values {
		if !strings.HasPrefix(name, "$") {
			continue
		}
		if len(list) > 1 {
			return q, refuse(c.r.Method, codeBadRequest, "The option %s is given more than once.", name)
		}
		switch {
		case name == "$top":
			n, err := strconv.Atoi(list[0])
			if err != nil || n < 1 || n > maxPageSize {
				return q, refuse(c.r.Method, codeBadRequest, "$top must be between 1 and %d.", maxPageSize)
			}
			q.top = n
		case name == "$filter" && filterable:
			q.filter = list[0]
		case name == "$skiptoken":
		default:
			return q, refuse(c.r.Method, codeBadRequest, "The option %s is not supported here.", name)
		}
	}
	if token, given := values["$skiptoken"]; given {
		from, ok := c.readToken(token[0], q)
		if !ok {
			return q, refuse(c.r.Method, codeBadRequest, "The $skiptoken is not one that this listing gave out.")
		}
		q.from = from
	}
	return q, nil
}

const tokenSeal = 8 // bytes

// seal ties a token to its listing, so that one that was changed, or that comes
// from another tenant, policy or filter, is refused.
func (c *call) seal(payload []byte, q query) []byte {
	mac := hmac.New(sha256.New, []byte("emulator skip token"))
	for _, part := range []string{c.tenant.id, c.route.template, strings.ToLower(strings.Join(c.params, "/")), q.filter} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	mac.Write(payload)
	return mac.Sum(nil)[:tokenSeal]
}

func (c *call) token(q query) string {
	payload := binary.AppendUvarint(nil, uint64(q.from.set))
	payload = binary.AppendUvarint(payload, uint64(q.from.position))
	return base64.RawURLEncoding.EncodeToString(append(payload, c.seal(payload, q)...))
}

func (c *call) readToken(token string, q query) (mark, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= tokenSeal {
		return mark{}, false
	}
	payload := raw[:len(raw)-tokenSeal]
	if !hmac.Equal(raw[len(payload):], c.seal(payload, q)) {
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
	for _, option := range strings.Split(c.r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(option, "=")
		if name, err := url.QueryUnescape(name); option == "" || err != nil || name == "$skiptoken" {
			continue
		}
		kept = append(kept, option)
	}
	kept = append(kept, "$skiptoken="+c.token(q))
	return c.origin() + c.r.URL.EscapedPath() + "?" + strings.Join(kept, "&")
}
