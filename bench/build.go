package main

import (
	"context"
	"os"
	"syscall"
)

// building measures the processor time of a build of the server with an empty cache.
func (s *stage) building(ctx context.Context) ([]goal, error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &before); err != nil {
		return nil, err
	}
	cache := s.at("gocache")
	if err := os.Mkdir(cache, 0o700); err != nil {
		return nil, err
	}
	if err := buildServer(ctx, s.at("built"), "GOCACHE="+cache); err != nil {
		return nil, err
	}
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &after); err != nil {
		return nil, err
	}
	spent := float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano()) / 1e9
	return []goal{{"build with an empty cache, processor time", spent, 130, " s", 0}}, nil
}
