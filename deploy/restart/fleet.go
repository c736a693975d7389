package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/m365backup/backupstorage/internal/freeport"
	"github.com/m365backup/backupstorage/internal/trial"
)

// replicas is how many servers there are. With one of them gone, two thirds are healthy: above Envoy's panic threshold.
const replicas = 3

// tenants is how many tenants call. A ring has unlucky ones, of which a few would tell nothing.
const tenants = 300

// faults make calls long enough to be cut. A write is held up before its work, or after it: then it is done, and
// nobody hears of it. The list of service apps takes longer than --drain-wait.
const faults = `[
 {"operation":"POST /exchangeProtectionPolicies","delay":"150ms"},
 {"operation":"POST /sharePointProtectionPolicies","delay":"150ms","afterWork":true},
 {"operation":"GET /serviceApps","delay":"%s"}
]`

// fleet is an emulator and the replicas that share it. The emulator runs in a server of its own, which nothing happens
// to.
type fleet struct {
	emulator trial.Emulator
	replicas []*replica
	tenants  []string
	stop     func()
}

// startFleet starts everything, with the tenants that the load uses and with calls that last. The replicas are pods, or
// have flags.
func startFleet(ctx context.Context, folder, server string, slow time.Duration, p *pods, flags ...string) (_ *fleet, err error) {
	addresses := make([]string, replicas+2)
	for i := range addresses {
		if addresses[i], err = freeport.Address(); err != nil {
			return nil, err
		}
	}
	host := &replica{Server: trial.Server{
		Program: server, Address: addresses[0], Log: filepath.Join(folder, "emulator.log"),
		Flags: []string{"--listen", addresses[0], "--emulator-listen", addresses[1]},
	}}
	f := &fleet{emulator: trial.Emulator("http://" + addresses[1])}
	all := []*replica{host}
	for i, address := range addresses[2:] {
		log := filepath.Join(folder, fmt.Sprintf("replica-%d.log", i))
		r := &replica{Server: trial.Server{
			Program: server, Address: address, Log: log, Flags: append([]string{"--listen", address, "--graph-endpoint", string(f.emulator) + "/v1.0"}, flags...),
		}}
		if p != nil {
			if r, err = p.replica(i, server, log, string(f.emulator)); err != nil {
				return nil, err
			}
		}
		f.replicas = append(f.replicas, r)
	}
	all = append(all, f.replicas...)
	f.stop = func() {
		for _, r := range all {
			r.Kill()
		}
	}
	for _, r := range all {
		if err := r.start(ctx); err != nil {
			f.stop()
			return nil, err
		}
	}
	for n := range tenants {
		tenant := tenantID(n)
		f.tenants = append(f.tenants, tenant)
		if err := f.emulator.Control(ctx, http.MethodPost, "seed", map[string]any{"tenant": tenant, "serviceStatus": "enabled"}, nil); err != nil {
			f.stop()
			return nil, err
		}
	}
	if err := f.emulator.Control(ctx, http.MethodPost, "faults", json.RawMessage(fmt.Sprintf(faults, slow)), nil); err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

func tenantID(n int) string { return fmt.Sprintf("aaaaaaaa-0000-4000-9000-%012x", n) }
