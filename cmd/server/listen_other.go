//go:build !unix

package main

import (
	"errors"
	"net"
)

func makeSocket(string) (*net.UnixListener, error) {
	return nil, errors.New("sockets in the file system are not supported on this system")
}

func isRefused(error) bool { return false }
