package service

import (
	"google.golang.org/grpc"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// restoreArtifactStreamService serves the streams of artifacts.
type restoreArtifactStreamService struct {
	pb.UnsafeRestoreArtifactStreamServiceServer
	core *core
}

func (s restoreArtifactStreamService) StreamMailboxRestoreArtifacts(request *pb.ListMailboxRestoreArtifactsRequest, stream grpc.ServerStreamingServer[pb.ListMailboxRestoreArtifactsResponse]) error {
	return streamPages(stream, s.core, request)
}

func (s restoreArtifactStreamService) StreamDriveRestoreArtifacts(request *pb.ListDriveRestoreArtifactsRequest, stream grpc.ServerStreamingServer[pb.ListDriveRestoreArtifactsResponse]) error {
	return streamPages(stream, s.core, request)
}

func (s restoreArtifactStreamService) StreamSiteRestoreArtifacts(request *pb.ListSiteRestoreArtifactsRequest, stream grpc.ServerStreamingServer[pb.ListSiteRestoreArtifactsResponse]) error {
	return streamPages(stream, s.core, request)
}

func (s restoreArtifactStreamService) StreamGranularDriveRestoreArtifacts(request *pb.ListGranularDriveRestoreArtifactsRequest, stream grpc.ServerStreamingServer[pb.ListGranularDriveRestoreArtifactsResponse]) error {
	return streamPages(stream, s.core, request)
}

func (s restoreArtifactStreamService) StreamGranularSiteRestoreArtifacts(request *pb.ListGranularSiteRestoreArtifactsRequest, stream grpc.ServerStreamingServer[pb.ListGranularSiteRestoreArtifactsResponse]) error {
	return streamPages(stream, s.core, request)
}
