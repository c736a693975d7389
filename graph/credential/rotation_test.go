package credential_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/graph/credential"
	"github.com/m365backup/backupstorage/graph/credential/authoritytest"
)

// secrets are those that the authority received, in order.
func secrets(authority *authoritytest.Authority) (all []string) {
	for _, r := range authority.Requests() {
		all = append(all, r.Secret)
	}
	return all
}

func TestASecretIsReadAgainForEveryToken(t *testing.T) {
	authority := authoritytest.New(t)
	path := file(t, "old")
	s := source(t, authority, func(o *credential.Options) { o.Secret, o.SecretFile = "", path })
	ask(t, s, graph.TokenRequest{Tenant: tenantA})
	overwrite(t, path, "new\n")
	ask(t, s, graph.TokenRequest{Tenant: tenantB})
	// A file that is being written, or is gone, must not fail a request.
	overwrite(t, path, "")
	ask(t, s, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, "u")})
	if got := secrets(authority); !slices.Equal(got, []string{"old", "new", "new"}) {
		t.Errorf("got %q", got)
	}
}

func TestASecretThatIsReplacedMeanwhileIsTriedOnceMore(t *testing.T) {
	authority := authoritytest.New(t)
	path := file(t, "old")
	authority.Handle(func(r authoritytest.Request) authoritytest.Answer {
		if r.Secret == "new" {
			return authoritytest.Answer{}
		}
		overwrite(t, path, "new")
		return authoritytest.Answer{Status: 401, Code: "invalid_client", Numbers: []int{7000222}}
	})
	s := source(t, authority, func(o *credential.Options) { o.Secret, o.SecretFile = "", path })
	ask(t, s, graph.TokenRequest{Tenant: tenantA})
	if got := secrets(authority); !slices.Equal(got, []string{"old", "new"}) {
		t.Errorf("got %q", got)
	}
}

func TestASecretThatIsWrongIsTriedOnce(t *testing.T) {
	authority := authoritytest.New(t)
	authority.Handle(func(authoritytest.Request) authoritytest.Answer {
		return authoritytest.Answer{Status: 401, Code: "invalid_client"}
	})
	s := source(t, authority)
	for range 10 {
		refuses(t, s, graph.TokenRequest{Tenant: tenantA})
	}
	if got := secrets(authority); len(got) != 1 {
		t.Errorf("%d token requests", len(got))
	}
}

func TestACertificateIsReadAgain(t *testing.T) {
	authority := authoritytest.New(t)
	path := file(t, certificate(t))
	s := source(t, authority, func(o *credential.Options) { o.Mode, o.CertificateFile = credential.Certificate, path })
	ask(t, s, graph.TokenRequest{Tenant: tenantA})
	ask(t, s, graph.TokenRequest{Tenant: tenantB})
	overwrite(t, path, certificate(t))
	ask(t, s, graph.TokenRequest{Tenant: tenantA, UserAssertion: authoritytest.Assertion(tenantA, "u")})
	// The head of the assertion names the certificate.
	var heads []string
	for _, r := range authority.Requests() {
		head, _, _ := strings.Cut(r.ClientAssertion, ".")
		heads = append(heads, head)
	}
	if heads[0] != heads[1] || heads[0] == heads[2] || heads[2] == "" {
		t.Errorf("heads %q", heads)
	}
}

func TestThousandFirstCallsCostOneTokenRequestATenant(t *testing.T) {
	authority := authoritytest.New(t)
	s := source(t, authority)
	tokens := make(chan string, 1000)
	for n := range cap(tokens) {
		tenant := []string{tenantA, tenantB}[n%2]
		go func() {
			token, err := s.Token(t.Context(), graph.TokenRequest{Tenant: tenant})
			if err != nil || authoritytest.Claims(token)["tid"] != tenant {
				t.Errorf("got %q and %v for %s", token, err, tenant)
			}
			tokens <- token
		}()
	}
	different := make(map[string]bool)
	for range cap(tokens) {
		different[<-tokens] = true
	}
	if len(different) != 2 || len(authority.Requests()) != 2 || authority.Discoveries() != 2 {
		t.Errorf("%d tokens, %d token requests, %d discoveries; want 2 of each", len(different), len(authority.Requests()), authority.Discoveries())
	}
}
