package main

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/m365backup/backupstorage/service"
)

// limitMemory tells Go's runtime the memory limit of the container, nine tenths of it, unless GOMEMLIMIT says something
// else. Without it the runtime would let garbage grow until the kernel ends the process.
func limitMemory() {
	// There is no limit on a desk, which is no error.
	_, _ = memlimit.Set(memlimit.WithRatio(0.9), memlimit.WithProvider(memlimit.FromCgroup), memlimit.WithLogger(slog.New(slog.DiscardHandler)))
}

// responseBytes is how many bytes of responses all calls may hold together, under the memory limit of Go's runtime.
func (c *config) responseBytes(memoryLimit int64) int64 {
	if c.MaxResponseBytes != 0 {
		return c.MaxResponseBytes
	}
	return max(min(service.DefaultResponseBytes, memoryLimit/4), minResponseBytes)
}

// requestBytes is how many bytes of requests that are not decoded yet all connections bring together.
func requestBytes(memoryLimit int64) int64 {
	return max(min(service.DefaultRequestBytes, memoryLimit/4), minResponseBytes)
}
