package contract

import (
	"slices"
	"strings"
	"testing"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Each stream, wait and watch has path, permission and errors of its read, with the fields of its own request.
func TestDerivedOperationsReadAsTheirsDo(t *testing.T) {
	c := read(t)
	kinds, withList := map[Kind]int{}, map[string]string{}
	for _, op := range c.Operations() {
		kinds[op.Kind]++
		if (op.Of != nil) != op.Kind.Lasting() || (op.Watched != nil) != (op.Kind == Wait || op.Kind == Watch) {
			t.Errorf("%s: kind %d, of %v, watched %v", op.Name, op.Kind, op.Of, op.Watched)
		}
		if op.Of == nil {
			continue
		}
		if op.Spec.GetPermission() == "" || op.Spec.GetPermission() != op.Of.Spec.GetPermission() || !op.Safe || op.Reads() != op.Of {
			t.Errorf("%s: permission %q, safe %t", op.Name, op.Spec.GetPermission(), op.Safe)
		}
		for i, s := range op.Path {
			if s.Field != nil && (s.Field.Parent() != op.Request || s.Field.Name() != op.Of.Path[i].Field.Name()) {
				t.Errorf("%s: %s is not a field of its request", op.Name, s.Field.FullName())
			}
		}
		want := op
		if op.Kind == Pages {
			// The message of the page token says which list it belongs to.
			want = op.Of
		}
		if got := c.OfRequest(op.Request.FullName()); got != want {
			t.Errorf("%s is the operation of %s", got.Name, op.Request.Name())
		}
		if op.Kind == Wait {
			withList[op.Name] = ""
			if op.Watched.List != nil {
				withList[op.Name] = op.Watched.List.Name
			}
		}
	}
	if kinds[Single] != 96 || kinds[Pages] != 11 || kinds[Wait] != 14 || kinds[Watch] != 5 {
		t.Errorf("kinds: %v", kinds)
	}
	var without []string
	for name, list := range withList {
		if list == "" {
			without = append(without, name)
		}
	}
	slices.Sort(without)
	// The units of a tenant are too many to list them for a few.
	if got := strings.Join(without, " "); got != "BackupRestoreService/WaitBackupRestore ProtectionUnitService/WaitProtectionUnit" {
		t.Errorf("no list has the resources of %s", got)
	}
	if got := withList["RestoreSessionService/WaitRestoreSession"]; got != "RestoreSessionService/ListRestoreSessions" {
		t.Errorf("sessions are listed by %q", got)
	}
}

func TestStatesSayWhatTheyMean(t *testing.T) {
	c := read(t)
	for _, test := range []struct {
		rpc      string
		response proto.Message
		want     State
	}{
		{"ProtectionPolicyService/WaitProtectionPolicy", &pb.GetProtectionPolicyResponse{ProtectionPolicy: &pb.ProtectionPolicy{
			Status: pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_UPDATING}}, State{Number: 4}},
		{"ProtectionPolicyService/WaitProtectionPolicy", &pb.GetProtectionPolicyResponse{ProtectionPolicy: &pb.ProtectionPolicy{
			Status: pb.ProtectionPolicyStatus_PROTECTION_POLICY_STATUS_ACTIVE}}, State{Number: 5, Terminal: true}},
		{"RestoreSessionService/WaitRestoreSession", &pb.GetRestoreSessionResponse{RestoreSession: &pb.RestoreSession{
			Status: pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_ACTIVATING}}, State{Number: 3, Short: true}},
		{"BackupRestoreService/WaitBackupRestore", &pb.GetBackupRestoreResponse{BackupRestore: &pb.BackupRestore{
			ServiceStatus: &pb.ServiceStatus{Status: pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_ENABLED}}}, State{Number: 3, Terminal: true}},
		{"BackupRestoreService/WaitBackupRestore", &pb.GetBackupRestoreResponse{BackupRestore: &pb.BackupRestore{}}, State{}},
		{"ProtectionUnitService/WaitProtectionUnit", &pb.GetProtectionUnitResponse{ProtectionUnit: &pb.ProtectionUnit{
			Error: &statuspb.Status{Code: 5}}}, State{Terminal: true}},
		{"ProtectionUnitService/WaitProtectionUnit", &pb.GetProtectionUnitResponse{ProtectionUnit: &pb.ProtectionUnit{
			Status: pb.ProtectionUnitStatus_PROTECTION_UNIT_STATUS_PROTECT_REQUESTED, Error: &statuspb.Status{Code: 5}}}, State{Number: 2}},
	} {
		w := c.byName[test.rpc].Watched
		if got := w.State(w.Resource(test.response.ProtoReflect())); got != test.want {
			t.Errorf("%s: %v is %+v, want %+v", test.rpc, test.response, got, test.want)
		}
	}
}
