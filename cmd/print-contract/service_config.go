package main

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/types/descriptorpb"
)

// The limits of what a client's runtime does by itself. initialBackoff and maxTokens follow from the server; a test of
// package service compares them with it. The other numbers are only here.
const (
	// maxAttempts is the call and two retries. Runtimes allow 5. But the server also repeats what is safe, and its
	// attempts multiply with those of the runtime.
	maxAttempts = 3
	// initialBackoff is used only when no server responded: a response has its own delay in grpc-retry-pushback-ms. It is
	// the minimum delay of the server.
	initialBackoff = "0.5s"
	// maxBackoff limits the random wait, which would be at most 1 s with these attempts.
	maxBackoff        = "2s"
	backoffMultiplier = 2
	// maxTokens is the number of calls that the server accepts at once on one connection. When half of them fail without a
	// success between them, the runtime stops retries until calls succeed again.
	maxTokens = 250
	// tokenRatio is what a success gives back. With more than one failure for ten successes, the budget shrinks.
	tokenRatio = 0.1
)

type retryPolicy struct {
	MaxAttempts          int      `json:"maxAttempts"`
	InitialBackoff       string   `json:"initialBackoff"`
	MaxBackoff           string   `json:"maxBackoff"`
	BackoffMultiplier    float64  `json:"backoffMultiplier"`
	RetryableStatusCodes []string `json:"retryableStatusCodes"`
}

type retryThrottling struct {
	MaxTokens  int     `json:"maxTokens"`
	TokenRatio float64 `json:"tokenRatio"`
}

// methodName selects a method. Without Method, it selects all methods of a service that no other name selects.
type methodName struct {
	Service string `json:"service"`
	Method  string `json:"method,omitempty"`
}

// serviceConfig returns the gRPC service config for clients:
// https://github.com/grpc/grpc/blob/master/doc/service_config.md.
//
// It names every method without side effects and every idempotent method: a runtime retries them on UNAVAILABLE and
// RESOURCE_EXHAUSTED. It names no other method, so that a runtime retries none of them: runtimes make both codes
// themselves, for example UNAVAILABLE when a connection is cut, and then nobody knows whether a write was carried out.
func (c *contract) serviceConfig() ([]byte, error) {
	var repeatable []methodName
	for _, r := range c.rpcs {
		name := methodName{Service: "m365.backupstorage.v1." + r.service}
		if r.level == descriptorpb.MethodOptions_NO_SIDE_EFFECTS || r.level == descriptorpb.MethodOptions_IDEMPOTENT {
			name.Method = r.name
			repeatable = append(repeatable, name)
		}
	}
	var page bytes.Buffer
	page.WriteString("{\n \"methodConfig\": [\n")
	if err := writeMethodConfig(&page, repeatable, "UNAVAILABLE", "RESOURCE_EXHAUSTED"); err != nil {
		return nil, err
	}
	page.WriteString("\n ],\n \"retryThrottling\": ")
	if err := writeJSON(&page, retryThrottling{MaxTokens: maxTokens, TokenRatio: tokenRatio}); err != nil {
		return nil, err
	}
	page.WriteString("\n}\n")
	return page.Bytes(), nil
}

// writeMethodConfig writes each name on a line of its own, so that a diff shows a method that changed its class.
func writeMethodConfig(page *bytes.Buffer, names []methodName, codes ...string) error {
	page.WriteString("  {\n   \"name\": [")
	for i, name := range names {
		if i > 0 {
			page.WriteByte(',')
		}
		page.WriteString("\n    ")
		if err := writeJSON(page, name); err != nil {
			return err
		}
	}
	page.WriteString("\n   ],\n   \"retryPolicy\": ")
	err := writeJSON(page, retryPolicy{
		MaxAttempts: maxAttempts, InitialBackoff: initialBackoff, MaxBackoff: maxBackoff,
		BackoffMultiplier: backoffMultiplier, RetryableStatusCodes: codes,
	})
	page.WriteString("\n  }")
	return err
}

func writeJSON(page *bytes.Buffer, value any) error {
	text, err := json.Marshal(value)
	page.Write(text)
	return err
}
