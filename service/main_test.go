package service_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when the tests leave a goroutine behind, and with it a connection.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(closing{m})
}

// closing closes what the tests' own requests to the emulator keep open.
type closing struct{ *testing.M }

func (c closing) Run() int {
	code := c.M.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}
