// Command server serves Microsoft Graph's Backup Storage API over gRPC.
//
// Without flags it runs on its built-in emulator of the API, on loopback. Each flag has an environment variable:
// --page-token-key is BACKUPSTORAGE_PAGE_TOKEN_KEY. "server config" prints the configuration, "server --help" the
// commands and flags, and "server --version" which build it is.
package main

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A reader of standard error or output that goes away must not end the process, nor a terminal that closes.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	limitMemory()
	keepHeapFloor(os.Getenv("GOGC"))
	queue := newLogQueue(os.Stderr)
	defer queue.close()
	log.SetOutput(withoutText{slog.New(slog.NewJSONHandler(queue, nil))})
	p, err := parse(os.Args[1:], variablesOf(os.Environ()), os.Stdout)
	if errors.Is(err, errHelp) {
		return
	}
	if err == nil {
		err = p.run(streams{in: os.Stdin, out: os.Stdout, log: queue})
	}
	if err != nil {
		if !errors.Is(err, errTold) {
			queue.printError(err)
		}
		queue.close()
		os.Exit(exitCode(err))
	}
}

// untilSignal returns a context that ends with the first SIGTERM or Ctrl-C. A second one ends the process at once: the
// default handler would not do it for a process that a shell started in the background, where SIGINT is ignored.
func untilSignal() (ctx context.Context, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-signals
		cancel()
		if second, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(128 + int(second))
		}
	}()
	return ctx, cancel
}

// withoutText logs that a library wrote to the standard logger, without the text. net/http writes there the first bytes
// of data that it did not expect. That data comes from Graph, and can contain mail addresses and page tokens.
type withoutText struct{ logger *slog.Logger }

func (w withoutText) Write(line []byte) (int, error) {
	w.logger.Warn("a library wrote a log line; its text is left out because it can contain data from Graph", slog.Int("bytes", len(line)))
	return len(line), nil
}
