// Command go makes calls with a service config and prints how they ended.
//
// Usage: go ADDRESS CONFIG CALLS
//
// CONFIG is a file, or empty for none. CALLS is a list of calls as JSON; the program makes them one after the other on
// one channel. It prints a list as JSON, with an object for each call.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // Or the runtime would not ask for health, whatever the service config says.
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// call is a call to make. Its request is already encoded, so it needs no stubs.
type call struct {
	Method    string  `json:"method"`
	Request   []byte  `json:"request"`
	Tenant    string  `json:"tenant"`
	RequestID string  `json:"requestId"`
	Deadline  float64 `json:"deadline"`
}

// result is how a call ended, after the retries of the runtime. RetryDelay is the delay of RetryInfo, 0 without one.
// Both times are in seconds.
type result struct {
	Code       string  `json:"code"`
	Reason     string  `json:"reason"`
	Pushback   string  `json:"pushback"`
	RetryDelay float64 `json:"retryDelay"`
	Elapsed    float64 `json:"elapsed"`
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address, config, list string) error {
	var calls []call
	if err := json.Unmarshal([]byte(list), &calls); err != nil {
		return err
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if config != "" {
		text, err := os.ReadFile(config)
		if err != nil {
			return err
		}
		options = append(options, grpc.WithDefaultServiceConfig(string(text)))
	}
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		return err
	}
	var results []result
	for _, c := range calls {
		r, err := invoke(conn, c)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

func invoke(conn *grpc.ClientConn, c call) (result, error) {
	// Empty keeps unknown fields, and sends them as they are.
	request := new(emptypb.Empty)
	if err := proto.Unmarshal(c.Request, request); err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.Deadline*float64(time.Second)))
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", c.Tenant, "x-request-id", c.RequestID)
	var trailer metadata.MD
	start := time.Now()
	err := conn.Invoke(ctx, "/"+c.Method, request, new(emptypb.Empty), grpc.Trailer(&trailer))
	r := result{Code: code.Code(status.Code(err)).String(), Elapsed: time.Since(start).Seconds()}
	if pushback := trailer.Get("grpc-retry-pushback-ms"); len(pushback) > 0 {
		r.Pushback = pushback[0]
	}
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			r.Reason = d.GetReason()
		case *errdetails.RetryInfo:
			r.RetryDelay = d.GetRetryDelay().AsDuration().Seconds()
		}
	}
	return r, nil
}
