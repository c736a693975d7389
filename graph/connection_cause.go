package graph

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

// connectionCause says why a connection failed; empty when that is not known. The order matters, since errors wrap each
// other. A name server that refuses the connection is a failure of DNS, and a proxy that does is one of the proxy.
func connectionCause(err error) Cause {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return CauseDNS
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return CauseNoDescriptors
	case errors.As(err, &timeout) && timeout.Timeout():
		return CauseTimeout
	}
	for _, cause := range []func(error) Cause{tlsCause, proxyCause} {
		if found := cause(err); found != "" {
			return found
		}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return CauseRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNABORTED), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isHTTP2Reset(err):
		return CauseReset
	}
	return ""
}

// tlsCause says what is wrong with a TLS handshake, empty when it is not the handshake that failed.
func tlsCause(err error) Cause {
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var unverified *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var operation *net.OpError
	switch {
	case errors.As(err, &authority):
		return CauseTLSUnknownAuthority
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return CauseTLSExpired
	case errors.As(err, &name):
		return CauseTLSName
	case errors.As(err, &unverified), errors.As(err, &noTLS), errors.Is(err, http.ErrSchemeMismatch):
		return CauseTLSOther
	case errors.As(err, &operation) && (operation.Op == "remote error" || operation.Op == "local error"):
		// A TLS alert of either side.
		return CauseTLSOther
	case strings.HasPrefix(err.Error(), "tls: "):
		// crypto/tls has no type for its other errors, such as a version that was not offered.
		return CauseTLSOther
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
func proxyCause(err error) Cause {
	var refused *proxyError
	var operation *net.OpError
	switch {
	case errors.As(err, &refused) && refused.status == http.StatusProxyAuthRequired:
		return CauseProxyAuthentication
	case errors.As(err, &refused):
		return CauseProxyRefused
	case !errors.As(err, &operation):
		return ""
	case operation.Op == "proxyconnect":
		return CauseProxyRefused
	case operation.Op != "socks connect":
		return ""
	case strings.Contains(operation.Err.Error(), "authentication"):
		// net/http has no type for what a SOCKS proxy says.
		return CauseProxyAuthentication
	}
	return CauseProxyRefused
}

// isHTTP2Reset reports whether the server reset the stream or closed the connection over HTTP/2. net/http does not
// export the types of these errors, and wraps some of them as text.
func isHTTP2Reset(err error) bool {
	text := err.Error()
	return strings.Contains(text, "stream error: stream ID ") || strings.Contains(text, "GOAWAY")
}
