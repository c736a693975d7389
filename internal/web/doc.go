// Package web serves the rpcs to programs that do not speak gRPC: browsers, curl, scripts. It takes Connect (JSON or
// binary) and gRPC-Web over HTTP/1.1, and over HTTP/2 with TLS.
//
//	guard       which hosts and origins may ask, and which headers go back
//	calls       what a request has to be to become a call
//	message     its one request message: size, compression, JSON
//	transcoder  its protocol, by Vanguard
//	backend     its way to the gRPC server: HTTP/2 over a pipe in this process
//
// Each connection of a client has one connection to the gRPC server of its own. So whatever the gRPC server allows a
// connection, and does to one, is about that client alone.
//
// A caller shows who it is by a bearer token and by nothing else. A browser sends cookies and client certificates by
// itself, also for a page of somebody else's.
package web
