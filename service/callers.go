package service

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/m365backup/backupstorage/service/internal/contract"
	"github.com/m365backup/backupstorage/service/internal/identity"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
	"github.com/m365backup/backupstorage/service/internal/rights"
)

// LogTenants is how tenants stand in the lines of calls.
type LogTenants = interceptor.LogTenants

// The ways in which tenants can stand in the lines of calls.
const (
	LogNoTenants    = interceptor.LogNoTenants
	LogTenantHashes = interceptor.LogTenantHashes
	LogTenantIDs    = interceptor.LogTenantIDs
)

// RightsFile is a rights file: who may call, and what they may do.
type RightsFile = rights.File

// Callers says who calls, by certificate or token, and what they may do, by a rights file. It is safe for concurrent
// use.
type Callers struct {
	authenticator *identity.Authenticator
	rules         *rights.Rules
	now           func() time.Time
	file          atomic.Pointer[rights.File]
}

// NewCallers returns Callers without a rights file: it denies everything until Use. The logger gets a line when the
// keys of an issuer cannot be fetched.
func NewCallers(logger *slog.Logger) (*Callers, error) { return newCallers(logger, time.Now) }

func newCallers(logger *slog.Logger, now func() time.Time) (*Callers, error) {
	c, err := contract.Read()
	if err != nil {
		return nil, err
	}
	callers := &Callers{authenticator: identity.New(identity.Options{Logger: logger, Now: now}), rules: rights.NewRules(c.Operations()), now: now}
	callers.file.Store(rights.Nobody())
	return callers, nil
}

// Parse reads a rights file, and the files that it names by read. The error names line and reason.
func (c *Callers) Parse(data []byte, read func(name string) ([]byte, error)) (*RightsFile, error) {
	return rights.Parse(data, c.rules, read)
}

// Use replaces the rights file at once. When its issuers cannot be used it keeps the old one. Calls to Use must not
// overlap.
func (c *Callers) Use(file *RightsFile) error {
	if err := c.authenticator.Use(file.Issuers); err != nil {
		return err
	}
	c.file.Store(file)
	return nil
}

// CAExpiry is when the first certificate by which issuers of tokens are verified expires; zero when there is none.
func (c *Callers) CAExpiry() time.Time { return c.file.Load().CAExpiry() }

// Check says in words whether a principal may call an rpc, as Service/Method, in a tenant, and by which lines.
func (c *Callers) Check(file *RightsFile, principal, tenant, rpc string, now time.Time) (text string, allowed bool, err error) {
	return file.Check(c.rules, principal, tenant, rpc, now)
}

// interceptors returns what the chain needs; nil for nil.
func (c *Callers) interceptors() *interceptor.Callers {
	if c == nil {
		return nil
	}
	return &interceptor.Callers{Authenticator: c.authenticator, Rules: c.rules, Rights: c.file.Load, Now: c.now}
}
