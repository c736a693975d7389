// Command server serves Microsoft Graph's Backup Storage API over gRPC.
//
// Without flags it runs on its built-in emulator of the API, on loopback. Each flag has an environment variable:
// --page-token-key is BACKUPSTORAGE_PAGE_TOKEN_KEY. `server --version` says which build it is, and
// `server check TENANT…` whether tenants can be served.
package main

import (
	"context"
	"errors"
	"flag"
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
	queue := newLogQueue(os.Stderr)
	defer queue.close()
	log.SetOutput(withoutText{slog.New(slog.NewJSONHandler(queue, nil))})
	if done, code := runCommand(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, queue); done {
		queue.close()
		os.Exit(code)
	}
	c, err := readConfig(os.Args[1:], os.Getenv, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := untilSignal()
		err = run(ctx, c, os.Stdout, queue)
		stop()
	}
	if err != nil {
		queue.printError(err)
		queue.close()
		os.Exit(1)
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
