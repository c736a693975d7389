package main

import (
	"errors"
	"io"
)

// commands are the commands of the program. Each has a file of its own.
type commands struct {
	Serve  serveCommand  `cmd:"" default:"withargs" help:"Serve gRPC. This is what the program does without a command."`
	Config configCommand `cmd:"" help:"Print the configuration in force, and where each value comes from. Secrets are shown as \"set\"."`
	Rights rightsCommand `cmd:"" help:"Explain a rights file."`
	Audit  auditCommand  `cmd:"" help:"Read audit files."`
	DevCA  devCACommand  `cmd:"" name:"dev-ca" help:"Write certificates, tokens and a rights file to try TLS and callers on a desk."`
}

// errTold is the error of a command that has printed what is wrong. The exit code says the rest.
var errTold = errors.New("told")

// streams is where a command writes.
type streams struct {
	// out is standard output, log is standard error.
	out, log io.Writer
}
