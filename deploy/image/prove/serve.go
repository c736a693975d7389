package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

// inRoot runs the server as the image says, in a root that nobody can write to. Only this process sees the mount.
const inRoot = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot --userspec=65532:65532 "$0" /server "$@"`

func serveOnEmulator(root string) (string, error) {
	err := ask(root)
	return "serves on the emulator as 65532", err
}

// trustRoots lets the server call an upstream whose certificate an authority of our own has signed: it must fail with
// the image's certificates, and succeed once that authority stands beside them.
func trustRoots(root string) (string, error) {
	authority, certificate, err := makeCertificates()
	if err != nil {
		return "", err
	}
	upstream := httptest.NewUnstartedServer(emulator.New(emulator.Options{}))
	upstream.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	// It would print each refused handshake.
	upstream.Config.ErrorLog = log.New(io.Discard, "", 0)
	upstream.StartTLS()
	defer upstream.Close()
	flags := []string{"--graph-endpoint", upstream.URL + "/v1.0"}
	if err := ask(root, flags...); err == nil {
		return "", errors.New("the server trusts an authority that the image does not have")
	}
	// The image stays as it is.
	changed, err := os.MkdirTemp("", "rootfs")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(changed) }()
	if err := os.CopyFS(changed, os.DirFS(root)); err != nil {
		return "", err
	}
	if err := os.Chmod(changed, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(changed, "etc/ssl/certs/ca-certificates.crt")
	list, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, append(list, authority...), 0o600); err != nil {
		return "", err
	}
	if err := os.Chmod(file, 0o444); err != nil {
		return "", err
	}
	return "trusted, and no others", ask(changed, flags...)
}

// ask starts the server, calls it once, and stops it.
func ask(root string, flags ...string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	arguments := append([]string{"--mount", "sh", "-c", inRoot, root, "--listen", "127.0.0.1:0"}, flags...)
	server := exec.CommandContext(ctx, "unshare", arguments...)
	var stderr strings.Builder
	server.Stderr = &stderr
	banner, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = server.Process.Kill()
			_ = server.Wait()
		}
	}()
	line, err := bufio.NewReader(banner).ReadString('\n')
	if err != nil {
		stopped = true
		return fmt.Errorf("the server did not start: %w\n%s", server.Wait(), stderr.String())
	}
	address, _, _ := strings.Cut(strings.TrimPrefix(line, "Serving gRPC on "), ",")
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	tenant := metadata.AppendToOutgoingContext(ctx, "x-tenant-id", emulator.TenantA)
	if _, err := pb.NewBackupRestoreServiceClient(connection).GetBackupRestore(tenant, &pb.GetBackupRestoreRequest{}); err != nil {
		return err
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	stopped = true
	if err := server.Wait(); err != nil {
		return fmt.Errorf("the server did not end cleanly: %w\n%s", err, stderr.String())
	}
	return nil
}

// makeCertificates returns an authority in PEM, and the certificate of 127.0.0.1 that it has signed.
func makeCertificates() (authority []byte, server tls.Certificate, err error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, server, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, server, err
	}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a proof"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, root, root, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, server, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	chain, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), authorityKey)
	if err != nil {
		return nil, server, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), tls.Certificate{Certificate: [][]byte{chain}, PrivateKey: key}, nil
}
