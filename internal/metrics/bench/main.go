// Command bench makes small calls of a server, one after another. The script `run` beside it counts the instructions
// that the server needs for each.
//
// Usage: bench ADDRESS COUNT [TOKEN_FILE]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 3 && len(arguments) != 4 {
		return errors.New("usage: bench ADDRESS COUNT [TOKEN_FILE]")
	}
	count, err := strconv.Atoi(arguments[2])
	if err != nil {
		return fmt.Errorf("the count must be a number: %w", err)
	}
	all := context.Background()
	if len(arguments) == 4 {
		token, err := os.ReadFile(arguments[3])
		if err != nil {
			return err
		}
		all = metadata.AppendToOutgoingContext(all, "authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	conn, err := grpc.NewClient(arguments[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client := pb.NewBackupRestoreServiceClient(conn)
	for range count {
		// The server may run a hundred times slower than it does.
		ctx, cancel := context.WithTimeout(all, time.Minute)
		_, err := client.GetBackupRestore(ctx, new(pb.GetBackupRestoreRequest), grpc.WaitForReady(true))
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
