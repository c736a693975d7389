package service

import (
	"context"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// backupRestoreService serves the state of the backup service in a tenant and its mail notifications.
type backupRestoreService struct {
	pb.UnsafeBackupRestoreServiceServer
	core *core
}

func (s backupRestoreService) GetBackupRestore(ctx context.Context, request *pb.GetBackupRestoreRequest) (*pb.GetBackupRestoreResponse, error) {
	return unary[pb.GetBackupRestoreResponse](ctx, s.core, request)
}

func (s backupRestoreService) EnableBackupRestore(ctx context.Context, request *pb.EnableBackupRestoreRequest) (*pb.EnableBackupRestoreResponse, error) {
	return unary[pb.EnableBackupRestoreResponse](ctx, s.core, request)
}

func (s backupRestoreService) GetEmailNotificationsSetting(ctx context.Context, request *pb.GetEmailNotificationsSettingRequest) (*pb.GetEmailNotificationsSettingResponse, error) {
	return unary[pb.GetEmailNotificationsSettingResponse](ctx, s.core, request)
}

func (s backupRestoreService) UpdateEmailNotificationsSetting(ctx context.Context, request *pb.UpdateEmailNotificationsSettingRequest) (*pb.UpdateEmailNotificationsSettingResponse, error) {
	return unary[pb.UpdateEmailNotificationsSettingResponse](ctx, s.core, request)
}

func (s backupRestoreService) WaitBackupRestore(ctx context.Context, request *pb.WaitBackupRestoreRequest) (*pb.WaitBackupRestoreResponse, error) {
	return wait[pb.WaitBackupRestoreResponse](ctx, s.core, request)
}
