package graph_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when the tests leave a goroutine behind, and with it a connection.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
