package service_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"
)

// checkLeaks runs the tests, and fails when they leave a goroutine behind, and with it a connection.
func checkLeaks(m *testing.M) { goleak.VerifyTestMain(closing{m}) }

// closing closes the connections of the tests' own requests to the emulator.
type closing struct{ *testing.M }

// Run runs the tests.
func (c closing) Run() int {
	code := c.M.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}
