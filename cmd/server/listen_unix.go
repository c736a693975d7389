//go:build unix

package main

import (
	"errors"
	"net"
	"syscall"
)

// makeSocket listens on a socket that only its owner can use: between its making and a chmod others could connect.
func makeSocket(path string) (*net.UnixListener, error) {
	before := syscall.Umask(0o177)
	defer syscall.Umask(before)
	return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
}

// isRefused reports whether a socket has no server.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
