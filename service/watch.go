package service

import (
	"google.golang.org/grpc"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// watchService serves the watches.
type watchService struct {
	pb.UnsafeWatchServiceServer
	core *core
}

func (s watchService) WatchProtectionPolicy(request *pb.WatchProtectionPolicyRequest, stream grpc.ServerStreamingServer[pb.WatchProtectionPolicyResponse]) error {
	return watch(stream, s.core, request)
}

func (s watchService) WatchRestoreSession(request *pb.WatchRestoreSessionRequest, stream grpc.ServerStreamingServer[pb.WatchRestoreSessionResponse]) error {
	return watch(stream, s.core, request)
}

func (s watchService) WatchMailboxProtectionUnitsBulkAdditionJob(request *pb.WatchMailboxProtectionUnitsBulkAdditionJobRequest, stream grpc.ServerStreamingServer[pb.WatchMailboxProtectionUnitsBulkAdditionJobResponse]) error {
	return watch(stream, s.core, request)
}

func (s watchService) WatchDriveProtectionUnitsBulkAdditionJob(request *pb.WatchDriveProtectionUnitsBulkAdditionJobRequest, stream grpc.ServerStreamingServer[pb.WatchDriveProtectionUnitsBulkAdditionJobResponse]) error {
	return watch(stream, s.core, request)
}

func (s watchService) WatchSiteProtectionUnitsBulkAdditionJob(request *pb.WatchSiteProtectionUnitsBulkAdditionJobRequest, stream grpc.ServerStreamingServer[pb.WatchSiteProtectionUnitsBulkAdditionJobResponse]) error {
	return watch(stream, s.core, request)
}
