package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// maxHealthName is how long the name of a service may be, in bytes. Strangers may ask for health, and a watch holds the
// name for as long as it lasts.
const maxHealthName = 256

// shortNames is the health service for names that are short.
type shortNames struct{ *health.Server }

// Check implements healthpb.HealthServer.
func (s shortNames) Check(ctx context.Context, request *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if err := checkHealthName(request); err != nil {
		return nil, err
	}
	return s.Server.Check(ctx, request)
}

// Watch implements healthpb.HealthServer.
func (s shortNames) Watch(request *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	if err := checkHealthName(request); err != nil {
		return err
	}
	return s.Server.Watch(request, stream)
}

func checkHealthName(request *healthpb.HealthCheckRequest) error {
	if len(request.GetService()) > maxHealthName {
		return status.Errorf(codes.InvalidArgument, "the name of the service is longer than %d bytes", maxHealthName)
	}
	return nil
}
