package connection

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// The words. Package graph exports them as Cause, and says what each one means.
const (
	dns                 = "dns"
	refused             = "refused"
	reset               = "reset"
	timeout             = "timeout"
	tlsUnknownAuthority = "tls-unknown-authority"
	tlsExpired          = "tls-expired"
	tlsName             = "tls-name"
	tlsOther            = "tls-other"
	proxyAuthentication = "proxy-authentication"
	proxyRefused        = "proxy-refused"
	noDescriptors       = "no-descriptors"
)

// CauseOf says why a connection failed, in the word of graph.Cause; empty when that is not known. The order matters,
// since errors wrap each other. A name server that refuses the connection is a failure of DNS, and a proxy that does is
// one of the proxy.
func CauseOf(err error) string {
	var lookup *net.DNSError
	var late net.Error
	switch {
	case errors.As(err, &lookup):
		return dns
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return noDescriptors
	case errors.As(err, &late) && late.Timeout():
		return timeout
	}
	for _, cause := range []func(error) string{tlsCause, proxyCause} {
		if found := cause(err); found != "" {
			return found
		}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNABORTED), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err):
		return reset
	}
	return ""
}

// tlsCause says what is wrong with a TLS handshake, empty when it is not the handshake that failed.
func tlsCause(err error) string {
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var unverified *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var operation *net.OpError
	switch {
	case errors.As(err, &authority):
		return tlsUnknownAuthority
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return tlsExpired
	case errors.As(err, &name):
		return tlsName
	case errors.As(err, &unverified), errors.As(err, &noTLS), errors.Is(err, http.ErrSchemeMismatch):
		return tlsOther
	case errors.As(err, &operation) && (operation.Op == "remote error" || operation.Op == "local error"):
		// A TLS alert of either side.
		return tlsOther
	case strings.HasPrefix(err.Error(), "tls: "):
		// crypto/tls has no type for its other errors, such as a version that was not offered.
		return tlsOther
	}
	return ""
}

// proxyResponse makes an error of the status of a proxy's response to CONNECT, unless it is 200.
func proxyResponse(status int) error {
	if status == http.StatusOK {
		return nil
	}
	return &proxyError{status}
}

type proxyError struct{ status int }

func (e *proxyError) Error() string { return fmt.Sprintf("proxy responded %d to CONNECT", e.status) }

// proxyCause says what is wrong with a proxy, empty when there is none or the failure came later.
func proxyCause(err error) string {
	var response *proxyError
	var operation *net.OpError
	switch {
	case errors.As(err, &response) && response.status == http.StatusProxyAuthRequired:
		return proxyAuthentication
	case errors.As(err, &response):
		return proxyRefused
	case !errors.As(err, &operation):
		return ""
	case operation.Op == "proxyconnect":
		return proxyRefused
	case operation.Op != "socks connect":
		return ""
	case strings.Contains(operation.Err.Error(), "authentication"):
		// net/http has no type for what a SOCKS proxy says.
		return proxyAuthentication
	}
	return proxyRefused
}

// isReset reports whether the peer reset an HTTP/2 stream, or a connection ended in a way for which net/http exports no
// type: one over HTTP/2 that closed or no longer responds to pings, and one that the peer closed while it was idle.
// Some of these errors are wrapped as text.
func isReset(err error) bool {
	text := err.Error()
	return strings.Contains(text, "stream error: stream ID ") || strings.Contains(text, "GOAWAY") ||
		strings.Contains(text, "http2: client conn") || strings.HasPrefix(text, "http: server closed idle connection")
}
