package rights

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/service/internal/identity"
)

// File is a rights file. It is immutable and safe for concurrent use.
type File struct {
	// Issuers are the issuers of tokens, for identity.Authenticator.Use.
	Issuers []identity.Issuer
	// Names are the names of the other files that were read, each once: they are reloaded together with this one.
	Names []string

	callers     []*caller
	byPrincipal map[string]*caller
	// decoy stands for callers that the file does not have, so that a decision on them takes as long.
	decoy *caller
	sets  map[string]*tenantSet
}

// CAExpiry is when the first certificate by which issuers are verified expires; zero when the file names none.
func (f *File) CAExpiry() (first time.Time) {
	for i := range f.Issuers {
		if at := f.Issuers[i].CAExpiry(); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// Nobody returns a file without callers.
func Nobody() *File { return &File{decoy: &caller{}} }

// caller is one entry of callers. A line is 0 for what the entry does not have.
type caller struct {
	principal       string
	tenants         []grant
	role            string
	permissions     permissions
	permissionNames []string
	effects         Effects
	onBehalfOfUsers bool
	notAfter        time.Time
	// idle is set when no rpc needs a permission and an effect that the entry has together.
	idle bool

	line, tenantsLine, roleLine, permissionsLine, effectsLine, notAfterLine int
}

// grant is one item of tenants: a set, a tenant, or all.
type grant struct {
	text string
	line int
	all  bool
	set  *tenantSet
}

// noTenants is the set of a grant of all tenants.
var noTenants = &tenantSet{}

// Everywhere returns the principals whose tenants are "*". The server logs them at start.
func (f *File) Everywhere() []string {
	var principals []string
	for _, c := range f.callers {
		for _, g := range c.tenants {
			if g.all {
				principals = append(principals, c.principal)
				break
			}
		}
	}
	return principals
}

// CheckReachable returns an error that says what to do when nobody can ever be allowed: certificates says whether the
// server asks its clients for certificates.
func (f *File) CheckReachable(certificates bool, now time.Time) error {
	expired, unreachable, idle := 0, 0, 0
	for _, c := range f.callers {
		switch {
		case !c.notAfter.IsZero() && now.After(c.notAfter):
			expired++
		case !isToken(c.principal) && !certificates:
			unreachable++
		case c.idle:
			idle++
		default:
			return nil
		}
	}
	if unreachable > 0 {
		return errors.New("no caller of the rights file can be known: they have certificates, for which the server needs --tls-client-ca-file")
	}
	if idle > 0 {
		return errors.New("no caller of the rights file may call any rpc: none needs a permission and an effect that an entry has together; " +
			"correct permissions or effects")
	}
	return fmt.Errorf("no caller of the rights file is allowed any more: notAfter of all %d has passed", expired)
}

// Unreachable are remarks on callers that can never be known: certificates says whether the server asks its clients for
// certificates.
func (f *File) Unreachable(certificates bool) []string {
	var all []string
	for _, c := range f.callers {
		if !isToken(c.principal) && !certificates {
			all = append(all, fmt.Sprintf("line %d: the caller has a certificate, for which the server needs --tls-client-ca-file: it can never be known", c.line))
		}
	}
	return all
}

func isToken(principal string) bool { return strings.HasPrefix(principal, "oidc:") }

// Warnings are remarks on what the file allows and should perhaps not, each with its line.
func (f *File) Warnings() []string {
	var all []string
	for _, i := range f.Issuers {
		if i.NamesApplication() && len(i.RequiredClaims) == 0 {
			all = append(all, fmt.Sprintf("issuer %s: %s names the application, and tokens of its users can have it too: only those with scp are refused, "+
				"which is Entra's way; add requiredClaims, such as {idtyp: app}", i.Issuer, i.PrincipalClaim))
		}
	}
	certificates := false
	for _, c := range f.callers {
		certificates = certificates || !isToken(c.principal)
		if c.idle {
			all = append(all, fmt.Sprintf("line %d: the caller may call no rpc: none needs a permission and an effect that it has together", c.line))
		}
		for _, g := range c.tenants {
			if g.all {
				all = append(all, fmt.Sprintf("line %d: the caller may act in every tenant", g.line))
			}
		}
	}
	if certificates && len(f.Issuers) > 0 {
		for _, c := range f.callers {
			if !isToken(c.principal) {
				all = append(all, fmt.Sprintf("line %d: a caller by certificate beside callers by token: "+
					"the certificate of a proxy must not be here, it would be everybody's", c.line))
			}
		}
	}
	return all
}
