package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// restoreSessionService serves the restores.
type restoreSessionService struct {
	pb.UnsafeRestoreSessionServiceServer
	core *core
}

func (s restoreSessionService) ListRestoreSessions(ctx context.Context, request *pb.ListRestoreSessionsRequest) (*pb.ListRestoreSessionsResponse, error) {
	return unary[pb.ListRestoreSessionsResponse](ctx, s.core, request)
}

func (s restoreSessionService) GetRestoreSession(ctx context.Context, request *pb.GetRestoreSessionRequest) (*pb.GetRestoreSessionResponse, error) {
	return unary[pb.GetRestoreSessionResponse](ctx, s.core, request)
}

func (s restoreSessionService) DeleteRestoreSession(ctx context.Context, request *pb.DeleteRestoreSessionRequest) (*pb.DeleteRestoreSessionResponse, error) {
	return unary[pb.DeleteRestoreSessionResponse](ctx, s.core, request)
}

func (s restoreSessionService) ActivateRestoreSession(ctx context.Context, request *pb.ActivateRestoreSessionRequest) (*pb.ActivateRestoreSessionResponse, error) {
	return unary[pb.ActivateRestoreSessionResponse](ctx, s.core, request)
}

func (s restoreSessionService) CreateExchangeRestoreSession(ctx context.Context, request *pb.CreateExchangeRestoreSessionRequest) (*pb.CreateExchangeRestoreSessionResponse, error) {
	return unary[pb.CreateExchangeRestoreSessionResponse](ctx, s.core, request)
}

func (s restoreSessionService) CreateOneDriveForBusinessRestoreSession(ctx context.Context, request *pb.CreateOneDriveForBusinessRestoreSessionRequest) (*pb.CreateOneDriveForBusinessRestoreSessionResponse, error) {
	return unary[pb.CreateOneDriveForBusinessRestoreSessionResponse](ctx, s.core, request)
}

func (s restoreSessionService) CreateSharePointRestoreSession(ctx context.Context, request *pb.CreateSharePointRestoreSessionRequest) (*pb.CreateSharePointRestoreSessionResponse, error) {
	return unary[pb.CreateSharePointRestoreSessionResponse](ctx, s.core, request)
}

func (s restoreSessionService) UpdateExchangeRestoreSession(ctx context.Context, request *pb.UpdateExchangeRestoreSessionRequest) (*pb.UpdateExchangeRestoreSessionResponse, error) {
	return unary[pb.UpdateExchangeRestoreSessionResponse](ctx, s.core, request)
}

func (s restoreSessionService) UpdateOneDriveForBusinessRestoreSession(ctx context.Context, request *pb.UpdateOneDriveForBusinessRestoreSessionRequest) (*pb.UpdateOneDriveForBusinessRestoreSessionResponse, error) {
	if err := exclusive(
		"add_drive_restore_artifacts", len(request.GetAddDriveRestoreArtifacts())+len(request.GetRemoveDriveRestoreArtifactIds()) > 0,
		"add_granular_drive_restore_artifacts", len(request.GetAddGranularDriveRestoreArtifacts())+len(request.GetRemoveGranularDriveRestoreArtifactIds()) > 0,
	); err != nil {
		return nil, err
	}
	return unary[pb.UpdateOneDriveForBusinessRestoreSessionResponse](ctx, s.core, request)
}

func (s restoreSessionService) UpdateSharePointRestoreSession(ctx context.Context, request *pb.UpdateSharePointRestoreSessionRequest) (*pb.UpdateSharePointRestoreSessionResponse, error) {
	if err := exclusive(
		"add_site_restore_artifacts", len(request.GetAddSiteRestoreArtifacts())+len(request.GetRemoveSiteRestoreArtifactIds()) > 0,
		"add_granular_site_restore_artifacts", len(request.GetAddGranularSiteRestoreArtifacts())+len(request.GetRemoveGranularSiteRestoreArtifactIds()) > 0,
	); err != nil {
		return nil, err
	}
	return unary[pb.UpdateSharePointRestoreSessionResponse](ctx, s.core, request)
}

func (s restoreSessionService) WaitRestoreSession(ctx context.Context, request *pb.WaitRestoreSessionRequest) (*pb.WaitRestoreSessionResponse, error) {
	return wait[pb.WaitRestoreSessionResponse](ctx, s.core, request)
}
