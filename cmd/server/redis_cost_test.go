//go:build redis

package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/redis/redistest"
)

// commandsOf are the commands that MONITOR has shown until now, in lower case, without those with which a server looks
// whether Redis is there and fit.
func commandsOf(t *testing.T, server *redistest.Server, monitor *redistest.Monitor) (all []string) {
	t.Helper()
	mark := uuid.NewString()
	server.Do("echo", mark)
	redistest.Eventually(t, "MONITOR has shown all", func() bool {
		lines := monitor.Lines()
		return len(lines) > 0 && strings.Contains(lines[len(lines)-1], mark)
	})
	for _, line := range monitor.Lines() {
		// `1700000000.000000 [0 127.0.0.1:1] "evalsha" "…"`
		_, command, _ := strings.Cut(line, `] "`)
		command, _, _ = strings.Cut(strings.ToLower(command), `"`)
		if !slices.Contains([]string{"ping", "info", "echo", "hello", "client"}, command) && !strings.Contains(line, "lua]") {
			all = append(all, line)
		}
	}
	return all
}

// What Redis costs calls, on a server with everything that Redis is for:
//
//	go test -tags redis ./cmd/server -v -run WhatRedisCosts | grep figure:
func TestWhatRedisCosts(t *testing.T) {
	server := redistest.Start(t)
	r := start(t, "--redis-url", server.URL(), "--redis-min-replicas", "0")
	policies := pb.NewProtectionPolicyServiceClient(r.conn)
	keyed := func() (time.Duration, error) {
		begin := time.Now()
		_, _, err := createKeyed(t.Context(), policies, uuid.NewString(), "keyed")
		return time.Since(begin), err
	}
	plain := func() (time.Duration, error) {
		begin := time.Now()
		err := create(t.Context(), policies)
		return time.Since(begin), err
	}
	// The marker of a new Redis: its keys are looked for, until it is older.
	var marker string
	redistest.Eventually(t, "the server has written its marker", func() bool {
		keys, _ := server.Do("keys", "*idempotency-marker").([]any)
		if len(keys) == 1 {
			marker, _ = keys[0].(string)
		}
		return marker != ""
	})
	value, _ := server.Do("get", marker).(string)
	server.Do("set", marker, value[:37]+"0000000000000"+value[50:])

	// The first call also tells Redis the scripts.
	if _, err := keyed(); err != nil {
		t.Fatal(err)
	}
	monitor := server.Monitor()
	for range 100 {
		if err := create(t.Context(), policies); err != nil {
			t.Fatal(err)
		}
		if err := list(t.Context(), policies); err != nil {
			t.Fatal(err)
		}
	}
	// Each half second the server looks for its marker, which is no part of a call.
	calling := func(line string) bool { return !strings.Contains(line, `"get" "`+marker) }
	if sent := slices.DeleteFunc(commandsOf(t, server, monitor), func(line string) bool { return !calling(line) }); len(sent) > 0 {
		t.Errorf("200 calls without a key sent %d commands to Redis, such as %s", len(sent), sent[0])
	}

	// A machine that is busy for 45 ms refuses a call with a key. More than one of a hundred is a fault.
	refusals := 0
	served := func(err error) {
		t.Helper()
		if reasonOf(err) == "IDEMPOTENCY_STORE_UNAVAILABLE" {
			refusals++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	const calls, rounds = 100, 5
	for range calls {
		_, err := keyed()
		served(err)
	}
	scripts := 0
	for _, line := range commandsOf(t, server, monitor) {
		if calling(line) {
			scripts++
		}
	}
	if scripts == 0 || scripts > 2*calls {
		t.Errorf("%d calls with a key sent %d commands to Redis, want 2 each at most", calls, scripts)
	}

	// The best of some rounds: a busy machine delays single calls.
	best := time.Hour
	for range rounds {
		var with, without []time.Duration
		for range calls {
			for took, call := range map[*[]time.Duration]func() (time.Duration, error){&with: keyed, &without: plain} {
				d, err := call()
				served(err)
				*took = append(*took, d)
			}
		}
		slices.Sort(with)
		slices.Sort(without)
		best = min(best, with[calls*99/100]-without[calls/2])
	}
	t.Logf("figure: a key costs a call %v more at p99", best)
	if best > 5*time.Millisecond {
		t.Errorf("a key costs a call %v at p99, want 5 ms at most", best)
	}

	if refusals > calls*(rounds+1)/100 {
		t.Errorf("%d calls with a key were refused by a Redis that is well", refusals)
	}

	server.Freeze()
	defer server.Thaw()
	var refused []time.Duration
	for range 20 {
		took, err := keyed()
		if reasonOf(err) != "IDEMPOTENCY_STORE_UNAVAILABLE" {
			t.Fatalf("with a Redis that hangs: %v", err)
		}
		refused = append(refused, took)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := create(ctx, policies); err != nil {
			t.Errorf("without a key: %v", err)
		}
		cancel()
	}
	slowest := slices.Max(refused)
	slices.Sort(refused)
	t.Logf("figure: refused within %v, the slowest of 20 within %v", refused[len(refused)/2], slowest)
	// The first ones wait until Redis counts as down; the slowest one has room for a busy machine.
	if refused[len(refused)/2] > 50*time.Millisecond || slowest > 250*time.Millisecond {
		t.Errorf("refused within %v, the slowest within %v", refused[len(refused)/2], slowest)
	}
}
