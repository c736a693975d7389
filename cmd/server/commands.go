package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"
)

// Exit codes of commands.
const (
	codeOK = iota
	// codeWrong is a wrong configuration.
	codeWrong
	// codeFailed is a check that found something wrong.
	codeFailed
)

// runCommand runs what does not serve: `--version` and `check`. It reports whether the arguments named it.
func runCommand(arguments []string, getenv func(string) string, in io.Reader, out, errOut io.Writer) (done bool, code int) {
	if len(arguments) == 0 {
		return false, codeOK
	}
	switch arguments[0] {
	case "--version", "-version":
		printVersion(out)
		return true, codeOK
	case "check":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return true, exitCode(runCheck(ctx, arguments[1:], getenv, in, out), errOut)
	}
	return false, codeOK
}

// errNotOK is the error of a check that has said what is wrong.
var errNotOK = errors.New("some tenants are not ok")

// exitCode says what an error means, and prints it unless it was printed.
func exitCode(err error, out io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return codeOK
	case errors.Is(err, errNotOK):
		fmt.Fprintln(out, "server:", err)
		return codeFailed
	}
	fmt.Fprintln(out, "server:", err)
	return codeWrong
}
