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
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// maxFile is how large a file with a secret, a certificate or a federated token may be.
const maxFile = 1 << 20

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

	// last is the last material that could be used. No lock is held while the file is read, since its disk may be slow. A
	// slow read may therefore bring back the material before it, until the next read.
	last atomic.Pointer[material]
}

func (f *materialFile) material() (*material, error) {
	last := f.last.Load()
	if f.path == "" && last != nil {
		return last, nil
	}
	read, err := f.read(last)
	if err == nil {
		f.last.Store(read)
		return read, nil
	}
	if last = f.last.Load(); last != nil {
		return last, nil
	}
	return nil, err
}

// read returns the material of the file, last itself if that has not changed.
func (f *materialFile) read(last *material) (*material, error) {
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
