package rights

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/service/internal/identity"
)

// maxFile bounds a rights file, in bytes.
const maxFile = 4 << 20

// maxPrincipal bounds a principal, in bytes.
const maxPrincipal = 2048

// parser reads one rights file.
type parser struct {
	reader
	file  *File
	rules *Rules
	read  func(name string) ([]byte, error)
	// contents are the files that were read, so that each is read once.
	contents map[string][]byte
	// issuers are those of the file, as they stand. Their own faults are reported where they stand.
	issuers map[string]bool
}

// Parse reads a rights file. read returns the content of a file that it names; names are as they stand there, and it is
// for the caller to say to which folder they are relative. Errors list lines and reasons, at most 20. They show no
// tenant and no principal.
func Parse(data []byte, rules *Rules, read func(name string) ([]byte, error)) (*File, error) {
	p := &parser{
		file:  &File{byPrincipal: make(map[string]*caller), sets: make(map[string]*tenantSet)},
		rules: rules, read: read, contents: make(map[string][]byte), issuers: make(map[string]bool),
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file has more than 4 MiB")
	}
	root := p.document(data)
	if root == nil {
		return nil, p.err()
	}
	// Callers name sets and issuers, wherever these stand.
	values := make(map[string]*yaml.Node)
	known := []string{"version", "issuers", "tenantSets", "callers"}
	p.fields(root, "the file", known, func(name string, _, value *yaml.Node) { values[name] = value })
	if version := values["version"]; version == nil {
		p.wrongf(root, "version is missing: write version: 1")
	} else if version.Kind != yaml.ScalarNode || version.ShortTag() != "!!int" || version.Value != "1" {
		p.wrongf(version, "version must be 1")
	}
	if n := values["issuers"]; n != nil {
		p.list(n, "issuers", p.issuer)
	}
	if n := values["tenantSets"]; n != nil {
		p.entries(n, "tenantSets", p.tenantSet)
	}
	if n := values["callers"]; n != nil {
		p.list(n, "callers", p.caller)
	} else if root.Kind == yaml.MappingNode {
		p.wrongf(root, "callers is missing")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	p.file.decoy = decoyOf(p.file.callers)
	return p.file, nil
}

// decoyOf is an entry that grants nothing and has as many tenants as the usual caller.
func decoyOf(callers []*caller) *caller {
	middle := slices.Clone(callers)
	slices.SortFunc(middle, func(a, b *caller) int { return len(a.tenants) - len(b.tenants) })
	return &caller{tenants: middle[len(middle)/2].tenants}
}

// content returns a file that the rights file names.
func (p *parser) content(at *yaml.Node, name string) ([]byte, bool) {
	if data, ok := p.contents[name]; ok {
		return data, true
	}
	data, err := p.read(name)
	if err != nil {
		p.wrongf(at, "the file cannot be read: %v", err)
		return nil, false
	}
	if data == nil {
		data = []byte{}
	}
	p.contents[name] = data
	p.file.Names = append(p.file.Names, name)
	return data, true
}

func (p *parser) issuer(n *yaml.Node) {
	var i identity.Issuer
	at := make(map[identity.Field]*yaml.Node)
	known := []string{"issuer", "audience", "principalClaim", "requiredClaims", "jwksUrl", "jwksFile", "caFile"}
	good := true
	p.fields(n, "an issuer", known, func(name string, _, value *yaml.Node) {
		at[identity.Field(name)] = value
		if name == "requiredClaims" {
			p.entries(value, name, func(claim string, _, value *yaml.Node) {
				if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!bool" {
					i.RequiredClaims = append(i.RequiredClaims, identity.RequiredClaim{Name: claim, Value: p.flag(value, "a required claim")})
				} else if text, ok := p.text(value, "a required claim"); ok {
					i.RequiredClaims = append(i.RequiredClaims, identity.RequiredClaim{Name: claim, Value: text})
				}
			})
			return
		}
		text, ok := p.text(value, name)
		good = good && ok
		switch name {
		case "issuer":
			i.Issuer = text
		case "audience":
			i.Audience = text
		case "principalClaim":
			i.PrincipalClaim = text
		case "jwksUrl":
			i.KeysURL = text
		case "jwksFile":
			i.Keys, ok = p.content(value, text)
		case "caFile":
			i.CA, ok = p.content(value, text)
		}
		good = good && ok
	})
	twice := p.issuers[i.Issuer]
	p.issuers[i.Issuer] = true
	if !good || n.Kind != yaml.MappingNode {
		return
	}
	if field, err := identity.CheckIssuer(i); err != nil {
		where := at[field]
		if where == nil {
			where = n
		}
		p.wrongf(where, "%s %v", field, err)
		return
	}
	if twice {
		p.wrongf(at[identity.FieldIssuer], "the issuer is there twice")
		return
	}
	p.file.Issuers = append(p.file.Issuers, i)
}

func (p *parser) tenantSet(name string, key, value *yaml.Node) {
	// Callers that name it are no faults of their own.
	p.file.sets[name] = nil
	seen := false
	p.fields(value, "a tenant set", []string{"file"}, func(_ string, _, value *yaml.Node) {
		seen = true
		file, ok := p.text(value, "file")
		if !ok {
			return
		}
		for _, set := range p.file.sets {
			if set != nil && set.name == file {
				p.file.sets[name] = set
				return
			}
		}
		data, ok := p.content(value, file)
		if !ok {
			return
		}
		set, err := parseTenants(file, data)
		if err != nil {
			p.wrongf(value, "the file %v", err)
			return
		}
		p.file.sets[name] = set
	})
	if !seen && value.Kind == yaml.MappingNode {
		p.wrongf(key, "a tenant set must have a file")
	}
}

func (p *parser) caller(n *yaml.Node) {
	c := &caller{line: n.Line}
	known := []string{"principal", "tenants", "role", "permissions", "effects", "onBehalfOfUsers", "notAfter"}
	seen := make(map[string]*yaml.Node)
	p.fields(n, "a caller", known, func(name string, key, value *yaml.Node) {
		seen[name] = value
		switch name {
		case "principal":
			p.principal(c, value)
		case "tenants":
			c.tenantsLine = key.Line
			p.list(value, name, func(item *yaml.Node) { p.tenant(c, item) })
		case "role":
			c.roleLine = value.Line
			p.role(c, value)
		case "permissions":
			c.permissionsLine = key.Line
			p.list(value, name, func(item *yaml.Node) { p.permission(c, item) })
		case "effects":
			c.effectsLine = key.Line
			p.list(value, name, func(item *yaml.Node) { p.effect(c, item) })
		case "onBehalfOfUsers":
			c.onBehalfOfUsers = p.flag(value, name)
		case "notAfter":
			c.notAfterLine = value.Line
			p.notAfter(c, value)
		}
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	for _, name := range []string{"principal", "tenants"} {
		if seen[name] == nil {
			p.wrongf(n, "a caller must have %s", name)
		}
	}
	switch role, permissions, effects := seen["role"], seen["permissions"], seen["effects"]; {
	case role == nil && permissions == nil:
		p.wrongf(n, "a caller must have a role or permissions")
	case role != nil && effects != nil:
		p.wrongf(effects, "effects and role exclude each other: a role has its effects")
	case effects == nil && role == nil:
		// What takes protection away is granted by name.
		c.effects = allEffects &^ EffectsOf(pb.GraphCall_REMOVE)
	case permissions == nil:
		c.permissions = p.rules.bits(func(string) bool { return true })
	}
	p.file.callers = append(p.file.callers, c)
}

func (p *parser) principal(c *caller, n *yaml.Node) {
	text, ok := p.text(n, "principal")
	if !ok {
		return
	}
	if reason := p.badPrincipal(text); reason != "" {
		p.wrongf(n, "principal %s", reason)
		return
	}
	if before := p.file.byPrincipal[text]; before != nil {
		p.wrongf(n, "the principal is there twice, first with the caller in line %d", before.line)
		return
	}
	c.principal = text
	p.file.byPrincipal[text] = c
}

// badPrincipal says what is wrong with a principal, empty when nothing is.
func (p *parser) badPrincipal(text string) string {
	isControl := func(r rune) bool { return r <= ' ' || r == 0x7f }
	switch rest, isHost := strings.CutPrefix(text, "dns:"); {
	case len(text) > maxPrincipal:
		return "has more than 2,048 bytes"
	case strings.Contains(text, "*"):
		return "must be exact: there are no patterns"
	case strings.ContainsFunc(text, isControl):
		return "must have no spaces and no control characters"
	case isHost && (rest == "" || rest != strings.ToLower(rest) || strings.ContainsAny(rest, ":/#?@")):
		return "must be dns: and a host name in lower case"
	case isHost:
		return ""
	case isToken(text):
		issuer, value, _ := strings.Cut(strings.TrimPrefix(text, "oidc:"), "#")
		if !p.issuers[issuer] {
			return "names an issuer that is not among the issuers of the file"
		}
		if value == "" {
			return "must be oidc:, the issuer, # and the value of the claim"
		}
		return ""
	}
	// No scheme may be one of the prefixes in other letters.
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" || u.Scheme == "oidc" || u.Scheme == "dns" {
		return "must be a URI such as spiffe://corp.example/name, dns:name, or oidc:issuer#value"
	}
	return ""
}

func (p *parser) tenant(c *caller, n *yaml.Node) {
	text, ok := p.text(n, "a tenant")
	if !ok {
		return
	}
	g := grant{text: text, line: n.Line, set: noTenants}
	if name, isSet := strings.CutPrefix(text, "set:"); isSet {
		set, known := p.file.sets[name]
		if !known {
			p.wrongf(n, "unknown tenant set%s", quoted(name))
			return
		}
		g.set = set
	} else if g.all = text == "*"; !g.all {
		id, ok := parseGUID([]byte(text))
		if !ok {
			p.wrongf(n, `a tenant must be a GUID written 8-4-4-4-12, set:name, or "*"`)
			return
		}
		g.set = &tenantSet{ids: map[guid]uint32{id: 0}}
	}
	if slices.ContainsFunc(c.tenants, func(other grant) bool { return other.text == text }) {
		p.wrongf(n, "the tenant is there twice")
		return
	}
	c.tenants = append(c.tenants, g)
}

func (p *parser) role(c *caller, n *yaml.Node) {
	text, ok := p.text(n, "role")
	if !ok {
		return
	}
	if c.effects, ok = roles[text]; !ok {
		p.wrongf(n, "unknown role%s: it must be %s", quoted(text), roleNames)
	}
	c.role = text
}

func (p *parser) permission(c *caller, n *yaml.Node) {
	text, ok := p.text(n, "a permission")
	if !ok {
		return
	}
	bit := p.rules.bits(func(name string) bool { return name == text })
	switch {
	case bit == 0:
		p.wrongf(n, "unknown permission%s: it must be one of %s", quoted(text), strings.Join(p.rules.permissions, ", "))
	case slices.Contains(c.permissionNames, text):
		p.wrongf(n, "the permission is there twice")
	}
	// Covering is looked up by the rule: ReadWrite stands for Read there.
	c.permissions |= bit
	c.permissionNames = append(c.permissionNames, text)
}

func (p *parser) effect(c *caller, n *yaml.Node) {
	text, ok := p.text(n, "an effect")
	if !ok {
		return
	}
	effect := EffectsOf(pb.GraphCall_Effect(pb.GraphCall_Effect_value[text]))
	switch {
	case effect == 0:
		p.wrongf(n, "unknown effect%s: it must be one of %s", quoted(text), allEffects)
	case c.effects.Has(effect):
		p.wrongf(n, "the effect is there twice")
	}
	c.effects |= effect
}

func (p *parser) notAfter(c *caller, n *yaml.Node) {
	var err error
	if n.Kind == yaml.ScalarNode {
		c.notAfter, err = time.Parse(time.RFC3339, n.Value)
	}
	if err != nil || c.notAfter.IsZero() {
		p.wrongf(n, "notAfter must be a time such as 2027-01-01T00:00:00Z")
	}
}
