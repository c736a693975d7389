package service

import (
	"google.golang.org/grpc"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// protectionUnitStreamService serves the streams of units.
type protectionUnitStreamService struct {
	pb.UnsafeProtectionUnitStreamServiceServer
	core *core
}

func (s protectionUnitStreamService) StreamDriveProtectionUnits(request *pb.ListDriveProtectionUnitsRequest, stream grpc.ServerStreamingServer[pb.ListDriveProtectionUnitsResponse]) error {
	return streamPages(stream, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitStreamService) StreamOneDriveForBusinessProtectionPolicyUnits(request *pb.ListOneDriveForBusinessProtectionPolicyUnitsRequest, stream grpc.ServerStreamingServer[pb.ListOneDriveForBusinessProtectionPolicyUnitsResponse]) error {
	return streamPages(stream, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitStreamService) StreamMailboxProtectionUnits(request *pb.ListMailboxProtectionUnitsRequest, stream grpc.ServerStreamingServer[pb.ListMailboxProtectionUnitsResponse]) error {
	return streamPages(stream, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitStreamService) StreamExchangeProtectionPolicyUnits(request *pb.ListExchangeProtectionPolicyUnitsRequest, stream grpc.ServerStreamingServer[pb.ListExchangeProtectionPolicyUnitsResponse]) error {
	return streamPages(stream, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitStreamService) StreamSiteProtectionUnits(request *pb.ListSiteProtectionUnitsRequest, stream grpc.ServerStreamingServer[pb.ListSiteProtectionUnitsResponse]) error {
	return streamPages(stream, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitStreamService) StreamSharePointProtectionPolicyUnits(request *pb.ListSharePointProtectionPolicyUnitsRequest, stream grpc.ServerStreamingServer[pb.ListSharePointProtectionPolicyUnitsResponse]) error {
	return streamPages(stream, s.core, request, unitQueries(request.GetFilter())...)
}
