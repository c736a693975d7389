package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// inclusionRuleService serves the rules that say what a policy takes in.
type inclusionRuleService struct {
	pb.UnsafeInclusionRuleServiceServer
	core *core
}

func (s inclusionRuleService) ListMailboxInclusionRules(ctx context.Context, request *pb.ListMailboxInclusionRulesRequest) (*pb.ListMailboxInclusionRulesResponse, error) {
	return unary[pb.ListMailboxInclusionRulesResponse](ctx, s.core, request)
}

func (s inclusionRuleService) ListDriveInclusionRules(ctx context.Context, request *pb.ListDriveInclusionRulesRequest) (*pb.ListDriveInclusionRulesResponse, error) {
	return unary[pb.ListDriveInclusionRulesResponse](ctx, s.core, request)
}

func (s inclusionRuleService) ListSiteInclusionRules(ctx context.Context, request *pb.ListSiteInclusionRulesRequest) (*pb.ListSiteInclusionRulesResponse, error) {
	return unary[pb.ListSiteInclusionRulesResponse](ctx, s.core, request)
}

func (s inclusionRuleService) CreateMailboxInclusionRule(ctx context.Context, request *pb.CreateMailboxInclusionRuleRequest) (*pb.CreateMailboxInclusionRuleResponse, error) {
	return unary[pb.CreateMailboxInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) CreateDriveInclusionRule(ctx context.Context, request *pb.CreateDriveInclusionRuleRequest) (*pb.CreateDriveInclusionRuleResponse, error) {
	return unary[pb.CreateDriveInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) CreateSiteInclusionRule(ctx context.Context, request *pb.CreateSiteInclusionRuleRequest) (*pb.CreateSiteInclusionRuleResponse, error) {
	return unary[pb.CreateSiteInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) GetMailboxInclusionRule(ctx context.Context, request *pb.GetMailboxInclusionRuleRequest) (*pb.GetMailboxInclusionRuleResponse, error) {
	return unary[pb.GetMailboxInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) GetDriveInclusionRule(ctx context.Context, request *pb.GetDriveInclusionRuleRequest) (*pb.GetDriveInclusionRuleResponse, error) {
	return unary[pb.GetDriveInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) GetSiteInclusionRule(ctx context.Context, request *pb.GetSiteInclusionRuleRequest) (*pb.GetSiteInclusionRuleResponse, error) {
	return unary[pb.GetSiteInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) UpdateMailboxInclusionRule(ctx context.Context, request *pb.UpdateMailboxInclusionRuleRequest) (*pb.UpdateMailboxInclusionRuleResponse, error) {
	return unary[pb.UpdateMailboxInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) UpdateDriveInclusionRule(ctx context.Context, request *pb.UpdateDriveInclusionRuleRequest) (*pb.UpdateDriveInclusionRuleResponse, error) {
	return unary[pb.UpdateDriveInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) DeleteMailboxInclusionRule(ctx context.Context, request *pb.DeleteMailboxInclusionRuleRequest) (*pb.DeleteMailboxInclusionRuleResponse, error) {
	return unary[pb.DeleteMailboxInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) DeleteDriveInclusionRule(ctx context.Context, request *pb.DeleteDriveInclusionRuleRequest) (*pb.DeleteDriveInclusionRuleResponse, error) {
	return unary[pb.DeleteDriveInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) DeleteSiteInclusionRule(ctx context.Context, request *pb.DeleteSiteInclusionRuleRequest) (*pb.DeleteSiteInclusionRuleResponse, error) {
	return unary[pb.DeleteSiteInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) DeleteAndUnprotectMailboxInclusionRule(ctx context.Context, request *pb.DeleteAndUnprotectMailboxInclusionRuleRequest) (*pb.DeleteAndUnprotectMailboxInclusionRuleResponse, error) {
	return unary[pb.DeleteAndUnprotectMailboxInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) DeleteAndUnprotectDriveInclusionRule(ctx context.Context, request *pb.DeleteAndUnprotectDriveInclusionRuleRequest) (*pb.DeleteAndUnprotectDriveInclusionRuleResponse, error) {
	return unary[pb.DeleteAndUnprotectDriveInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) RunMailboxInclusionRule(ctx context.Context, request *pb.RunMailboxInclusionRuleRequest) (*pb.RunMailboxInclusionRuleResponse, error) {
	return unary[pb.RunMailboxInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) RunDriveInclusionRule(ctx context.Context, request *pb.RunDriveInclusionRuleRequest) (*pb.RunDriveInclusionRuleResponse, error) {
	return unary[pb.RunDriveInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) RunSiteInclusionRule(ctx context.Context, request *pb.RunSiteInclusionRuleRequest) (*pb.RunSiteInclusionRuleResponse, error) {
	return unary[pb.RunSiteInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) WaitMailboxInclusionRule(ctx context.Context, request *pb.WaitMailboxInclusionRuleRequest) (*pb.WaitMailboxInclusionRuleResponse, error) {
	return wait[pb.WaitMailboxInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) WaitDriveInclusionRule(ctx context.Context, request *pb.WaitDriveInclusionRuleRequest) (*pb.WaitDriveInclusionRuleResponse, error) {
	return wait[pb.WaitDriveInclusionRuleResponse](ctx, s.core, request)
}

func (s inclusionRuleService) WaitSiteInclusionRule(ctx context.Context, request *pb.WaitSiteInclusionRuleRequest) (*pb.WaitSiteInclusionRuleResponse, error) {
	return wait[pb.WaitSiteInclusionRuleResponse](ctx, s.core, request)
}
