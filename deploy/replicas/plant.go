package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/m365backup/backupstorage/typederror"
)

// plant makes one thing go wrong behind the servers' back, to show that it is found.
func (f *fleet) plant(ctx context.Context, fault string, results []result) error {
	if fault == "" {
		return nil
	}
	// The first key with a policy that a client knows.
	n := slices.IndexFunc(results, func(r result) bool { return r.plan.thing == exchangePolicy && !r.tries[0].failed })
	if n < 0 {
		return errors.New("no key has a good first answer")
	}
	t, tenant := &results[n].tries[0], results[n].tenant
	switch fault {
	case "double":
		return f.graph(ctx, http.MethodPost, "exchangeProtectionPolicies", `{"displayName":"Again"}`, tenant, t.id)
	case "loss":
		return f.graph(ctx, http.MethodDelete, "protectionPolicies/"+t.made, "", tenant, newGUID())
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
