// Command sdk makes the calls of the benchmark with Microsoft's Go SDK, as its documentation shows them. It is a module
// of its own, since its build takes minutes: the benchmark runs it only if it is told where it is.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/microsoft/kiota-abstractions-go/authentication"
	kiotahttp "github.com/microsoft/kiota-http-go"
	msgraph "github.com/microsoftgraph/msgraph-sdk-go"
	msgraphcore "github.com/microsoftgraph/msgraph-sdk-go-core"

	"github.com/m365backup/backupstorage/internal/trial"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sdk:", err)
		os.Exit(1)
	}
}

func run() error {
	endpoint, ca := flag.String("endpoint", "", "URL of the upstream, with its version"), flag.String("ca", "", "file with its authority")
	flag.Parse()
	authority, err := os.ReadFile(*ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	// Without enough idle connections each call would make one.
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 512, MaxIdleConns: 512,
	}
	options := msgraph.GetDefaultClientOptions()
	middlewares := msgraphcore.GetDefaultMiddlewaresWithOptions(&options)
	client := &http.Client{Transport: kiotahttp.NewCustomTransportWithParentTransport(transport, middlewares...)}
	adapter, err := msgraph.NewGraphRequestAdapterWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(
		&authentication.AnonymousAuthenticationProvider{}, nil, nil, client)
	if err != nil {
		return err
	}
	adapter.SetBaseUrl(*endpoint)
	graph := msgraph.NewGraphServiceClient(adapter).Solutions().BackupRestore()
	call := func(path string) error {
		if id, is := strings.CutPrefix(path, "/solutions/backupRestore/protectionPolicies/"); is {
			policy, err := graph.ProtectionPolicies().ByProtectionPolicyBaseId(id).Get(context.Background(), nil)
			if err == nil && *policy.GetId() != id {
				err = errors.New("another policy")
			}
			return err
		}
		units, err := graph.ProtectionUnits().GraphMailboxProtectionUnit().Get(context.Background(), nil)
		if err == nil && len(units.GetValue()) != 999 {
			err = fmt.Errorf("%d units", len(units.GetValue()))
		}
		return err
	}
	return trial.Obey(func(o trial.Order) error {
		return trial.InFlight(o.InFlight, o.Count, func(int) error { return call(o.Path) })
	})
}
