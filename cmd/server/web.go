package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/m365backup/backupstorage/internal/reload"
	"github.com/m365backup/backupstorage/internal/web"
	"github.com/m365backup/backupstorage/proto"
	"github.com/m365backup/backupstorage/service"
	webfiles "github.com/m365backup/backupstorage/web"
)

// defaultWeb is the web port of a server on a desk.
const defaultWeb = "127.0.0.1:50080"

// webFlags holds the flags of the web port.
type webFlags struct {
	WebListen                string `placeholder:"ADDRESS" help:"address that serves the rpcs to browsers and curl over HTTP; the default is 127.0.0.1:50080 on the emulator when only this machine can reach --listen, else none; empty for none" page:"address that serves the rpcs to [browsers and curl](web.md) over HTTP; empty (~--web-listen=~) for none. Without it: ~127.0.0.1:50080~ on the emulator when only this machine can reach ~--listen~, and none elsewhere. A default that is taken is replaced by a free port"`
	WebHosts                 string `placeholder:"NAMES" help:"host names, separated by commas, by which the web port may be asked, besides IP addresses and localhost"`
	WebOrigins               string `placeholder:"ORIGINS" help:"origins, separated by commas, whose pages may call, such as https://portal.example, besides that of the web port"`
	WebTLSCertificateFile    string `name:"web-tls-certificate-file" placeholder:"PATH" help:"PEM file with the certificate of the web port, read again when it changes; without it that of --tls-certificate-file when other machines can reach the web port, else none" page:"PEM file with the certificate of the web port, [read again when it changes](#files-that-change). Without it: that of ~--tls-certificate-file~ when other machines can reach the web port, and no TLS elsewhere"`
	WebTLSKeyFile            string `name:"web-tls-key-file" placeholder:"PATH" help:"PEM file with the private key of --web-tls-certificate-file"`
	WebMaxConnections        int    `default:"1000" placeholder:"N" help:"maximum number of connections to the web port; the server closes further ones at once"`
	WebMaxConnectionsPerPeer int    `default:"0" placeholder:"N" help:"maximum number of connections of one IP address to the web port; 0 is a tenth of --web-max-connections" page:"maximum number of connections of one IP address to the web port; 0 is a tenth of ~--web-max-connections~. Behind a proxy all connections are of its address"`
}

// checkWeb checks the flags of the web port, and decides whether there is one when nobody says it.
func (c *config) checkWeb() error {
	_, isUnix := c.unixPath()
	if c.sources["web-listen"] == "" {
		// The web port knows callers by tokens alone: where the client certificate is the identity, it is none.
		if c.GraphEndpoint == onEmulator && (isUnix || isLoopback(c.Listen)) && (c.RightsFile != "" || !c.identities()) {
			c.WebListen = defaultWeb
		}
	}
	if c.WebListen == "" {
		if c.WebHosts != "" || c.WebOrigins != "" || c.WebTLSCertificateFile != "" || c.WebTLSKeyFile != "" {
			return errors.New("--web-hosts, --web-origins, --web-tls-certificate-file and --web-tls-key-file have no effect without --web-listen: remove them")
		}
		return nil
	}
	if !isAddress(c.WebListen) {
		return fmt.Errorf("--web-listen must be an address with a port, such as %s", defaultWeb)
	}
	for _, host := range parts(c.WebHosts) {
		if !web.CheckHost(host) {
			return errors.New("--web-hosts must be host names without ports, separated by commas, such as backup.example")
		}
	}
	for _, origin := range parts(c.WebOrigins) {
		if !web.CheckOrigin(origin) {
			return errors.New("--web-origins must be origins in lower case, separated by commas, such as https://portal.example")
		}
	}
	if (c.WebTLSCertificateFile == "") != (c.WebTLSKeyFile == "") {
		return errors.New("--web-tls-certificate-file and --web-tls-key-file must be set both, or none of them")
	}
	if c.WebMaxConnections < 1 || c.WebMaxConnectionsPerPeer < 0 || c.WebMaxConnectionsPerPeer > c.WebMaxConnections {
		return errors.New("--web-max-connections must be 1 or more, and --web-max-connections-per-peer from 0 to --web-max-connections")
	}
	return c.checkWebReach()
}

// parts returns what commas separate.
func parts(text string) (all []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// webFiles are the files with certificate and key of the web port; empty without TLS.
func (c *config) webFiles() (certificate, key string) {
	if c.WebTLSCertificateFile != "" {
		return c.WebTLSCertificateFile, c.WebTLSKeyFile
	}
	if !isLoopback(c.WebListen) {
		return c.TLS.CertificateFile, c.TLS.KeyFile
	}
	return "", ""
}

// webPort is the web port. It listens from the beginning, and serves once the server runs.
type webPort struct {
	port     *web.Port
	pipes    *web.Pipes
	listener *service.Listener
	tls      *tls.Config
	logger   *slog.Logger
	// inner is the gRPC server behind it. It has no TLS, and so no certificates of clients: a token is the only identity.
	inner *grpc.Server
	// taken is the listener of inner.
	taken *service.Listener
}

// openWeb opens the web port, nil when there is none. emulator is the built-in one, nil on any other upstream.
func (c *config) openWeb(services *service.Server, files *reload.Reader, emulator http.Handler, grpcAt net.Addr, logger *slog.Logger) (*webPort, error) {
	if c.WebListen == "" {
		return nil, nil
	}
	w := &webPort{pipes: web.NewPipes(), logger: logger}
	if !c.showsEmulator() {
		emulator = nil
	}
	build := buildVersion()
	var err error
	w.port, err = web.New(web.Options{
		Services: services.Services(), Pipes: w.pipes, Logger: logger, MaxHeader: service.MaxHeader, MaxMessage: service.MaxMessage,
		Hosts: parts(c.WebHosts), Origins: parts(c.WebOrigins), Contract: contractBytes, Emulator: emulator, Files: webfiles.Files(),
		Refuse: func(ctx context.Context, header http.Header, method string, why web.Refusal) *spb.Status {
			return services.RefuseRequest(ctx, header, method, why.Reason, why.Field, why.Wanted)
		},
		About: web.About{
			Version: build.Version, Revision: build.Revision, Upstream: string(c.upstreamKind()), GrpcAddress: grpcAddress(grpcAt),
			GrpcTLS: c.TLS.on(), TokenNeeded: c.RightsFile != "", DefaultTenant: c.DefaultTenant, Control: emulator != nil,
		},
	})
	if err != nil {
		return nil, err
	}
	if w.tls, err = c.webTLS(files); err != nil {
		return nil, err
	}
	listener, err := listenWeb(c.WebListen, logger)
	if err != nil {
		return nil, err
	}
	w.listener = service.ListenWithin(listener, service.ConnectionLimits{
		Connections: c.WebMaxConnections, ConnectionsPerPeer: c.WebMaxConnectionsPerPeer,
	})
	return w, nil
}

// contractBytes returns the descriptors of the contract with their comments. Most servers are never asked for them.
var contractBytes = sync.OnceValues(func() ([]byte, error) {
	set, err := proto.Descriptors()
	if err != nil {
		return nil, err
	}
	return protobuf.Marshal(set)
})

// grpcAddress is an address as gRPC clients write it.
func grpcAddress(address net.Addr) string {
	if address.Network() == "unix" {
		return unixScheme + address.String()
	}
	return address.String()
}

// webTLS returns the TLS of the web port, nil without. It asks for no certificates of clients: a browser would send
// them for any page.
func (c *config) webTLS(files *reload.Reader) (*tls.Config, error) {
	certificate, key := c.webFiles()
	if certificate == "" {
		return nil, nil
	}
	pair, err := reload.Open(files, "web-tls-certificate", parsePair, certificate, key)
	if err != nil {
		return nil, fmt.Errorf("--web-tls-certificate-file and --web-tls-key-file: %w", err)
	}
	config := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.Get(), nil },
	}
	if c.TLS.MinVersion == "1.2" {
		config.MinVersion = tls.VersionTLS12
	}
	return config, nil
}

// listenWeb listens on an address. A second server on a desk finds the default port taken, and takes another one.
func listenWeb(address string, logger *slog.Logger) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if address == defaultWeb && errors.Is(err, syscall.EADDRINUSE) {
		logger.Warn("the default web port is taken, another one is used; set --web-listen to choose it", slog.String("taken", address))
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("--web-listen: %w", err)
	}
	return listener, nil
}

// url is where the web port is, empty when there is none.
func (w *webPort) url() string {
	if w == nil {
		return ""
	}
	scheme := "http"
	if w.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + w.listener.Addr().String() + "/"
}

// serve serves the web port. options are those of a gRPC server without TLS.
func (w *webPort) serve(services *service.Server, options []grpc.ServerOption) {
	if w == nil {
		return
	}
	w.inner = grpc.NewServer(options...)
	services.Register(w.inner)
	w.taken = services.Listen(w.pipes)
	go func() {
		if err := w.inner.Serve(w.taken); err != nil && !errors.Is(err, net.ErrClosed) {
			w.logger.Error("the web port's way to gRPC stopped", slog.String("error", err.Error()))
		}
	}()
	go func() {
		if err := w.port.Serve(w.listener, w.tls); !errors.Is(err, http.ErrServerClosed) {
			w.logger.Error("the web port stopped", slog.String("error", err.Error()))
		}
	}()
}

// stop takes no further connections, and waits for the calls under way.
func (w *webPort) stop() {
	if w == nil {
		return
	}
	// It ends when the calls have, or by end.
	_ = w.port.Stop(context.Background())
	w.inner.GracefulStop()
}

// end cuts what is under way. It waits for the handlers.
func (w *webPort) end() {
	if w == nil {
		return
	}
	var ending sync.WaitGroup
	ending.Go(w.inner.Stop)
	ending.Go(func() { _ = w.port.Close() })
	ending.Wait()
}

// connections is how many clients are connected to the web port.
func (w *webPort) connections() int {
	if w == nil {
		return 0
	}
	return w.listener.Connections()
}
