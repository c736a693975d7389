package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // Or grpc-go would not ask for health.
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/m365backup/backupstorage/internal/freeport"
	"github.com/m365backup/backupstorage/internal/trial"
)

// way is how clients reach the replicas.
type way struct {
	connection grpc.ClientConnInterface
	// takesCalls waits until calls go to a replica.
	takesCalls func(ctx context.Context, replica int) error
	stop       func()
}

// byGRPC lets grpc-go balance over the replicas, whose health it watches, with the service config that we publish for
// that. Retries are off, so that nothing is hidden.
func byGRPC(f *fleet, l *load) (*way, error) {
	config, err := os.ReadFile("proto/service_config_replicas.json")
	if err != nil {
		return nil, err
	}
	list := manual.NewBuilderWithScheme("replicas")
	var addresses []resolver.Address
	for _, r := range f.replicas {
		addresses = append(addresses, resolver.Address{Addr: r.Address})
	}
	list.InitialState(resolver.State{Addresses: addresses})
	connection, err := grpc.NewClient("replicas:///", grpc.WithResolvers(list), grpc.WithDisableRetry(),
		grpc.WithDefaultServiceConfig(string(config)), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &way{connection: connection, takesCalls: f.seenBy(l), stop: func() { _ = connection.Close() }}, nil
}

// byProgram lets a client program of another language balance over the replicas.
func byProgram(ctx context.Context, f *fleet, l *load, folder, command string) (*way, error) {
	r, err := startRemote(ctx, f, filepath.Join(folder, "client.log"), strings.Fields(command)...)
	if err != nil {
		return nil, err
	}
	return &way{connection: r, takesCalls: f.seenBy(l), stop: r.stop}, nil
}

// seenBy returns a function that waits until a call of the load has come from a replica.
func (f *fleet) seenBy(l *load) func(context.Context, int) error {
	return func(ctx context.Context, replica int) error {
		since := time.Now()
		return poll(ctx, func() (bool, error) {
			for _, r := range l.seen() {
				if r.begin.After(since) && r.replica == f.replicas[replica].Address {
					return true, nil
				}
			}
			return false, nil
		})
	}
}

// byOne calls the first replica alone.
func byOne(f *fleet) (*way, error) {
	connection, err := grpc.NewClient("passthrough:///"+f.replicas[0].Address, grpc.WithDisableRetry(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &way{connection: connection, stop: func() { _ = connection.Close() }}, nil
}

// byEnvoy starts an Envoy before the replicas, with the configuration that is for production.
func byEnvoy(ctx context.Context, f *fleet, program, policy, folder string) (*way, error) {
	addresses := make([]string, 2)
	for i := range addresses {
		var err error
		if addresses[i], err = freeport.Address(); err != nil {
			return nil, err
		}
	}
	page, err := os.ReadFile("deploy/envoy/envoy.yaml")
	if err != nil {
		return nil, err
	}
	text, err := withAddresses(string(page), addresses[0], addresses[1], policy, f)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "envoy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	envoy, err := trial.Launch(ctx, filepath.Join(folder, "envoy.log"), program, "--config-path", file, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warn")
	if err != nil {
		return nil, err
	}
	takesCalls := func(ctx context.Context, replica int) error {
		return poll(ctx, func() (bool, error) {
			select {
			case <-envoy.Ended:
				return false, fmt.Errorf("envoy ended: %w: %s", envoy.Err, envoy.LastWords())
			default:
			}
			return envoyHas(ctx, addresses[1], f.replicas[replica].Address), nil
		})
	}
	for i := range f.replicas {
		if err := takesCalls(ctx, i); err != nil {
			envoy.Kill()
			return nil, err
		}
	}
	connection, err := grpc.NewClient("passthrough:///"+addresses[0], grpc.WithDisableRetry(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		envoy.Kill()
		return nil, err
	}
	return &way{connection: connection, takesCalls: takesCalls, stop: func() { _ = connection.Close(); envoy.Kill() }}, nil
}

// withAddresses puts addresses of this machine, and a policy of balancing, into the configuration of production. It
// leaves everything else as it stands.
func withAddresses(text, listen, admin, policy string, f *fleet) (string, error) {
	var endpoints strings.Builder
	endpoints.WriteString("# Replicas.\n")
	socket := func(address string) string {
		host, port, _ := strings.Cut(address, ":")
		return fmt.Sprintf("{address: %s, port_value: %s}", host, port)
	}
	for _, r := range f.replicas {
		fmt.Fprintf(&endpoints, "              - endpoint: {address: {socket_address: %s}}\n", socket(r.Address))
	}
	begin, end := strings.Index(text, "# Replicas.\n"), strings.Index(text, "              # End of the replicas.")
	if begin < 0 || end < begin {
		return "", errors.New("envoy.yaml does not say where its replicas stand")
	}
	text = text[:begin] + endpoints.String() + text[end:]
	for _, change := range [][2]string{
		{"{address: 0.0.0.0, port_value: 50050}", socket(listen)},
		{"{address: 127.0.0.1, port_value: 9901}", socket(admin)},
		{"lb_policy: RING_HASH", "lb_policy: " + policy},
	} {
		if strings.Count(text, change[0]) != 1 {
			return "", fmt.Errorf("envoy.yaml does not have %q once", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return text, nil
}

// envoyHas reports whether Envoy takes a replica for healthy.
func envoyHas(ctx context.Context, admin, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/clusters?format=json", http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return false
	}
	var page struct {
		Clusters []struct {
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    int    `json:"port_value"`
					} `json:"socket_address"`
				} `json:"address"`
				Health struct {
					Failed bool   `json:"failed_active_health_check"`
					EDS    string `json:"eds_health_status"`
				} `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if json.Unmarshal(data, &page) != nil {
		return false
	}
	for _, c := range page.Clusters {
		for _, h := range c.Hosts {
			if fmt.Sprintf("%s:%d", h.Address.Socket.Address, h.Address.Socket.Port) == address {
				return !h.Health.Failed && h.Health.EDS == "HEALTHY"
			}
		}
	}
	return false
}

// poll asks until the answer is yes, for at most a minute.
func poll(ctx context.Context, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.New("no calls go to it within a minute")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
