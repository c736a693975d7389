package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"
)

// plants make one thing go wrong while a rate is held, to show that it is found. Each returns what ends it.
var plants = map[string]func(context.Context, *desk, *load) (stop func(), err error){
	// The upstream tells of three policies that it has not created.
	"lost-write": func(ctx context.Context, d *desk, _ *load) (func(), error) {
		return func() {}, d.emulator.Control(ctx, http.MethodPost, "faults", json.RawMessage(`[{
			"operation": "POST /sharePointProtectionPolicies", "after": 50, "times": 3, "status": 201,
			"body": {"mode": "raw", "content": "{\"id\":\"bbbbbbbb-0000-4000-8000-000000000001\",\"status\":\"inactive\"}"}}]`), nil)
	},
	// Three creates go out twice under one id.
	"double-write": func(_ context.Context, _ *desk, l *load) (func(), error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.again = 3
		return func() {}, nil
	},
	// Clients connect and never end.
	"leak": func(ctx context.Context, d *desk, _ *load) (func(), error) {
		ctx, cancel := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { leak(ctx, d.address) })
		return func() { cancel(); done.Wait() }, nil
	},
}

// leak makes 45 connections a second, each of which the server keeps.
func leak(ctx context.Context, address string) {
	var kept []net.Conn
	defer func() {
		for _, c := range kept {
			_ = c.Close()
		}
	}()
	//nolint:gosec // Who the server is does not matter to it.
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	every := time.NewTicker(time.Second / 45)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			continue
		}
		_, _ = c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
		kept = append(kept, c)
	}
}
