package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/m365backup/backupstorage/service"
)

// rightsCommand has the commands that explain a rights file.
type rightsCommand struct {
	Check rightsCheck `cmd:"" help:"Print whether a principal may call an rpc in a tenant, and by which line. Exit code 2 when it may not."`
	List  rightsList  `cmd:"" help:"Print the whole rights file as a table."`
}

// rightsCheck decides on one call.
type rightsCheck struct {
	File      string `arg:"" help:"rights file"`
	Principal string `arg:"" help:"principal, as the rights file names it"`
	Tenant    string `arg:"" help:"GUID of the tenant"`
	RPC       string `arg:"" name:"rpc" help:"rpc, such as ProtectionPolicyService/ListProtectionPolicies"`
}

// Run implements the command.
func (r *rightsCheck) Run(to streams) error {
	callers, file, err := readRights(r.File)
	if err != nil {
		return err
	}
	text, allowed, err := callers.Check(file, r.Principal, r.Tenant, r.RPC, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintln(to.out, text)
	if !allowed {
		return errTold
	}
	return nil
}

// rightsList prints a rights file.
type rightsList struct {
	File string `arg:"" help:"rights file"`
}

// Run implements the command.
func (r *rightsList) Run(to streams) error {
	_, file, err := readRights(r.File)
	if err != nil {
		return err
	}
	for _, warning := range file.Warnings() {
		fmt.Fprintf(to.out, "warning: %s\n", warning)
	}
	fmt.Fprintf(to.out, "%s", file.List())
	return nil
}

// readRights reads a rights file and those that it names.
func readRights(path string) (*service.Callers, *service.RightsFile, error) {
	callers, err := service.NewCallers(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	file, err := callers.Parse(content, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return os.ReadFile(name)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return callers, file, nil
}
