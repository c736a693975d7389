package credential

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/m365backup/backupstorage/internal/reload"
)

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

// materialFile is the material and the file that it comes from. The file is read each time, since tokens are requested
// rarely. While it cannot be used, for example because it is being written, the last material stays in use.
type materialFile struct {
	// file is nil when the material never changes.
	file  *reload.Set[*material]
	fixed *material
}

// openMaterial reads the material for the first time. The reader, which may be nil, looks at the file as well.
func openMaterial(reader *reload.Reader, path string, parse func(content []byte) (*material, error)) (*materialFile, error) {
	file, err := reload.Open(reader, "graph-credential", func(contents [][]byte) (*material, error) {
		m, err := parse(contents[0])
		if err == nil {
			m.version = sha256.Sum256(contents[0])
		}
		return m, err
	}, path)
	return &materialFile{file: file}, err
}

// material returns the material as the file has it now, or the last one when the file cannot be used.
func (f *materialFile) material() (*material, error) {
	if f.file == nil {
		return f.fixed, nil
	}
	return f.file.Read()
}

// version is that of the material; zero when there is none.
func (f *materialFile) version() hash {
	m, err := f.material()
	if err != nil {
		return hash{}
	}
	return m.version
}

// certificateExpiry is when the certificate of the key expires; zero when there is none.
func (f *materialFile) certificateExpiry() time.Time {
	if f == nil || f.file == nil {
		return time.Time{}
	}
	m := f.file.Get()
	key, ok := m.key.(*rsa.PrivateKey)
	if !ok {
		return time.Time{}
	}
	for _, certificate := range m.certificates {
		if key.PublicKey.Equal(certificate.PublicKey) {
			return certificate.NotAfter
		}
	}
	return time.Time{}
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
