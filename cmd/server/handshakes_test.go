package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// A caller whose connection fails leaves a line that says why.
func TestFailedHandshakesAreLogged(t *testing.T) {
	d := newDesk(t, "BACKUPSTORAGE_TLS_CLIENT_AUTH=required")
	for cause, connect := range map[string]func(){
		"the client has no certificate": func() {
			conn, err := grpc.NewClient(d.address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: x509.NewCertPool(), InsecureSkipVerify: true}))) //nolint:gosec // The server's certificate is not what the test is about.
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_ = conn.Invoke(ctx, "/x/y", nil, nil)
		},
		"the client speaks no TLS": func() {
			conn, err := net.Dial("tcp", d.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
		},
		"the client refused: bad certificate": func() {
			conn, err := tls.Dial("tcp", d.address, &tls.Config{RootCAs: x509.NewCertPool(), NextProtos: []string{"h2"}})
			if err == nil {
				conn.Close()
			}
		},
	} {
		deadline := time.Now().Add(10 * time.Second)
		for !d.has(cause) {
			if time.Now().After(deadline) {
				t.Errorf("no line says that %s: %s", cause, d.log)
				break
			}
			connect()
		}
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
}
