package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// protectionUnitService serves the units.
type protectionUnitService struct {
	pb.UnsafeProtectionUnitServiceServer
	core *core
}

func (s protectionUnitService) GetProtectionUnit(ctx context.Context, request *pb.GetProtectionUnitRequest) (*pb.GetProtectionUnitResponse, error) {
	return unary[pb.GetProtectionUnitResponse](ctx, s.core, request)
}

func (s protectionUnitService) ListDriveProtectionUnits(ctx context.Context, request *pb.ListDriveProtectionUnitsRequest) (*pb.ListDriveProtectionUnitsResponse, error) {
	return unary[pb.ListDriveProtectionUnitsResponse](ctx, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitService) ListOneDriveForBusinessProtectionPolicyUnits(ctx context.Context, request *pb.ListOneDriveForBusinessProtectionPolicyUnitsRequest) (*pb.ListOneDriveForBusinessProtectionPolicyUnitsResponse, error) {
	return unary[pb.ListOneDriveForBusinessProtectionPolicyUnitsResponse](ctx, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitService) ListMailboxProtectionUnits(ctx context.Context, request *pb.ListMailboxProtectionUnitsRequest) (*pb.ListMailboxProtectionUnitsResponse, error) {
	return unary[pb.ListMailboxProtectionUnitsResponse](ctx, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitService) ListExchangeProtectionPolicyUnits(ctx context.Context, request *pb.ListExchangeProtectionPolicyUnitsRequest) (*pb.ListExchangeProtectionPolicyUnitsResponse, error) {
	return unary[pb.ListExchangeProtectionPolicyUnitsResponse](ctx, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitService) ListSiteProtectionUnits(ctx context.Context, request *pb.ListSiteProtectionUnitsRequest) (*pb.ListSiteProtectionUnitsResponse, error) {
	return unary[pb.ListSiteProtectionUnitsResponse](ctx, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitService) ListSharePointProtectionPolicyUnits(ctx context.Context, request *pb.ListSharePointProtectionPolicyUnitsRequest) (*pb.ListSharePointProtectionPolicyUnitsResponse, error) {
	return unary[pb.ListSharePointProtectionPolicyUnitsResponse](ctx, s.core, request, unitQueries(request.GetFilter())...)
}

func (s protectionUnitService) OffboardProtectionUnit(ctx context.Context, request *pb.OffboardProtectionUnitRequest) (*pb.OffboardProtectionUnitResponse, error) {
	return unary[pb.OffboardProtectionUnitResponse](ctx, s.core, request)
}

func (s protectionUnitService) CancelOffboardProtectionUnit(ctx context.Context, request *pb.CancelOffboardProtectionUnitRequest) (*pb.CancelOffboardProtectionUnitResponse, error) {
	return unary[pb.CancelOffboardProtectionUnitResponse](ctx, s.core, request)
}

func (s protectionUnitService) WaitProtectionUnit(ctx context.Context, request *pb.WaitProtectionUnitRequest) (*pb.WaitProtectionUnitResponse, error) {
	return wait[pb.WaitProtectionUnitResponse](ctx, s.core, request)
}
