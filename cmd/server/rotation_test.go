package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// rotations is how often the certificate is replaced as Kubernetes does it; BACKUPSTORAGE_ROTATIONS changes it.
const rotations = 3

// wholeRotation is how long the server may take to see a change.
const wholeRotation = 15 * time.Second

// volume is a folder as Kubernetes mounts it: the files are symlinks through ..data, which is a symlink itself.
type volume struct {
	path string
	n    int
}

// mount replaces all files at once.
func (v *volume) mount(t *testing.T, contents map[string][]byte) {
	t.Helper()
	v.n++
	folder := fmt.Sprint("..2026_", v.n)
	if err := os.Mkdir(filepath.Join(v.path, folder), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(v.path, folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(v.path, name)); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	data := filepath.Join(v.path, "..data")
	if err := errors.Join(os.Symlink(folder, data+"_tmp"), os.Rename(data+"_tmp", data)); err != nil {
		t.Fatal(err)
	}
	if v.n > 1 {
		if err := os.RemoveAll(filepath.Join(v.path, fmt.Sprint("..2026_", v.n-1))); err != nil {
			t.Fatal(err)
		}
	}
}

// write changes one file in place, nil removes it.
func (v *volume) write(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(v.path, "..data", name)
	var err error
	if content == nil {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// underLoad is a server with mTLS, and clients that call it all the time, over old and over new connections.
type underLoad struct {
	authority *certificateAuthority
	log       *logBuffer
	address   string
	// client is the certificate of new connections.
	client atomic.Pointer[tls.Certificate]
	stop   context.CancelFunc

	clients            sync.WaitGroup
	old, fresh, failed atomic.Int64
}

// transport is how clients connect now.
func (u *underLoad) transport(certificate *tls.Certificate) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{RootCAs: u.authority.pool(), Certificates: []tls.Certificate{*certificate}})
}

// begin starts the clients: two keep the connection that they have, two make one for each call.
func (u *underLoad) begin(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	u.stop = stop
	call := func(conn *grpc.ClientConn, made *atomic.Int64) (serial string) {
		var at peer.Peer
		_, err := pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(context.WithoutCancel(ctx), new(pb.GetBackupRestoreRequest), grpc.Peer(&at))
		if err != nil {
			u.failed.Add(1)
			t.Errorf("a call failed: %v", err)
			return ""
		}
		made.Add(1)
		info, ok := at.AuthInfo.(credentials.TLSInfo)
		if !ok {
			t.Errorf("no TLS: %T", at.AuthInfo)
			return ""
		}
		return info.State.PeerCertificates[0].SerialNumber.String()
	}
	connect := func() *grpc.ClientConn {
		conn, err := grpc.NewClient(u.address, grpc.WithTransportCredentials(u.transport(u.client.Load())))
		if err != nil {
			t.Error(err)
		}
		return conn
	}
	for range 2 {
		u.clients.Go(func() {
			conn := connect()
			defer conn.Close()
			first := call(conn, &u.old)
			for ctx.Err() == nil {
				if serial := call(conn, &u.old); serial != first {
					t.Errorf("an old connection changed from certificate %s to %s", first, serial)
					return
				}
			}
		})
		u.clients.Go(func() {
			for ctx.Err() == nil {
				conn := connect()
				call(conn, &u.fresh)
				conn.Close()
			}
		})
	}
	u.everyClientCalls()
}

// everyClientCalls waits until new connections were made that began after the call of this function.
func (u *underLoad) everyClientCalls() {
	for from, old := u.fresh.Load(), u.old.Load(); u.fresh.Load() < from+10 && u.failed.Load() == 0 || u.old.Load() < old+10 && u.failed.Load() == 0; {
		// A handshake of its own, so that the loop gives way.
		u.serial(u.client.Load())
	}
}

// serial is the serial number that a new connection sees; empty when it is refused.
func (u *underLoad) serial(certificate *tls.Certificate) string {
	conn, err := tls.Dial("tcp", u.address, &tls.Config{
		RootCAs: u.authority.pool(), Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"h2"},
	})
	if err != nil {
		return ""
	}
	defer conn.Close()
	// The server checks the client's certificate after the client has finished the handshake.
	if err := conn.SetReadDeadline(time.Now().Add(wholeRotation)); err != nil {
		return ""
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return ""
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// waitFor waits until something is so.
func (u *underLoad) waitFor(t *testing.T, step string, isSo func() bool) {
	t.Helper()
	for begin := time.Now(); !isSo(); {
		if time.Since(begin) > wholeRotation {
			t.Fatalf("%s: not seen after %v: %s", step, wholeRotation, u.log)
		}
		u.serial(u.client.Load())
	}
}

// lines counts the lines of the log with a text and the name of a set of files.
func (u *underLoad) lines(text, what string) (n int) {
	for line := range strings.Lines(u.log.String()) {
		if strings.Contains(line, text) && strings.Contains(line, `"what":"`+what+`"`) {
			n++
		}
	}
	return n
}

const (
	filesRefused = "files cannot be used"
	filesTaken   = "files were read again"
)

// The files of TLS are replaced in every way that goes wrong somewhere, under calls: none fails, new connections get
// what is new and good, and no output has anything of a key. More rotations:
//
//	BACKUPSTORAGE_ROTATIONS=20 go test ./cmd/server -run FilesOfTLSChange -v
func TestFilesOfTLSChangeUnderCalls(t *testing.T) {
	times := rotations
	if text := os.Getenv("BACKUPSTORAGE_ROTATIONS"); text != "" {
		var err error
		if times, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	own, next := newCertificateAuthority(t, "own"), newCertificateAuthority(t, "next")
	var keys []identity
	server := func() identity {
		i := own.server(t, int64(len(keys)+1))
		keys = append(keys, i)
		return i
	}
	v := &volume{path: t.TempDir()}
	now := server()
	bundle := own.pem
	mount := func(i identity) {
		now = i
		v.mount(t, map[string][]byte{"tls.crt": i.certificate, "tls.key": i.key, "ca.crt": bundle})
	}
	mount(now)
	environment := []string{
		"BACKUPSTORAGE_RELOAD_INTERVAL=20ms", "GRPC_GO_LOG_SEVERITY_LEVEL=info", "GRPC_GO_LOG_VERBOSITY_LEVEL=99", "BACKUPSTORAGE_MAX_CONNECTIONS_PER_PEER=10000",
		"BACKUPSTORAGE_TLS_CERTIFICATE_FILE=" + filepath.Join(v.path, "tls.crt"), "BACKUPSTORAGE_TLS_KEY_FILE=" + filepath.Join(v.path, "tls.key"),
		"BACKUPSTORAGE_TLS_CLIENT_CA_FILE=" + filepath.Join(v.path, "ca.crt"),
	}
	process, _ := process(t, environment...)
	u := &underLoad{authority: own, log: new(logBuffer)}
	process.Stderr = u.log
	conn, stop := begin(t, process)
	u.address = conn.Target()
	oldClient, newClient := own.client(t).pair(t), next.client(t).pair(t)
	u.client.Store(&oldClient)
	u.begin(t)

	seen := func(i int) func() bool {
		return func() bool { return u.serial(u.client.Load()) == fmt.Sprint(i) }
	}
	for range times {
		mount(server())
		u.waitFor(t, "a rotation", seen(len(keys)))
	}
	const pair, cas = "tls-certificate", "tls-client-ca"
	// Each of these leaves the last good files in use; then all is good again.
	for _, step := range []struct {
		name, what string
		file       string
		content    []byte
	}{
		{"the certificate before its key", pair, "tls.crt", server().certificate},
		{"the key is missing", pair, "tls.key", nil},
		{"the certificate is missing", pair, "tls.crt", nil},
		{"a certificate that is cut", pair, "tls.crt", now.certificate[:len(now.certificate)/2]},
		{"a key that is cut", pair, "tls.key", now.key[:len(now.key)/2]},
		{"an empty key", pair, "tls.key", []byte{}},
		{"the key of another certificate", pair, "tls.key", keys[0].key},
		{"client CAs that are missing", cas, "ca.crt", nil},
		{"client CAs that are cut", cas, "ca.crt", own.pem[:len(own.pem)/2]},
	} {
		before := map[string][]byte{"tls.crt": now.certificate, "tls.key": now.key, "ca.crt": bundle}[step.file]
		refused, taken := u.lines(filesRefused, step.what), u.lines(filesTaken, step.what)
		v.write(t, step.file, step.content)
		u.waitFor(t, step.name, func() bool { return u.lines(filesRefused, step.what) > refused })
		if serial := u.serial(u.client.Load()); serial != now.serial(t) {
			t.Errorf("%s: certificate %q, want %s", step.name, serial, now.serial(t))
		}
		if strings.HasPrefix(step.name, "the certificate before") {
			now = keys[len(keys)-1]
			v.write(t, "tls.key", now.key)
			u.waitFor(t, "then its key", seen(len(keys)))
			continue
		}
		v.write(t, step.file, before)
		u.waitFor(t, step.name+", restored", func() bool { return u.lines(filesTaken, step.what) > taken })
	}

	// The client CAs are swapped: first both, then the new one alone.
	bundle = append(append([]byte{}, own.pem...), next.pem...)
	v.write(t, "ca.crt", bundle)
	u.waitFor(t, "both client CAs", func() bool { return u.serial(&newClient) != "" })
	u.client.Store(&newClient)
	u.everyClientCalls()
	refused := u.lines(filesRefused, cas)
	v.write(t, "ca.crt", bundle[:len(bundle)-40])
	u.waitFor(t, "the second client CA is cut", func() bool { return u.lines(filesRefused, cas) > refused })
	u.everyClientCalls()
	v.write(t, "ca.crt", next.pem)
	u.waitFor(t, "the new client CA alone", func() bool { return u.serial(&oldClient) == "" })
	u.everyClientCalls()

	u.stop()
	u.clients.Wait()
	t.Logf("%d calls over old connections and %d over new ones, %d certificates, %d failed", u.old.Load(), u.fresh.Load(), len(keys), u.failed.Load())
	if err := stop(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
	output := u.log.String()
	if !strings.Contains(output, "[core]") && !strings.Contains(output, "[transport]") {
		t.Error("gRPC logged nothing, so the search for keys proves nothing")
	}
	for _, i := range keys {
		for _, part := range i.secrets(t) {
			if strings.Contains(output, part) {
				t.Errorf("the output has a part of a key: %q", part)
			}
		}
	}
}

// serial is the serial number of the certificate.
func (i identity) serial(t *testing.T) string {
	t.Helper()
	return i.pair(t).Leaf.SerialNumber.String()
}

// secrets are the forms in which a key could be in an output: the lines of its file, and what %v prints of it.
func (i identity) secrets(t *testing.T) []string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(i.key)), "\n")
	scalar, err := i.private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return append(lines[1:len(lines)-1], i.private.D.String(), fmt.Sprintf("%x", scalar), strings.Trim(fmt.Sprint(scalar), "[]")) //nolint:staticcheck // D is what %v prints.
}
