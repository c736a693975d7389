package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// asUser adds the assertion of a user of tenant C, and the tenant, to a call.
func asUser(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-user-assertion", emulator.UserAssertion(emulator.TenantC, 1))
}

// firstName is the name of the first unit of tenant C that a list shows; empty when it shows none.
func firstName(t *testing.T, ctx context.Context, r *running) string {
	t.Helper()
	list, err := pb.NewProtectionUnitServiceClient(r.conn).ListMailboxProtectionUnits(ctx, new(pb.ListMailboxProtectionUnitsRequest))
	if err != nil {
		t.Fatal(err)
	}
	if len(list.GetProtectionUnits()) == 0 {
		t.Fatal("tenant C has no units")
	}
	return list.GetProtectionUnits()[0].GetUser().GetDisplayName()
}

// changeMail calls an operation that Graph allows on behalf of users only. It returns the reason, empty for a success.
func changeMail(ctx context.Context, r *running) (reason string) {
	request := &pb.UpdateEmailNotificationsSettingRequest{IsEnabled: new(true)}
	_, err := pb.NewBackupRestoreServiceClient(r.conn).UpdateEmailNotificationsSetting(ctx, request)
	if err == nil {
		return ""
	}
	return cmp.Or(reasonOf(err), err.Error())
}

var upstreamOf = regexp.MustCompile(`emulator at (http://\S+)`)

func TestTheEmulatorSeesAnApplication(t *testing.T) {
	onEmulator := start(t)
	// The same tokens go to an emulator elsewhere on this machine.
	elsewhere := start(t, "--graph-endpoint", upstreamOf.FindStringSubmatch(onEmulator.banner)[1])
	for where, r := range map[string]*running{"the built-in emulator": onEmulator, "an emulator elsewhere": elsewhere} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", emulator.TenantC)
		if name := firstName(t, ctx, r); name != "" {
			t.Errorf("%s: an application sees the name %q", where, name)
		}
		if name := firstName(t, asUser(ctx), r); name == "" {
			t.Errorf("%s: a user sees no name", where)
		}
		if reason := changeMail(ctx, r); reason != "DELEGATED_TOKEN_REQUIRED" {
			t.Errorf("%s: an application changes the mail settings: %q", where, reason)
		}
		if reason := changeMail(asUser(ctx), r); reason != "" {
			t.Errorf("%s: a user does not change the mail settings: %s", where, reason)
		}
		another := metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", emulator.TenantA)
		if reason := changeMail(asUser(another), r); reason != "DELEGATED_TOKEN_REJECTED" {
			t.Errorf("%s: a user changes another tenant: %q", where, reason)
		}
	}
}

func TestALenientEmulatorAllowsEverything(t *testing.T) {
	r := start(t, "--emulator-lenient")
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant-id", emulator.TenantC)
	if name := firstName(t, ctx, r); name == "" {
		t.Error("no name is seen")
	}
	if reason := changeMail(ctx, r); reason != "" {
		t.Errorf("the mail settings are not changed: %s", reason)
	}
	if log := r.log.String(); !strings.Contains(log, "emulator is lenient") {
		t.Errorf("the log does not say so: %s", log)
	}
}

func TestDirectRequestsMayDoEverything(t *testing.T) {
	r := start(t)
	upstream := upstreamOf.FindStringSubmatch(r.banner)[1]
	for name, header := range map[string]string{"no token": "", "no JWT": "Bearer opaque"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, upstream+"/solutions/backupRestore/emailNotificationsSetting", strings.NewReader(`{"isEnabled":true}`))
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			request.Header.Set("Authorization", header)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !json.Valid(body) {
			t.Errorf("%s: got %d %s (%v)", name, response.StatusCode, body, err)
		}
	}
}
