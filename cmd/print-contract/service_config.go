package main

import (
	"bytes"
	"encoding/json"
	"slices"

	"google.golang.org/protobuf/types/descriptorpb"
)

// What the runtime of a client may do by itself. initialBackoff and maxTokens follow from the server, and a test of
// package service holds them against it; the other numbers stand here alone.
const (
	// maxAttempts is the call and two retries. Runtimes allow 5, but the server repeats by itself what is safe, and
	// attempts multiply.
	maxAttempts = 3
	// initialBackoff matters only where no server answered: an answer brings its own delay in grpc-retry-pushback-ms.
	// It is the shortest delay that the server ever asks for.
	initialBackoff = "0.5s"
	// maxBackoff bounds a random wait that would reach 1 s with these attempts.
	maxBackoff        = "2s"
	backoffMultiplier = 2
	// maxTokens is the number of calls that a connection of this server takes at once: when half of them fail with no
	// success between them, retries stop until calls succeed again.
	maxTokens = 250
	// tokenRatio is what a success gives back: above one failure in ten successes the budget shrinks.
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

// balanced makes a client spread its calls over all addresses that its resolver returns, and leave out those whose
// health is NOT_SERVING. It is for clients that connect to each replica, and would harm others: a client that has one
// connection, through a proxy or the one address of a service, would ask one replica for the health of all.
const balanced = ` "loadBalancingConfig": [{"round_robin":{}}],
 "healthCheckConfig": {"serviceName":""},
`

// methodName selects a method.
type methodName struct {
	Service string `json:"service"`
	Method  string `json:"method"`
}

// serviceConfig is the gRPC service config for clients: https://github.com/grpc/grpc/blob/master/doc/service_config.md.
//
// It names each method without side effects and each idempotent one, which runtimes retry on both codes. It names no
// other method, nor a whole service: runtimes make both codes themselves, UNAVAILABLE when a connection is cut,
// RESOURCE_EXHAUSTED (grpc-js) when it ends with ENHANCE_YOUR_CALM. Then nobody knows whether a write was done. The
// server itself repeats a write that Graph refused.
//
// The text of balancing is empty or balanced.
func (c *contract) serviceConfig(balancing string) ([]byte, error) {
	var repeatable []methodName
	for _, r := range slices.Concat(c.rpcs, c.derived) {
		if r.level == descriptorpb.MethodOptions_NO_SIDE_EFFECTS || r.level == descriptorpb.MethodOptions_IDEMPOTENT {
			repeatable = append(repeatable, methodName{Service: "m365.backupstorage.v1." + r.service, Method: r.name})
		}
	}
	var page bytes.Buffer
	page.WriteString("{\n" + balancing + " \"methodConfig\": [\n")
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
