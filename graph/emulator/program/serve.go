package program

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/m365backup/backupstorage/graph/emulator"
)

// Running is an emulator that listens.
type Running struct {
	Emulator *emulator.Emulator
	// URL is its scheme, host and port, as this machine reaches it.
	URL string
	// Open says whether other machines can reach it.
	Open bool

	server *http.Server
	ended  chan error
}

// Start makes the emulator and listens. What clients do wrong on connections goes to the logger. Errors are one line
// each, and name the flag.
func (c *Config) Start(logger *log.Logger, onReset func()) (*Running, error) {
	if err := c.checkTLS(); err != nil {
		return nil, err
	}
	e, err := c.New(onReset)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("--%slisten: %w", c.FlagPrefix, err)
	}
	r := &Running{
		Emulator: e, URL: "http://" + listener.Addr().String(), ended: make(chan error, 1),
		server: &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second, ErrorLog: logger},
	}
	if address, ok := listener.Addr().(*net.TCPAddr); ok {
		r.Open = !address.IP.IsLoopback()
		if address.IP.IsUnspecified() {
			r.URL = fmt.Sprintf("http://localhost:%d", address.Port)
		}
	}
	certificate, err := c.certificate(listener.Addr())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if certificate != nil {
		r.URL = "https" + r.URL[len("http"):]
		listener = tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		})
	}
	go func() { r.ended <- r.server.Serve(listener) }()
	return r, nil
}

// ServeHTTP serves a request that came over another listener, as if it had been made to URL: the emulator names itself
// in what it answers.
func (r *Running) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	request = request.Clone(request.Context())
	_, request.Host, _ = strings.Cut(r.URL, "://")
	r.Emulator.ServeHTTP(w, request)
}

// Ended gets the error with which serving ended: [http.ErrServerClosed] after Stop.
func (r *Running) Ended() <-chan error { return r.ended }

// Stop closes the listener and all connections.
func (r *Running) Stop() { _ = r.server.Close() }
