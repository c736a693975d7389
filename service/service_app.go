package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// serviceAppService serves the applications that control the backup service.
type serviceAppService struct {
	pb.UnsafeServiceAppServiceServer
	core *core
}

func (s serviceAppService) ListServiceApps(ctx context.Context, request *pb.ListServiceAppsRequest) (*pb.ListServiceAppsResponse, error) {
	return unary[pb.ListServiceAppsResponse](ctx, s.core, request)
}

func (s serviceAppService) CreateServiceApp(ctx context.Context, request *pb.CreateServiceAppRequest) (*pb.CreateServiceAppResponse, error) {
	return unary[pb.CreateServiceAppResponse](ctx, s.core, request)
}

func (s serviceAppService) GetServiceApp(ctx context.Context, request *pb.GetServiceAppRequest) (*pb.GetServiceAppResponse, error) {
	return unary[pb.GetServiceAppResponse](ctx, s.core, request)
}

func (s serviceAppService) DeleteServiceApp(ctx context.Context, request *pb.DeleteServiceAppRequest) (*pb.DeleteServiceAppResponse, error) {
	return unary[pb.DeleteServiceAppResponse](ctx, s.core, request)
}

func (s serviceAppService) ActivateServiceApp(ctx context.Context, request *pb.ActivateServiceAppRequest) (*pb.ActivateServiceAppResponse, error) {
	return unary[pb.ActivateServiceAppResponse](ctx, s.core, request)
}

func (s serviceAppService) DeactivateServiceApp(ctx context.Context, request *pb.DeactivateServiceAppRequest) (*pb.DeactivateServiceAppResponse, error) {
	return unary[pb.DeactivateServiceAppResponse](ctx, s.core, request)
}

func (s serviceAppService) WaitServiceApp(ctx context.Context, request *pb.WaitServiceAppRequest) (*pb.WaitServiceAppResponse, error) {
	return wait[pb.WaitServiceAppResponse](ctx, s.core, request)
}
