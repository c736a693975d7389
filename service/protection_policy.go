package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// protectionPolicyService serves the policies.
type protectionPolicyService struct {
	pb.UnsafeProtectionPolicyServiceServer
	core *core
}

func (s protectionPolicyService) ListProtectionPolicies(ctx context.Context, request *pb.ListProtectionPoliciesRequest) (*pb.ListProtectionPoliciesResponse, error) {
	return unary[pb.ListProtectionPoliciesResponse](ctx, s.core, request)
}

func (s protectionPolicyService) GetProtectionPolicy(ctx context.Context, request *pb.GetProtectionPolicyRequest) (*pb.GetProtectionPolicyResponse, error) {
	return unary[pb.GetProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) DeleteProtectionPolicy(ctx context.Context, request *pb.DeleteProtectionPolicyRequest) (*pb.DeleteProtectionPolicyResponse, error) {
	return unary[pb.DeleteProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) ActivateProtectionPolicy(ctx context.Context, request *pb.ActivateProtectionPolicyRequest) (*pb.ActivateProtectionPolicyResponse, error) {
	return unary[pb.ActivateProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) DeactivateProtectionPolicy(ctx context.Context, request *pb.DeactivateProtectionPolicyRequest) (*pb.DeactivateProtectionPolicyResponse, error) {
	return unary[pb.DeactivateProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) CreateExchangeProtectionPolicy(ctx context.Context, request *pb.CreateExchangeProtectionPolicyRequest) (*pb.CreateExchangeProtectionPolicyResponse, error) {
	return unary[pb.CreateExchangeProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) CreateOneDriveForBusinessProtectionPolicy(ctx context.Context, request *pb.CreateOneDriveForBusinessProtectionPolicyRequest) (*pb.CreateOneDriveForBusinessProtectionPolicyResponse, error) {
	return unary[pb.CreateOneDriveForBusinessProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) CreateSharePointProtectionPolicy(ctx context.Context, request *pb.CreateSharePointProtectionPolicyRequest) (*pb.CreateSharePointProtectionPolicyResponse, error) {
	return unary[pb.CreateSharePointProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) UpdateExchangeProtectionPolicy(ctx context.Context, request *pb.UpdateExchangeProtectionPolicyRequest) (*pb.UpdateExchangeProtectionPolicyResponse, error) {
	return unary[pb.UpdateExchangeProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) UpdateOneDriveForBusinessProtectionPolicy(ctx context.Context, request *pb.UpdateOneDriveForBusinessProtectionPolicyRequest) (*pb.UpdateOneDriveForBusinessProtectionPolicyResponse, error) {
	return unary[pb.UpdateOneDriveForBusinessProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) UpdateSharePointProtectionPolicy(ctx context.Context, request *pb.UpdateSharePointProtectionPolicyRequest) (*pb.UpdateSharePointProtectionPolicyResponse, error) {
	return unary[pb.UpdateSharePointProtectionPolicyResponse](ctx, s.core, request)
}

func (s protectionPolicyService) WaitProtectionPolicy(ctx context.Context, request *pb.WaitProtectionPolicyRequest) (*pb.WaitProtectionPolicyResponse, error) {
	return wait[pb.WaitProtectionPolicyResponse](ctx, s.core, request)
}
