package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	decoding "github.com/m365backup/backupstorage/cmd/protoc-gen-graph/bench"
	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/trial"
)

// parts are the programs beside the server, each a process of its own: the same binary with another first argument.
var parts = map[string]func(arguments []string) error{"stub": stub, "bare": bare, "raw": raw}

// stub is an upstream over TLS that has its responses ready.
func stub(arguments []string) error {
	flags := flag.NewFlagSet("stub", flag.ExitOnError)
	listen, certificate, key := flags.String("listen", "", ""), flags.String("certificate", "", ""), flags.String("key", "", "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	units, wrong := []byte(page("https://"+*listen+"/v1.0")), []byte(failure())
	write := func(w http.ResponseWriter, status int, body []byte) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("request-id", "3fec8e78-bce4-4aaf-ab1b-5451cc387264")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
	server := &http.Server{
		Addr: *listen, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch path, _ := strings.CutPrefix(r.URL.Path, "/v1.0"); path {
			case unitsPath, shortUnitsPath:
				write(w, http.StatusOK, units)
			case policyPath + smallID:
				write(w, http.StatusOK, []byte(small))
			case policyPath + errorID:
				write(w, http.StatusBadRequest, wrong)
			case policyPath + slowID:
				select {
				case <-time.After(time.Second):
					write(w, http.StatusOK, []byte(small))
				case <-r.Context().Done():
				}
			default:
				write(w, http.StatusNotFound, []byte(`{"error":{"code":"ResourceNotFound","message":"none"}}`))
			}
		}),
	}
	return server.ListenAndServeTLS(*certificate, *key)
}

// bareServices return messages that are there already.
type bareServices struct {
	pb.UnimplementedProtectionPolicyServiceServer
	pb.UnimplementedProtectionUnitServiceServer
	policy pb.GetProtectionPolicyResponse
	units  pb.ListMailboxProtectionUnitsResponse
}

func (b *bareServices) GetProtectionPolicy(_ context.Context, in *pb.GetProtectionPolicyRequest) (*pb.GetProtectionPolicyResponse, error) {
	if in.GetProtectionPolicyId() == slowID {
		time.Sleep(time.Second)
	}
	return &b.policy, nil
}

func (b *bareServices) ListMailboxProtectionUnits(context.Context, *pb.ListMailboxProtectionUnitsRequest) (*pb.ListMailboxProtectionUnitsResponse, error) {
	return &b.units, nil
}

// bare is a server of grpc-go with nothing of ours, over TLS if it gets a certificate.
func bare(arguments []string) error {
	flags := flag.NewFlagSet("bare", flag.ExitOnError)
	listen, certificate, key := flags.String("listen", "", ""), flags.String("certificate", "", ""), flags.String("key", "", "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	var b bareServices
	if err := b.policy.UnmarshalGraphJSON([]byte(small), pb.GraphReadOptions{}); err != nil {
		return err
	}
	if err := b.units.UnmarshalGraphJSON(decoding.NewPage(), pb.GraphReadOptions{Workload: pb.Workload_WORKLOAD_EXCHANGE}); err != nil {
		return err
	}
	var options []grpc.ServerOption
	if *certificate != "" {
		secure, err := credentials.NewServerTLSFromFile(*certificate, *key)
		if err != nil {
			return err
		}
		options = append(options, grpc.Creds(secure))
	}
	server := grpc.NewServer(options...)
	pb.RegisterProtectionPolicyServiceServer(server, &b)
	pb.RegisterProtectionUnitServiceServer(server, &b)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	return server.Serve(listener)
}

// raw calls the upstream with net/http, and throws the bodies away. It obeys orders until its standard input ends.
func raw(arguments []string) error {
	flags := flag.NewFlagSet("raw", flag.ExitOnError)
	endpoint, ca := flags.String("endpoint", "", ""), flags.String("ca", "", "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	authority, err := os.ReadFile(*ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableCompression: true,
		MaxIdleConnsPerHost: 10_000, MaxIdleConns: 10_000,
	}}
	get := func(path string) error {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, *endpoint+path, http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", path, response.Status)
		}
		return err
	}
	return trial.Obey(func(o trial.Order) error {
		return trial.InFlight(o.InFlight, o.Count, func(int) error { return get(o.Path) })
	})
}
