// Command server serves Microsoft Graph's Backup Storage API over gRPC.
//
// Without flags it runs on its own emulator of the API, on loopback. Every flag can also be given in the environment:
// --page-token-key as BACKUPSTORAGE_PAGE_TOKEN_KEY.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log.SetOutput(withoutText{slog.New(slog.NewJSONHandler(os.Stderr, nil))})
	c, err := readConfig(os.Args[1:], os.Getenv, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		// A second signal ends the process: the first gives the default handler back.
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, stop)
		err = run(ctx, c, os.Stdout, os.Stderr)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// withoutText takes what libraries write to the standard logger. net/http tells there how bytes begin that it did not
// expect: they are Graph's, with addresses and tokens of pages in them.
type withoutText struct{ logger *slog.Logger }

func (w withoutText) Write(line []byte) (int, error) {
	w.logger.Warn("a library had something to say, which may have Graph's text in it and is left out", slog.Int("bytes", len(line)))
	return len(line), nil
}
