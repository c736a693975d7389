package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/internal/freeport"
	"github.com/m365backup/backupstorage/internal/trial"
)

// desk is a server with all that production has, an emulator in a process of its own, and what is known of both.
type desk struct {
	folder, program        string
	address, admin         string
	server, upstream       *trial.Process
	emulator               trial.Emulator
	tenants                []tenant
	book                   *trial.Ledger
	followed               chan error
	stopFollowing, stopAll context.CancelFunc
}

// tenant is one that calls. Its policy is there from the start, with units.
type tenant struct{ id, policy string }

// unitsEach is how many units a list returns.
const unitsEach = 20

// rights let the desk's operator do everything, with a certificate and with a token.
const rights = `version: 1
issuers:
  - {issuer: https://issuer.desk.example, audience: backupstorage, principalClaim: sub, jwksFile: jwks.json}
tenantSets:
  customers: {file: tenants.txt}
callers:
  - {principal: spiffe://desk.example/operator, tenants: [set:customers], role: admin}
  - {principal: "oidc:https://issuer.desk.example#operator", tenants: [set:customers], role: admin}
`

func (d *desk) at(name string) string { return filepath.Join(d.folder, name) }

// startDesk starts emulator and server.
func startDesk(ctx context.Context, o options) (d *desk, err error) {
	d = &desk{program: o.server, book: trial.NewLedger(), followed: make(chan error, 1)}
	if d.folder, err = os.MkdirTemp("", "load"); err != nil {
		return nil, err
	}
	ctx, d.stopAll = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			d.stopAll()
		}
	}()
	if d.program == "" {
		d.program = d.at("server")
		if err := trial.BuildServer(d.program); err != nil {
			return nil, err
		}
	}
	addresses := make([]string, 4)
	for i := range addresses {
		if addresses[i], err = freeport.Address(); err != nil {
			return nil, err
		}
	}
	d.emulator, d.address, d.admin = trial.Emulator("http://"+addresses[0]), addresses[2], addresses[3]
	if output, err := exec.CommandContext(ctx, d.program, "dev-ca", d.at("desk")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("dev-ca: %w: %s", err, output)
	}
	d.upstream, err = trial.Launch(ctx, d.at("emulator.log"), "env", "GOGC="+lazyCollector, "taskset", "-c", core, d.program,
		"--listen", addresses[1], "--admin-listen=", "--graph-endpoint", "emulator", "--emulator-listen", addresses[0])
	if err != nil {
		return nil, err
	}
	if err := d.seed(ctx, o.tenants); err != nil {
		return nil, err
	}
	desk := func(name string) string { return d.at("desk/" + name) }
	d.server, err = trial.Launch(ctx, d.at("server.log"), "env", "-u", "GOGC", "taskset", "-c", "0", d.program,
		"--listen", d.address, "--admin-listen", d.admin, "--admin-pprof", "--graph-endpoint", string(d.emulator)+"/v1.0",
		"--tls-certificate-file", desk("server.crt"), "--tls-key-file", desk("server.key"),
		"--tls-client-ca-file", desk("ca.crt"), "--tls-client-auth", "optional",
		"--rights-file", desk("rights.yaml"), "--audit", "required", "--audit-file", d.at("audit.log"))
	if err != nil {
		return nil, err
	}
	if err := d.waitFor(ctx, d.server, "http://"+d.admin+"/readyz"); err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(ctx)
	d.stopFollowing = stop
	// Short pages: a long one would hold up the clients, which share a processor with it.
	go func() { d.followed <- d.book.Follow(following, d.emulator, 250*time.Millisecond) }()
	return d, nil
}

// seed makes the tenants, in the emulator and in the rights file.
func (d *desk) seed(ctx context.Context, count int) error {
	if err := d.waitFor(ctx, d.upstream, string(d.emulator)+"/_emulator/"); err != nil {
		return err
	}
	var list strings.Builder
	for n := range count {
		t := tenant{id: fmt.Sprintf("aaaaaaaa-0000-4000-9000-%012x", n)}
		var made struct {
			PolicyIDs []string `json:"policyIds"`
		}
		err := d.emulator.Control(ctx, http.MethodPost, "seed", map[string]any{
			"tenant": t.id, "serviceStatus": "enabled",
			"policies": []map[string]any{{"workload": "exchange", "units": unitsEach}},
		}, &made)
		if err != nil {
			return err
		}
		if len(made.PolicyIDs) != 1 {
			return fmt.Errorf("tenant %s has %d policies", t.id, len(made.PolicyIDs))
		}
		t.policy = made.PolicyIDs[0]
		d.tenants = append(d.tenants, t)
		fmt.Fprintln(&list, t.id)
	}
	return errors.Join(
		os.WriteFile(d.at("desk/tenants.txt"), []byte(list.String()), 0o600),
		os.WriteFile(d.at("desk/rights.yaml"), []byte(rights), 0o600))
}

// lazyCollector is the GC percent of the emulator and of the generator. They stand for many machines: without it their
// collectors would take up a processor that they have to share.
const lazyCollector = "1000"

// startLimit is how long a process may take until it responds.
const startLimit = 30 * time.Second

func (d *desk) waitFor(ctx context.Context, p *trial.Process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if _, err := get(ctx, url); err == nil {
			return nil
		}
		select {
		case <-p.Ended:
			return fmt.Errorf("a process ended at its start (%w): its log is in %s", p.Err, d.folder)
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", url, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// get returns the body of a good response.
func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return body, err
}

// writeProfile writes where the server's processor time goes.
func (d *desk) writeProfile(ctx context.Context, file string, lasts time.Duration) error {
	body, err := get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", d.admin, int(lasts.Seconds())))
	if err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o600)
}

// auditIsWhole checks that the audit file has no gap, and an attempt with its outcome for each write that was sent. A
// write that failed may have been refused before that.
func (d *desk) auditIsWhole(ctx context.Context, v *verdict) error {
	if output, err := exec.CommandContext(ctx, d.program, "audit", "verify", d.at("audit.log")).CombinedOutput(); err != nil {
		return fmt.Errorf("audit verify: %w: %s", err, output)
	}
	data, err := os.ReadFile(d.at("audit.log"))
	if err != nil {
		return err
	}
	for _, kind := range []string{"attempt", "outcome"} {
		if got := bytes.Count(data, []byte(`"kind":"`+kind+`"`)); got > v.writes || got < v.writes-v.failed {
			return fmt.Errorf("the audit file has %d lines of the kind %s for %d writes, of which %d failed", got, kind, v.writes, v.failed)
		}
	}
	return nil
}

// end stops everything. It keeps the files if something failed.
func (d *desk) end(err error) error {
	d.stopFollowing()
	err = errors.Join(err, <-d.followed)
	d.stopAll()
	<-d.server.Ended
	<-d.upstream.Ended
	if err != nil {
		return fmt.Errorf("%w\nfiles in %s", err, d.folder)
	}
	return os.RemoveAll(d.folder)
}
