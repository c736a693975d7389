package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/m365backup/backupstorage/typederror"
)

// plant makes things go wrong behind the servers' back, to show that they are found: each named fault with a key of its
// own.
func (f *fleet) plant(ctx context.Context, faults string, results []result) error {
	if faults == "" {
		return nil
	}
	// What lost the answers of keys would lose these too.
	if err := f.emulator.Control(ctx, http.MethodDelete, "faults", nil, nil); err != nil {
		return err
	}
	next := 0
	for fault := range strings.SplitSeq(faults, ",") {
		for ; next < len(results); next++ {
			// A policy that a client knows, of a key that nothing happened to.
			if r := results[next]; r.plan.thing == exchangePolicy && !r.tries[0].failed && !r.tries[1].failed && !r.tries[2].failed {
				break
			}
		}
		if next == len(results) {
			return errors.New("too few keys have good answers only")
		}
		if err := f.plantOne(ctx, fault, &results[next]); err != nil {
			return err
		}
		next++
	}
	return nil
}

func (f *fleet) plantOne(ctx context.Context, fault string, r *result) error {
	t := &r.tries[0]
	switch fault {
	case "double":
		return f.graph(ctx, http.MethodPost, "exchangeProtectionPolicies", `{"displayName":"Again"}`, r.tenant, t.id)
	case "loss":
		return f.graph(ctx, http.MethodDelete, "protectionPolicies/"+t.made, "", r.tenant, newGUID())
	case "error":
		t.failed, t.err = true, typederror.Error{Code: codes.Unknown, Reason: "OUTCOME_UNKNOWN", OutcomeUnknown: true}
		t.begin, t.end = t.begin.AddDate(0, 0, -1), t.end.AddDate(0, 0, -1)
		return nil
	}
	return fmt.Errorf("there is no fault %q to plant: double, loss and error are there", fault)
}

// graph sends a request to the emulator as the server would.
func (f *fleet) graph(ctx context.Context, method, path, body, tenant, id string) error {
	var token struct {
		Token string `json:"token"`
	}
	if err := f.emulator.Control(ctx, http.MethodPost, "token", map[string]any{"tenant": tenant}, &token); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, string(f.emulator)+"/v1.0/solutions/backupRestore/"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("client-request-id", id)
	request.Header.Set("Authorization", "Bearer "+token.Token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	return nil
}
