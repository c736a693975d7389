package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/m365backup/backupstorage/internal/audit"
	"github.com/m365backup/backupstorage/internal/reload"
	"github.com/m365backup/backupstorage/service"
)

// checkCallers checks the flags that say who calls and what is written down of it, and fills in those that are not set.
func (c *config) checkCallers() error {
	if c.RightsFile != "" && c.Audit == "" {
		return errors.New("--rights-file needs --audit: off, best-effort or required")
	}
	if c.Audit == "" {
		c.Audit = string(audit.Off)
	}
	mode, err := audit.ParseMode(c.Audit)
	if err != nil {
		return fmt.Errorf("--audit %w", err)
	}
	if mode == audit.Off && (c.AuditFile != "" || c.AuditReads || c.AuditSync) {
		return errors.New("--audit-file, --audit-reads and --audit-sync have no effect with --audit off")
	}
	switch service.LogTenants(c.LogTenants) {
	case service.LogNoTenants, service.LogTenantHashes, service.LogTenantIDs:
	case "":
		c.LogTenants = string(service.LogNoTenants)
		if c.RightsFile != "" {
			c.LogTenants = string(service.LogTenantIDs)
		}
	default:
		return errors.New("--log-tenants must be none, hash or id")
	}
	return nil
}

// openCallers reads the rights file, and reads it again when it or a file that it names changes; nil without one.
func (c *config) openCallers(files *reload.Reader, logger *slog.Logger) (*service.Callers, error) {
	if c.RightsFile == "" {
		return nil, nil
	}
	callers, err := service.NewCallers(logger)
	if err != nil {
		return nil, err
	}
	certificates := c.TLS.ClientAuth == clientAuthOptional || c.TLS.ClientAuth == clientAuthRequired
	_, err = reload.OpenTree(files, "rights", func(content []byte, read func(name string) ([]byte, error)) (*service.RightsFile, error) {
		file, err := callers.Parse(content, read)
		if err != nil {
			return nil, err
		}
		if err := file.CheckReachable(certificates, time.Now()); err != nil {
			return nil, err
		}
		if err := callers.Use(file); err != nil {
			return nil, err
		}
		for _, warning := range file.Warnings() {
			logger.Warn("rights file", slog.String("remark", warning))
		}
		return file, nil
	}, c.RightsFile)
	if err != nil {
		return nil, fmt.Errorf("--rights-file: %w", err)
	}
	return callers, nil
}

// openAudit opens the audit file, and opens it anew on SIGHUP until stop is called. It is nil without one.
func (c *config) openAudit(logger *slog.Logger) (log *audit.Log, stop func(), err error) {
	log, err = audit.Open(audit.Options{Mode: audit.Mode(c.Audit), Path: c.AuditFile, Sync: c.AuditSync, Logger: logger})
	if err != nil {
		return nil, nil, fmt.Errorf("--audit %s: %w", c.Audit, err)
	}
	if log == nil {
		return nil, func() {}, nil
	}
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(done)
		for range hangups {
			if err := log.Reopen(); err != nil {
				logger.Error("the audit file could not be opened anew", slog.String("error", err.Error()))
			}
		}
	}()
	return log, func() {
		signal.Stop(hangups)
		close(hangups)
		<-done
		signal.Ignore(syscall.SIGHUP)
		log.Close()
	}, nil
}
