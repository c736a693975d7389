package service_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// The expectations come from the reference data, of which the contract has a copy, and never from error_spec: a mistake
// there would confirm itself.

// documented is a row of the documented errors.
type documented struct {
	section    string
	status     int
	graphCode  string
	arises     string
	operations []string
}

// expected is what the client gets for a code of Graph's.
type expected struct {
	reason string
	code   codes.Code
	// delay is the default of RetryInfo; 0 means none.
	delay       time.Duration
	sideEffects string
	detail      string
}

func table(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../proto/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		rows = append(rows, strings.Split(line, "\t"))
	}
	if len(rows) < 5 {
		t.Fatalf("%s has %d rows", name, len(rows))
	}
	return rows
}

func documentedErrors(t *testing.T) []documented {
	t.Helper()
	var all []documented
	for _, row := range table(t, "documented_errors.tsv") {
		status, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, documented{section: row[0], status: status, graphCode: row[2], arises: row[3], operations: strings.Fields(row[4])})
	}
	return all
}

func expectations(t *testing.T) map[string]expected {
	t.Helper()
	all := make(map[string]expected)
	for _, row := range table(t, "error_reasons.tsv") {
		number, ok := code.Code_value[row[2]]
		if !ok {
			t.Fatalf("%s is no gRPC code", row[2])
		}
		e := expected{reason: row[1], code: codes.Code(number), sideEffects: row[4], detail: row[5]}
		if row[3] != "-" {
			delay, err := time.ParseDuration(row[3])
			if err != nil {
				t.Fatal(err)
			}
			e.delay = delay
		}
		all[row[0]] = e
	}
	return all
}

// idempotent are the rpcs that may be repeated.
func idempotent(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for _, row := range table(t, "operations.tsv") {
		all[row[1]] = row[4] == "NO_SIDE_EFFECTS" || row[4] == "IDEMPOTENT"
	}
	return all
}

// graphCall returns the option of the contract for an rpc.
func graphCall(method protoreflect.MethodDescriptor) *pb.GraphCall {
	call, _ := proto.GetExtension(method.Options(), pb.E_GraphCall).(*pb.GraphCall)
	return call
}
