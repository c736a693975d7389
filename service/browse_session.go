package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// browseSessionService serves the sessions that look into a restore point.
type browseSessionService struct {
	pb.UnsafeBrowseSessionServiceServer
	core *core
}

func (s browseSessionService) ListBrowseSessions(ctx context.Context, request *pb.ListBrowseSessionsRequest) (*pb.ListBrowseSessionsResponse, error) {
	return unary[pb.ListBrowseSessionsResponse](ctx, s.core, request)
}

func (s browseSessionService) ListOneDriveForBusinessBrowseSessions(ctx context.Context, request *pb.ListOneDriveForBusinessBrowseSessionsRequest) (*pb.ListOneDriveForBusinessBrowseSessionsResponse, error) {
	return unary[pb.ListOneDriveForBusinessBrowseSessionsResponse](ctx, s.core, request)
}

func (s browseSessionService) CreateOneDriveForBusinessBrowseSession(ctx context.Context, request *pb.CreateOneDriveForBusinessBrowseSessionRequest) (*pb.CreateOneDriveForBusinessBrowseSessionResponse, error) {
	return unary[pb.CreateOneDriveForBusinessBrowseSessionResponse](ctx, s.core, request)
}

func (s browseSessionService) GetOneDriveForBusinessBrowseSession(ctx context.Context, request *pb.GetOneDriveForBusinessBrowseSessionRequest) (*pb.GetOneDriveForBusinessBrowseSessionResponse, error) {
	return unary[pb.GetOneDriveForBusinessBrowseSessionResponse](ctx, s.core, request)
}

func (s browseSessionService) BrowseOneDriveForBusinessBrowseSession(ctx context.Context, request *pb.BrowseOneDriveForBusinessBrowseSessionRequest) (*pb.BrowseOneDriveForBusinessBrowseSessionResponse, error) {
	return unary[pb.BrowseOneDriveForBusinessBrowseSessionResponse](ctx, s.core, request)
}

func (s browseSessionService) ListSharePointBrowseSessions(ctx context.Context, request *pb.ListSharePointBrowseSessionsRequest) (*pb.ListSharePointBrowseSessionsResponse, error) {
	return unary[pb.ListSharePointBrowseSessionsResponse](ctx, s.core, request)
}

func (s browseSessionService) CreateSharePointBrowseSession(ctx context.Context, request *pb.CreateSharePointBrowseSessionRequest) (*pb.CreateSharePointBrowseSessionResponse, error) {
	return unary[pb.CreateSharePointBrowseSessionResponse](ctx, s.core, request)
}

func (s browseSessionService) GetSharePointBrowseSession(ctx context.Context, request *pb.GetSharePointBrowseSessionRequest) (*pb.GetSharePointBrowseSessionResponse, error) {
	return unary[pb.GetSharePointBrowseSessionResponse](ctx, s.core, request)
}

func (s browseSessionService) BrowseSharePointBrowseSession(ctx context.Context, request *pb.BrowseSharePointBrowseSessionRequest) (*pb.BrowseSharePointBrowseSessionResponse, error) {
	return unary[pb.BrowseSharePointBrowseSessionResponse](ctx, s.core, request)
}
