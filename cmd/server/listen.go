package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"
)

// listen opens --listen.
func (c *config) listen() (net.Listener, error) {
	path, isUnix := c.unixPath()
	if !isUnix {
		listener, err := net.Listen("tcp", c.Listen)
		if err != nil {
			return nil, fmt.Errorf("--listen: %w", err)
		}
		return listener, nil
	}
	listener, err := listenUnix(path, c.unixMode)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	return listener, nil
}

// dialTime is how long a socket has to show that somebody listens there.
const dialTime = time.Second

// socket is the listener of a socket in the file system. It removes its own file at its end, and no other one.
type socket struct {
	*net.UnixListener
	path string
	own  fs.FileInfo
	once sync.Once
}

// listenUnix listens on a socket, which it makes with this mode. It replaces one where nobody listens, such as that of
// a server that was killed, and nothing else.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	inner, err := makeSocket(path)
	if err != nil {
		return nil, err
	}
	inner.SetUnlinkOnClose(false)
	own, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return &socket{UnixListener: inner, path: path, own: own}, nil
}

// removeStale removes a socket where nobody listens.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists, and is no socket", path)
	}
	conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(context.Background(), "unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%s is in use: a server listens there", path)
	}
	if !isRefused(err) {
		return fmt.Errorf("%s exists, and it is not known whether a server listens there: %w", path, err)
	}
	return os.Remove(path)
}

// Close ends the listener and removes its file.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	s.once.Do(func() {
		if now, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(now, s.own) {
			err = errors.Join(err, os.Remove(s.path))
		}
	})
	return err
}
