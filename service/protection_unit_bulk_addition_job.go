package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// protectionUnitBulkAdditionJobService serves the jobs that add many units to a policy.
type protectionUnitBulkAdditionJobService struct {
	pb.UnsafeProtectionUnitBulkAdditionJobServiceServer
	core *core
}

func (s protectionUnitBulkAdditionJobService) ListMailboxProtectionUnitsBulkAdditionJobs(ctx context.Context, request *pb.ListMailboxProtectionUnitsBulkAdditionJobsRequest) (*pb.ListMailboxProtectionUnitsBulkAdditionJobsResponse, error) {
	return unary[pb.ListMailboxProtectionUnitsBulkAdditionJobsResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) CreateMailboxProtectionUnitsBulkAdditionJob(ctx context.Context, request *pb.CreateMailboxProtectionUnitsBulkAdditionJobRequest) (*pb.CreateMailboxProtectionUnitsBulkAdditionJobResponse, error) {
	return unary[pb.CreateMailboxProtectionUnitsBulkAdditionJobResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) GetMailboxProtectionUnitsBulkAdditionJob(ctx context.Context, request *pb.GetMailboxProtectionUnitsBulkAdditionJobRequest) (*pb.GetMailboxProtectionUnitsBulkAdditionJobResponse, error) {
	return unary[pb.GetMailboxProtectionUnitsBulkAdditionJobResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) ListDriveProtectionUnitsBulkAdditionJobs(ctx context.Context, request *pb.ListDriveProtectionUnitsBulkAdditionJobsRequest) (*pb.ListDriveProtectionUnitsBulkAdditionJobsResponse, error) {
	return unary[pb.ListDriveProtectionUnitsBulkAdditionJobsResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) CreateDriveProtectionUnitsBulkAdditionJob(ctx context.Context, request *pb.CreateDriveProtectionUnitsBulkAdditionJobRequest) (*pb.CreateDriveProtectionUnitsBulkAdditionJobResponse, error) {
	return unary[pb.CreateDriveProtectionUnitsBulkAdditionJobResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) GetDriveProtectionUnitsBulkAdditionJob(ctx context.Context, request *pb.GetDriveProtectionUnitsBulkAdditionJobRequest) (*pb.GetDriveProtectionUnitsBulkAdditionJobResponse, error) {
	return unary[pb.GetDriveProtectionUnitsBulkAdditionJobResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) ListSiteProtectionUnitsBulkAdditionJobs(ctx context.Context, request *pb.ListSiteProtectionUnitsBulkAdditionJobsRequest) (*pb.ListSiteProtectionUnitsBulkAdditionJobsResponse, error) {
	return unary[pb.ListSiteProtectionUnitsBulkAdditionJobsResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) CreateSiteProtectionUnitsBulkAdditionJob(ctx context.Context, request *pb.CreateSiteProtectionUnitsBulkAdditionJobRequest) (*pb.CreateSiteProtectionUnitsBulkAdditionJobResponse, error) {
	return unary[pb.CreateSiteProtectionUnitsBulkAdditionJobResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) GetSiteProtectionUnitsBulkAdditionJob(ctx context.Context, request *pb.GetSiteProtectionUnitsBulkAdditionJobRequest) (*pb.GetSiteProtectionUnitsBulkAdditionJobResponse, error) {
	return unary[pb.GetSiteProtectionUnitsBulkAdditionJobResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) WaitMailboxProtectionUnitsBulkAdditionJob(ctx context.Context, request *pb.WaitMailboxProtectionUnitsBulkAdditionJobRequest) (*pb.WaitMailboxProtectionUnitsBulkAdditionJobResponse, error) {
	return wait[pb.WaitMailboxProtectionUnitsBulkAdditionJobResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) WaitDriveProtectionUnitsBulkAdditionJob(ctx context.Context, request *pb.WaitDriveProtectionUnitsBulkAdditionJobRequest) (*pb.WaitDriveProtectionUnitsBulkAdditionJobResponse, error) {
	return wait[pb.WaitDriveProtectionUnitsBulkAdditionJobResponse](ctx, s.core, request)
}

func (s protectionUnitBulkAdditionJobService) WaitSiteProtectionUnitsBulkAdditionJob(ctx context.Context, request *pb.WaitSiteProtectionUnitsBulkAdditionJobRequest) (*pb.WaitSiteProtectionUnitsBulkAdditionJobResponse, error) {
	return wait[pb.WaitSiteProtectionUnitsBulkAdditionJobResponse](ctx, s.core, request)
}
