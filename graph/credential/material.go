package credential

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// maxFile is how large a file with a secret, a certificate or a federated token may be.
const maxFile = 1 << 20

// maxReadTime is how long a read of the file is awaited. Then the last material is used: a disk that hangs must not
// block the tokens of all tenants.
const maxReadTime = time.Second

// material is the credential of the application. One of its parts is set.
type material struct {
	version hash
	secret  string
	// certificates and key are those of a PEM or PKCS#12 file without a password.
	certificates []*x509.Certificate
	key          crypto.PrivateKey
	// assertion is the token of the workload, which the authority trusts.
	assertion string
}

// assertionCallback is how azidentity gets the token of the workload.
func (m *material) assertionCallback(context.Context) (string, error) { return m.assertion, nil }

// materialFile reads the material from its file each time, since tokens are requested rarely. While the file cannot be
// used, for example because it is being written, the last material stays in use.
type materialFile struct {
	// path is the file; empty when the material never changes.
	path  string
	parse func(content []byte) (*material, error)

	// last is the last material that could be used.
	last atomic.Pointer[material]

	mu sync.Mutex
	// under is the read that is under way, nil when none is. All callers share it: each read of a disk that hangs takes a
	// thread of the process.
	under *reading
}

// reading is one read of the file. material and err are set before done is closed.
type reading struct {
	start    time.Time
	done     chan struct{}
	material *material
	err      error
}

// material returns the material in the file, or the last one when the file cannot be used, or cannot be read within
// maxReadTime. Only the first call of all waits longer.
func (f *materialFile) material() (*material, error) {
	last := f.last.Load()
	if f.path == "" && last != nil {
		return last, nil
	}
	r := f.reading()
	if last == nil {
		<-r.done
	} else {
		timer := time.NewTimer(time.Until(r.start.Add(maxReadTime)))
		defer timer.Stop()
		select {
		case <-r.done:
		case <-timer.C:
			return last, nil
		}
	}
	if r.err != nil && last != nil {
		return last, nil
	}
	return r.material, r.err
}

// reading returns the read that is under way, and starts one if there is none. No lock is held while the file is read.
func (f *materialFile) reading() *reading {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.under == nil {
		r := &reading{start: time.Now(), done: make(chan struct{})}
		f.under = r
		go func() {
			r.material, r.err = f.read(f.last.Load())
			if r.err == nil {
				f.last.Store(r.material)
			}
			f.mu.Lock()
			f.under = nil
			f.mu.Unlock()
			close(r.done)
		}()
	}
	return f.under
}

// read returns the material of the file, last itself if that has not changed. A panic of a parser becomes an error: it
// must not end the process.
func (f *materialFile) read(last *material) (_ *material, err error) {
	defer func() {
		if value := recover(); value != nil {
			// The value may hold anything.
			err = fmt.Errorf("panic of type %T while a file was read", value)
		}
	}()
	content, err := readFile(f.path)
	if err != nil {
		return nil, err
	}
	version := sha256.Sum256(content)
	if last != nil && last.version == version {
		return last, nil
	}
	read, err := f.parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	read.version = version
	return read, nil
}

// version is that of the material; zero when there is none.
func (f *materialFile) version() hash {
	m, err := f.material()
	if err != nil {
		return hash{}
	}
	return m.version
}

func readFile(path string) ([]byte, error) {
	// A read of a pipe might never end.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return content, err
}

// text returns a file's content without the spaces and line ends around it.
func text(content []byte) (string, error) {
	content = bytes.TrimSpace(content)
	if len(content) == 0 {
		return "", errors.New("the file is empty")
	}
	for _, c := range content {
		if c < ' ' || c > '~' {
			return "", errors.New("the file has more than one line, or characters that are not printable ASCII")
		}
	}
	return string(content), nil
}

func parseSecret(content []byte) (*material, error) {
	secret, err := text(content)
	return &material{secret: secret}, err
}

func parseAssertion(content []byte) (*material, error) {
	assertion, err := text(content)
	return &material{assertion: assertion}, err
}

func parseCertificate(content []byte) (*material, error) {
	certificates, key, err := azidentity.ParseCertificates(content, nil)
	if err != nil && !bytes.Contains(content, []byte("-----BEGIN ")) {
		// azidentity's error is about ASN.1 then, whatever the file holds.
		err = errors.New("neither PEM nor PKCS#12 without a password")
	}
	if err != nil {
		return nil, err
	}
	// This finds what azidentity would refuse only with the first token, such as the key of another certificate.
	_, err = azidentity.NewClientCertificateCredential("tenant", "application", certificates, key, nil)
	return &material{certificates: certificates, key: key}, err
}
