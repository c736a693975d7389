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
	expired, unreachable := 0, 0
	for _, c := range f.callers {
		switch {
		case !c.notAfter.IsZero() && now.After(c.notAfter):
			expired++
		case !isToken(c.principal) && !certificates:
			unreachable++
		default:
			return nil
		}
	}
	if unreachable > 0 {
		return errors.New("no caller of the rights file can be known: they have certificates, for which the server needs --tls-client-ca-file")
	}
	return fmt.Errorf("no caller of the rights file is allowed any more: notAfter of all %d has passed", expired)
}

func isToken(principal string) bool { return strings.HasPrefix(principal, "oidc:") }

// Warnings are remarks on what the file allows and should perhaps not, each with its line.
func (f *File) Warnings() []string {
	var all []string
	certificates := false
	for _, c := range f.callers {
		certificates = certificates || !isToken(c.principal)
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
