package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service"
)

const (
	// checksAtOnce is how many tenants are checked at once. A check takes a token and a request, some 500 ms together: so
	// 10,000 tenants take less than three minutes.
	checksAtOnce = 32
	// checkTime is how long the check of a tenant may take.
	checkTime = 30 * time.Second
)

// checkCommand checks whether tenants can be served. It prints one line a tenant: the tenant, `ok` or `failed`, and
// what it found. With --redis-url the first line is that of Redis.
type checkCommand struct {
	Configuration config `embed:""`

	Permissions string   `placeholder:"NAMES" help:"application permissions, separated by commas, that a token must have; the default is all that the contract has"`
	Tenants     []string `arg:"" optional:"" help:"GUIDs of tenants, @FILE for a file with one a line, or @- for standard input"`
}

func (k *checkCommand) configuration() *config { return &k.Configuration }

// Run implements the command.
func (k *checkCommand) Run(to streams) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	tenants, err := readTenants(k.Tenants, to.in)
	if err != nil {
		return err
	}
	c := &k.Configuration
	if c.GraphEndpoint == onEmulator {
		fmt.Fprintln(to.log, "This checks the built-in emulator, not Microsoft Graph: --graph-endpoint and the flags of the credential say which Graph a server has.")
	}
	checker := &checker{needed: neededPermissions(k.Permissions), real: c.Credential.real()}
	end, err := checker.start(c)
	if err != nil {
		return err
	}
	defer end()
	var unfit error
	if c.Redis.on() {
		f := c.checkRedis(ctx)
		if _, err := fmt.Fprintf(to.out, "redis\t%s\t%s\n", f.word(), f.says); err != nil {
			return err
		}
		if !f.ok {
			unfit = fmt.Errorf("redis: %w", errNotOK)
		}
	}
	return errors.Join(unfit, checker.checkAll(ctx, tenants, to.out))
}

// readTenants returns the tenants of the arguments, and of the files that they name.
func readTenants(arguments []string, in io.Reader) ([]string, error) {
	var tenants []string
	for _, argument := range arguments {
		name, isFile := strings.CutPrefix(argument, "@")
		if !isFile {
			tenants = append(tenants, argument)
			continue
		}
		from := in
		if name != "-" {
			file, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			from = file
		}
		lines := bufio.NewScanner(from)
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
				tenants = append(tenants, line)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", argument, err)
		}
	}
	if len(tenants) == 0 {
		return nil, errors.New("check needs tenants: server check FLAGS TENANTS, or @FILE with one a line")
	}
	for i, tenant := range tenants {
		if !graph.IsGUID(tenant) {
			return nil, fmt.Errorf("tenant number %d is not a GUID, such as 11111111-2222-4333-8444-000000000001", i+1)
		}
		tenants[i] = strings.ToLower(tenant)
	}
	return tenants, nil
}

// checker checks tenants, by the way that calls take.
type checker struct {
	needed []string
	// real is set when tokens have permissions, as those of the emulator have not.
	real   bool
	tokens graph.TokenSource
	client pb.BackupRestoreServiceClient
}

// start starts the services in this process, where nobody else can call them.
func (k *checker) start(c *config) (stop func(), err error) {
	logger := slog.New(slog.DiscardHandler)
	upstream, _, stopUpstream, err := startUpstream(c, logger, nil)
	if err != nil {
		return nil, err
	}
	tokens, stopTokens, err := c.tokens(logger, nil)
	if err != nil {
		stopUpstream()
		return nil, err
	}
	stopAll := func() { stopTokens(); stopUpstream() }
	quiet := &telemetry{build: buildVersion()}
	client, err := c.client(upstream, tokens, quiet, nil, logger)
	if err != nil {
		stopAll()
		return nil, err
	}
	services, err := service.New(c.serviceOptions(client, logger))
	if err != nil {
		client.Close()
		stopAll()
		return nil, err
	}
	listener := bufconn.Listen(64 << 10)
	server := grpc.NewServer(services.GRPCOptions()...)
	services.Register(server)
	go func() { _ = server.Serve(services.Listen(listener)) }()
	conn, err := grpc.NewClient("passthrough:check", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	stop = func() {
		if conn != nil {
			_ = conn.Close()
		}
		server.Stop()
		client.Close()
		stopAll()
	}
	if err != nil {
		stop()
		return nil, err
	}
	k.tokens, k.client = tokens, pb.NewBackupRestoreServiceClient(conn)
	return stop, nil
}

// checkAll checks tenants side by side, and prints a line for each in their order.
func (k *checker) checkAll(ctx context.Context, tenants []string, out io.Writer) error {
	results := make([]chan finding, len(tenants))
	for i := range results {
		results[i] = make(chan finding, 1)
	}
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	next := make(chan int)
	for range min(checksAtOnce, len(tenants)) {
		workers.Go(func() {
			for i := range next {
				results[i] <- k.check(ctx, tenants[i])
			}
		})
	}
	workers.Go(func() {
		defer close(next)
		for i := range tenants {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	defer workers.Wait()
	defer cancel()
	failed := 0
	for i, tenant := range tenants {
		var f finding
		select {
		case f = <-results[i]:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !f.ok {
			failed++
		}
		if _, err := fmt.Fprintf(out, "%s\t%s\t%s\n", tenant, f.word(), f.says); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d: %w", failed, len(tenants), errNotOK)
	}
	return nil
}

// finding is what the check of a tenant found.
type finding struct {
	ok   bool
	says string
}

// word is how a line says whether all is well.
func (f finding) word() string {
	if f.ok {
		return "ok"
	}
	return "failed"
}

func (k *checker) check(ctx context.Context, tenant string) finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	token, err := k.tokens.Token(ctx, graph.TokenRequest{Tenant: tenant})
	if err != nil {
		return finding{says: "no token: " + whyNoToken(err)}
	}
	permissions := "permissions not checked"
	if k.real {
		if missing := missingPermissions(k.needed, graph.ReadRoles(token)); len(missing) > 0 {
			return finding{says: "permissions missing: " + strings.Join(missing, ", ")}
		}
		permissions = "permissions granted"
	}
	response, err := k.client.GetBackupRestore(metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant), new(pb.GetBackupRestoreRequest))
	if err != nil {
		return finding{says: whyFailed(err)}
	}
	service := response.GetBackupRestore().GetServiceStatus()
	says := "service " + words(service.GetStatus().String(), "BACKUP_SERVICE_STATUS_")
	if service.GetStatus() != pb.BackupServiceStatus_BACKUP_SERVICE_STATUS_ENABLED {
		if reason := service.GetDisableReason(); reason > pb.DisableReason_DISABLE_REASON_NONE {
			says += ": " + words(reason.String(), "DISABLE_REASON_")
		}
		return finding{says: says}
	}
	return finding{ok: true, says: says + ", " + permissions}
}

// whyNoToken says why there is no token. It has no text of the authority.
func whyNoToken(err error) string {
	failed, ok := errors.AsType[*graph.TokenError](err)
	switch {
	case !ok:
		return "the token authority did not respond in time"
	case failed.Cause != "":
		return string(failed.Cause) + " (" + failed.Error() + ")"
	}
	return failed.Error()
}

// whyFailed says why a call failed: reason, cause and message.
func whyFailed(err error) string {
	s := status.Convert(err)
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			says := info.GetReason()
			if cause := info.GetMetadata()["cause"]; cause != "" {
				says += " (" + cause + ")"
			}
			return says
		}
	}
	return s.Code().String()
}

// words makes words of the name of an enum value.
func words(name, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", " "))
}

// missingPermissions returns those that are needed and not granted. ReadWrite has Read within it.
func missingPermissions(needed, granted []string) []string {
	var missing []string
	for _, one := range needed {
		if !slices.Contains(granted, one) && !slices.Contains(granted, strings.Replace(one, ".Read.", ".ReadWrite.", 1)) {
			missing = append(missing, one)
		}
	}
	return missing
}
