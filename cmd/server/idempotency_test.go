package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const keepInMemory = "BACKUPSTORAGE_IDEMPOTENCY=memory"

// createKeyed creates a policy with a key, and says which one, and whether an earlier call did it.
func createKeyed(ctx context.Context, client pb.ProtectionPolicyServiceClient, key, name string) (id string, replay bool, err error) {
	var trailer metadata.MD
	r, err := client.CreateOneDriveForBusinessProtectionPolicy(ctx, &pb.CreateOneDriveForBusinessProtectionPolicyRequest{DisplayName: name, IdempotencyKey: &key}, grpc.Trailer(&trailer))
	return r.GetProtectionPolicy().GetId(), len(trailer.Get("x-idempotent-replay")) == 1, err
}

// A key is that of the caller who sent it, and a repeat of a write has no audit lines: nothing was written by it.
func TestKeysAreThoseOfTheirCallers(t *testing.T) {
	d := newDesk(t, keepInMemory)
	operator, reader, nobody := d.connect(t, "operator"), d.connect(t, "reader"), d.connect(t, "")
	key := uuid.NewString()
	id, replay, err := createKeyed(t.Context(), operator, key, "a")
	if err != nil || replay {
		t.Fatal(id, replay, err)
	}
	if again, replay, err := createKeyed(t.Context(), operator, strings.ToUpper(key), "a"); err != nil || !replay || again != id {
		t.Errorf("%q, replay %v: %v", again, replay, err)
	}
	if _, _, err := createKeyed(t.Context(), operator, key, "b"); reasonOf(err) != "IDEMPOTENCY_KEY_REUSED" {
		t.Error(err)
	}
	// The same key in the hands of others.
	for range 2 {
		if _, _, err := createKeyed(t.Context(), reader, key, "a"); reasonOf(err) != "CALLER_NOT_ALLOWED" {
			t.Error(err)
		}
	}
	if _, _, err := createKeyed(t.Context(), nobody, key, "a"); reasonOf(err) != "CALLER_UNAUTHENTICATED" {
		t.Error(err)
	}
	byToken, replay, err := createKeyed(d.token(t, "operator"), nobody, key, "a")
	if err != nil || replay || byToken == id || byToken == "" {
		t.Errorf("another caller got %q, replay %v: %v", byToken, replay, err)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	kinds := make(map[string]int)
	for _, line := range d.lines(t, d.audit) {
		kinds[line.Kind]++
	}
	if kinds["attempt"] != 2 || kinds["outcome"] != 2 || kinds["denied"] != 3 {
		t.Errorf("lines of the audit file: %v, want 2 attempts with their outcomes and 3 denials", kinds)
	}
	if d.has(key) || bytes.Contains(d.read(t, filepath.Base(d.audit)), []byte(key)) {
		t.Error("the log or the audit file has the key")
	}
	for outcome, want := range map[string]int{"first": 2, "replayed": 1, "reused": 1} {
		if n := strings.Count(d.log.String(), `"idempotency":"`+outcome+`"`); n != want {
			t.Errorf("%d lines say %s, want %d", n, outcome, want)
		}
	}
}

// A write whose audit line cannot be written is not sent, and its key stays free.
func TestAKeyStaysFreeWithoutAnAuditLine(t *testing.T) {
	d := newDesk(t, keepInMemory)
	operator := d.connect(t, "operator")
	fill := func(full bool) {
		t.Helper()
		if err := os.Remove(d.audit); err != nil {
			t.Fatal(err)
		}
		if full {
			if err := os.Symlink("/dev/full", d.audit); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.server.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	fill(true)
	awaitReason(t, func() error { return create(t.Context(), operator) }, "AUDIT_UNAVAILABLE")
	sent, key := len(d.ledger(t)), uuid.NewString()
	for range 2 {
		if _, _, err := createKeyed(t.Context(), operator, key, "a"); reasonOf(err) != "AUDIT_UNAVAILABLE" {
			t.Errorf("with a full sink: %v", err)
		}
	}
	if now := len(d.ledger(t)); now != sent {
		t.Errorf("%d writes reached the emulator without a line", now-sent)
	}
	fill(false)
	awaitReason(t, func() error { return create(t.Context(), operator) }, "")
	if id, replay, err := createKeyed(t.Context(), operator, key, "b"); err != nil || replay || id == "" {
		t.Errorf("%q, replay %v: %v", id, replay, err)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}

// A lost write has one attempt, whose outcome is unknown. The call that finds what it did has none.
func TestAuditLinesOfALostKeyedWrite(t *testing.T) {
	faults := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(faults, []byte(`[{"operation":"POST *","cut":"after","times":1}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, keepInMemory, "BACKUPSTORAGE_EMULATOR_FAULTS="+faults)
	operator, key := d.connect(t, "operator"), uuid.NewString()
	if _, _, err := createKeyed(t.Context(), operator, key, "a"); reasonOf(err) != "OUTCOME_UNKNOWN" {
		t.Fatal(err)
	}
	if id, replay, err := createKeyed(t.Context(), operator, key, "a"); err != nil || !replay || id == "" {
		t.Errorf("%q, replay %v: %v", id, replay, err)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	var kinds []string
	for _, line := range d.lines(t, d.audit) {
		if line.Kind == "attempt" || line.Kind == "outcome" {
			kinds = append(kinds, line.Kind+" "+line.Outcome)
		}
	}
	if got := strings.Join(kinds, ", "); got != "attempt , outcome unknown" {
		t.Errorf("lines: %s", got)
	}
}

// The values of --idempotency, and what it is without the flag.
func TestWhereKeysAreKept(t *testing.T) {
	for _, c := range []struct{ arguments, want, says string }{
		{"", idempotencyOff, ""},
		{"--idempotency memory", idempotencyMemory, ""},
		{"--redis-url redis://localhost", idempotencyRedis, ""},
		{"--redis-url redis://localhost --idempotency off", idempotencyOff, ""},
		{"--idempotency disk", "", `--idempotency must be "redis", "memory" or "off"`},
		{"--idempotency redis", "", "--idempotency=redis needs --redis-url"},
		{"--redis-url redis://localhost --redis-min-replicas -1", "", "--redis-min-replicas must not be negative"},
	} {
		read, err := readConfig(strings.Fields(c.arguments), nil, new(bytes.Buffer))
		switch {
		case c.says != "":
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", c.arguments, err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.arguments, err)
		case read.Idempotency.Mode != c.want:
			t.Errorf("%s: %q, want %q", c.arguments, read.Idempotency.Mode, c.want)
		}
	}
}
