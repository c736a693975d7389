package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// restoreArtifactBulkAdditionRequestService serves the requests that add many artifacts to a restore.
type restoreArtifactBulkAdditionRequestService struct {
	pb.UnsafeRestoreArtifactBulkAdditionRequestServiceServer
	core *core
}

func (s restoreArtifactBulkAdditionRequestService) ListMailboxRestoreArtifactsBulkAdditionRequests(ctx context.Context, request *pb.ListMailboxRestoreArtifactsBulkAdditionRequestsRequest) (*pb.ListMailboxRestoreArtifactsBulkAdditionRequestsResponse, error) {
	return unary[pb.ListMailboxRestoreArtifactsBulkAdditionRequestsResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) CreateMailboxRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.CreateMailboxRestoreArtifactsBulkAdditionRequestRequest) (*pb.CreateMailboxRestoreArtifactsBulkAdditionRequestResponse, error) {
	return unary[pb.CreateMailboxRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) GetMailboxRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.GetMailboxRestoreArtifactsBulkAdditionRequestRequest) (*pb.GetMailboxRestoreArtifactsBulkAdditionRequestResponse, error) {
	return unary[pb.GetMailboxRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) DeleteMailboxRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.DeleteMailboxRestoreArtifactsBulkAdditionRequestRequest) (*pb.DeleteMailboxRestoreArtifactsBulkAdditionRequestResponse, error) {
	return unary[pb.DeleteMailboxRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) ListDriveRestoreArtifactsBulkAdditionRequests(ctx context.Context, request *pb.ListDriveRestoreArtifactsBulkAdditionRequestsRequest) (*pb.ListDriveRestoreArtifactsBulkAdditionRequestsResponse, error) {
	return unary[pb.ListDriveRestoreArtifactsBulkAdditionRequestsResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) CreateDriveRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.CreateDriveRestoreArtifactsBulkAdditionRequestRequest) (*pb.CreateDriveRestoreArtifactsBulkAdditionRequestResponse, error) {
	return unary[pb.CreateDriveRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) GetDriveRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.GetDriveRestoreArtifactsBulkAdditionRequestRequest) (*pb.GetDriveRestoreArtifactsBulkAdditionRequestResponse, error) {
	return unary[pb.GetDriveRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) DeleteDriveRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.DeleteDriveRestoreArtifactsBulkAdditionRequestRequest) (*pb.DeleteDriveRestoreArtifactsBulkAdditionRequestResponse, error) {
	return unary[pb.DeleteDriveRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) ListSiteRestoreArtifactsBulkAdditionRequests(ctx context.Context, request *pb.ListSiteRestoreArtifactsBulkAdditionRequestsRequest) (*pb.ListSiteRestoreArtifactsBulkAdditionRequestsResponse, error) {
	return unary[pb.ListSiteRestoreArtifactsBulkAdditionRequestsResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) CreateSiteRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.CreateSiteRestoreArtifactsBulkAdditionRequestRequest) (*pb.CreateSiteRestoreArtifactsBulkAdditionRequestResponse, error) {
	return unary[pb.CreateSiteRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) GetSiteRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.GetSiteRestoreArtifactsBulkAdditionRequestRequest) (*pb.GetSiteRestoreArtifactsBulkAdditionRequestResponse, error) {
	return unary[pb.GetSiteRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) DeleteSiteRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.DeleteSiteRestoreArtifactsBulkAdditionRequestRequest) (*pb.DeleteSiteRestoreArtifactsBulkAdditionRequestResponse, error) {
	return unary[pb.DeleteSiteRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) WaitMailboxRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.WaitMailboxRestoreArtifactsBulkAdditionRequestRequest) (*pb.WaitMailboxRestoreArtifactsBulkAdditionRequestResponse, error) {
	return wait[pb.WaitMailboxRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) WaitDriveRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.WaitDriveRestoreArtifactsBulkAdditionRequestRequest) (*pb.WaitDriveRestoreArtifactsBulkAdditionRequestResponse, error) {
	return wait[pb.WaitDriveRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}

func (s restoreArtifactBulkAdditionRequestService) WaitSiteRestoreArtifactsBulkAdditionRequest(ctx context.Context, request *pb.WaitSiteRestoreArtifactsBulkAdditionRequestRequest) (*pb.WaitSiteRestoreArtifactsBulkAdditionRequestResponse, error) {
	return wait[pb.WaitSiteRestoreArtifactsBulkAdditionRequestResponse](ctx, s.core, request)
}
