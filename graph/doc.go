// Package graph talks HTTP to Microsoft Graph's Backup Storage API.
//
// It sends one request per call, reads what comes back within bounds, and reports every failure as an *Error that
// keeps all that Graph said. What a failure means to a caller is decided elsewhere, in package service.
package graph
