package main

import (
	"errors"
	"io"

	"github.com/alecthomas/kong"
)

// commands are the commands of the program. Each has a file of its own.
type commands struct {
	Version kong.VersionFlag `help:"Print the version of the program."`

	Serve  serveCommand  `cmd:"" default:"withargs" help:"Serve gRPC. This is what the program does without a command."`
	Config configCommand `cmd:"" help:"Print the configuration in force, and where each value comes from, and read the files that it names. Secrets are shown as \"set\". Exit code 1 when a file cannot be used."`
	Rights rightsCommand `cmd:"" help:"Explain a rights file."`
	Audit  auditCommand  `cmd:"" help:"Read audit files."`
	Check  checkCommand  `cmd:"" help:"Say whether tenants can be served: is there a token, has it the permissions, is the service enabled. Exit code 2 when some cannot."`
	DevCA  devCACommand  `cmd:"" name:"dev-ca" help:"Write certificates, tokens and a rights file to try TLS and callers on a desk."`
}

// errTold is the error of a command whose answer is no, and that has printed why. The exit code says the rest.
var errTold = errors.New("told")

// errNotOK is the error of a check that has printed which tenants cannot be served.
var errNotOK = errors.New("some tenants are not ok")

// exitCode is the exit code for an error: 2 for a command whose answer is no, else 1. So scripts can tell a no from a
// command that could not answer.
func exitCode(err error) int {
	if errors.Is(err, errNotOK) || errors.Is(err, errTold) {
		return 2
	}
	return 1
}

// streams is what a command reads and where it writes.
type streams struct {
	// in is standard input.
	in io.Reader
	// out is standard output, log is standard error.
	out, log io.Writer
}
