package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// restoreArtifactService serves what a restore takes in.
type restoreArtifactService struct {
	pb.UnsafeRestoreArtifactServiceServer
	core *core
}

func (s restoreArtifactService) ListMailboxRestoreArtifacts(ctx context.Context, request *pb.ListMailboxRestoreArtifactsRequest) (*pb.ListMailboxRestoreArtifactsResponse, error) {
	return unary[pb.ListMailboxRestoreArtifactsResponse](ctx, s.core, request)
}

func (s restoreArtifactService) ListDriveRestoreArtifacts(ctx context.Context, request *pb.ListDriveRestoreArtifactsRequest) (*pb.ListDriveRestoreArtifactsResponse, error) {
	return unary[pb.ListDriveRestoreArtifactsResponse](ctx, s.core, request)
}

func (s restoreArtifactService) ListSiteRestoreArtifacts(ctx context.Context, request *pb.ListSiteRestoreArtifactsRequest) (*pb.ListSiteRestoreArtifactsResponse, error) {
	return unary[pb.ListSiteRestoreArtifactsResponse](ctx, s.core, request)
}

func (s restoreArtifactService) ListGranularDriveRestoreArtifacts(ctx context.Context, request *pb.ListGranularDriveRestoreArtifactsRequest) (*pb.ListGranularDriveRestoreArtifactsResponse, error) {
	return unary[pb.ListGranularDriveRestoreArtifactsResponse](ctx, s.core, request)
}

func (s restoreArtifactService) ListGranularSiteRestoreArtifacts(ctx context.Context, request *pb.ListGranularSiteRestoreArtifactsRequest) (*pb.ListGranularSiteRestoreArtifactsResponse, error) {
	return unary[pb.ListGranularSiteRestoreArtifactsResponse](ctx, s.core, request)
}
