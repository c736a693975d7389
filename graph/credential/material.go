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

// material is what the application proves itself with. One of its parts is set.
type material struct {
	version hash
	secret  string
	// certificates and key are those of a PEM or PKCS#12 file without a password.
	certificates []*x509.Certificate
	key          crypto.PrivateKey
	// assertion is the token of the workload, which the authority trusts.
	assertion string
}

// give is the callback by which azidentity asks for the workload's token.
func (m *material) give(context.Context) (string, error) { return m.assertion, nil }

// keeper reads the material of a file whenever it is asked for: tokens are asked for so rarely that the file is simply
// read each time. A file that cannot be used, because it is being written, is as good as the last one that could.
type keeper struct {
	// path is the file; empty when the material never changes.
	path  string
	parse func(content []byte) (*material, error)

	// last is the last material that could be used. No lock is held while a file is read, as its disk may be slow: a slow
	// reader may put back what an earlier file had, until the next one.
	last atomic.Pointer[material]
}

func (k *keeper) material() (*material, error) {
	last := k.last.Load()
	if k.path == "" && last != nil {
		return last, nil
	}
	read, err := k.read(last)
	if err == nil {
		k.last.Store(read)
		return read, nil
	}
	if last = k.last.Load(); last != nil {
		return last, nil
	}
	return nil, err
}

// read returns the material of the file, last itself if that has not changed.
func (k *keeper) read(last *material) (*material, error) {
	content, err := readFile(k.path)
	if err != nil {
		return nil, err
	}
	version := sha256.Sum256(content)
	if last != nil && last.version == version {
		return last, nil
	}
	read, err := k.parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.path, err)
	}
	read.version = version
	return read, nil
}

// version is that of the material; zero when there is none.
func (k *keeper) version() hash {
	m, err := k.material()
	if err != nil {
		return hash{}
	}
	return m.version
}

func readFile(path string) ([]byte, error) {
	// A pipe would be waited for without end.
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
		// What azidentity says then is about ASN.1, whatever the file is.
		err = errors.New("neither PEM nor PKCS#12 without a password")
	}
	if err != nil {
		return nil, err
	}
	// What azidentity would refuse only when a token is asked for, such as a key of another certificate.
	_, err = azidentity.NewClientCertificateCredential("tenant", "application", certificates, key, nil)
	return &material{certificates: certificates, key: key}, err
}
