// Command emulator serves the emulator of Microsoft Graph's Backup Storage API over HTTP, for tests of programs in any
// language. "emulator --help" explains its flags.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/m365backup/backupstorage/graph/emulator/program"
)

// variablePrefix begins the environment variable of each flag: --listen is BACKUPSTORAGE_EMULATOR_LISTEN.
const variablePrefix = "BACKUPSTORAGE_EMULATOR"

const description = `Serves an emulator of Microsoft Graph's Backup Storage API in memory: the API itself, its states, errors and
limits, a clock that can be moved, fault rules, a ledger of all that happened, and a token authority.

  emulator                                   a small company with a month of backups, on http://127.0.0.1:8080
  emulator --scenario tests --clock-stopped  an empty tenant, where time passes only when a test says so
  emulator --seed company.yaml               people, sites and groups of your own
  emulator --tls-self-signed ca.pem --require-token
                                             https and real tokens, for the credentials of Microsoft's SDKs

  curl http://127.0.0.1:8080/v1.0/solutions/backupRestore/protectionPolicies    as Graph is asked
  curl http://127.0.0.1:8080/_emulator/                                         what there is besides: clock, faults, …`

// flags are the flags of the program.
type flags struct {
	program.Config `embed:""`

	ExitWithStdin bool             `help:"Stop when standard input is closed, so that the emulator does not outlive the program that started it."`
	Version       kong.VersionFlag `env:"-" help:"Print the version of the program."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run returns the exit code. Errors are one line each.
func run(arguments []string, in io.Reader, out, log io.Writer) int {
	f, err := parse(arguments, out)
	if errors.Is(err, errShown) {
		return 0
	}
	if err == nil {
		err = serve(f, in, out, log)
	}
	if err != nil {
		fmt.Fprintln(log, "emulator: "+err.Error())
		return 1
	}
	return 0
}

// errShown is the error of a command line that asks for help or the version, and got it.
var errShown = errors.New("shown")

func parse(arguments []string, out io.Writer) (*flags, error) {
	f, shown := new(flags), false
	parser, err := kong.New(f,
		kong.Name("emulator"), kong.Description(description), kong.Vars{"version": versionText()},
		kong.Writers(out, io.Discard), kong.Exit(func(int) { shown = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 120}),
		kong.DefaultEnvars(variablePrefix),
	)
	if err != nil {
		return nil, err
	}
	_, err = parser.Parse(arguments)
	if shown {
		return nil, errShown
	}
	if err != nil {
		return nil, fmt.Errorf("%w; --help lists the flags", err)
	}
	return f, nil
}

// serve runs until a signal, or until standard input ends if that was asked for.
func serve(f *flags, in io.Reader, out, errs io.Writer) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	running, err := f.Start(log.New(errs, "", log.LstdFlags), nil)
	if err != nil {
		return err
	}
	defer running.Stop()
	// Launchers read the first line.
	fmt.Fprintf(out, "Emulator on %s\n", running.URL)
	fmt.Fprintf(out, "Try: curl %s%s/v1.0/solutions/backupRestore/protectionPolicies\n", trusting(f), running.URL)
	if running.Open {
		fmt.Fprintln(errs, "emulator: other machines can reach it, and its control API asks for no credential")
	}
	gone := make(chan struct{})
	if f.ExitWithStdin {
		go func() {
			_, _ = io.Copy(io.Discard, in)
			close(gone)
		}()
	}
	select {
	case err := <-running.Ended():
		if !errors.Is(err, http.ErrServerClosed) {
			return err
		}
	case <-stop:
	case <-gone:
	}
	return nil
}

// trusting is curl's option for a certificate of the program's own.
func trusting(f *flags) string {
	if f.TLSSelfSigned != "" {
		return "--cacert " + f.TLSSelfSigned + " "
	}
	return ""
}
