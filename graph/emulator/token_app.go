package emulator

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/m365backup/backupstorage/graph/emulator/internal/tokens"
)

// App is an application that the token authority of a tenant knows.
type App struct {
	// ID is the client id, a GUID.
	ID          string `json:"id"`
	DisplayName string `json:"displayName,omitempty"`
	// Secrets are its client secrets. An app with neither secrets nor certificates may show any.
	Secrets []string `json:"secrets,omitempty"`
	// Certificates are those that it signs assertions with, each in PEM form, with RSA keys.
	Certificates []string `json:"certificates,omitempty"`
	// Permissions are what it was granted, for itself and on behalf of users. Nil is all that the emulator knows, an
	// empty list is none.
	Permissions []string `json:"permissions,omitempty"`

	certificates []*x509.Certificate
}

// read checks an app and reads its certificates.
func (a *App) read() error {
	if !isGUID(a.ID) {
		return fmt.Errorf("id %q is not a GUID", a.ID)
	}
	a.ID = strings.ToLower(a.ID)
	a.certificates = nil
	for i, text := range a.Certificates {
		certificate, err := tokens.ParseCertificate(text)
		if err != nil {
			return fmt.Errorf("certificate %d: %w", i+1, err)
		}
		a.certificates = append(a.certificates, certificate)
	}
	if slices.Contains(a.Secrets, "") {
		return errors.New("a secret is empty")
	}
	for _, p := range a.Permissions {
		if !slices.Contains(allPermissions(), p) {
			return fmt.Errorf("permission %q is none of %s", p, strings.Join(allPermissions(), ", "))
		}
	}
	return nil
}

// granted are the permissions of an app.
func (a *App) granted() []string {
	if a.Permissions == nil {
		return allPermissions()
	}
	return a.Permissions
}

// readApps checks the apps of a seed.
func readApps(apps []App) ([]App, error) {
	apps = slices.Clone(apps)
	seen := map[string]bool{}
	for i := range apps {
		if err := apps[i].read(); err != nil {
			return nil, fmt.Errorf("app %d: %w", i+1, err)
		}
		if seen[apps[i].ID] {
			return nil, fmt.Errorf("app %d: there is another one with the id %s", i+1, apps[i].ID)
		}
		seen[apps[i].ID] = true
	}
	return apps, nil
}

// app finds an app by its client id. A tenant without apps of its own knows every one.
func (t *tenant) app(id string) (App, bool) {
	if len(t.known) == 0 {
		a := App{ID: strings.ToLower(id)}
		if a.ID == DefaultApp {
			a.DisplayName = defaultAppName
		}
		return a, isGUID(id)
	}
	for _, a := range t.known {
		if strings.EqualFold(a.ID, id) {
			return a, true
		}
	}
	return App{}, false
}

// allPermissions are those that operations of the emulator ask for, and those that contain them.
func allPermissions() []string {
	return []string{
		permControlRead, permControlWrite, permConfigRead, permConfigWrite, permSearchRead, permRestoreRead, permRestoreWrite,
		permUsersRead, permGroupsRead, permMembersRead, permSitesRead, permDirectoryRead,
	}
}
