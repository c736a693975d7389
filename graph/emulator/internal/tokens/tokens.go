// Package tokens makes and reads the JSON web tokens of the emulator's token authority: the access tokens that it hands
// out, and the client assertions that applications sign with their certificates. It knows nothing of HTTP.
package tokens

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// The algorithms of signatures that are made and read.
const (
	algorithmRS256 = "RS256"
	algorithmPS256 = "PS256"
)

// ErrForm is the error of a text that is no signed JSON web token.
var ErrForm = errors.New("not a JSON web token")

// ErrSignature is the error of a token that another key signed, or that was changed.
var ErrSignature = errors.New("the signature is not that of the key")

// Key signs tokens.
type Key struct {
	private *rsa.PrivateKey
	id      string
}

// NewKey makes a key. That takes some tenths of a second.
func NewKey() (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key for tokens: %w", err)
	}
	sum := sha256.Sum256(private.N.Bytes())
	return &Key{private: private, id: encode(sum[:16])}, nil
}

// PublicKey is the public part of a key in a key set (RFC 7517).
type PublicKey struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

// Public returns the public part.
func (k *Key) Public() PublicKey {
	return PublicKey{
		Type: "RSA", Use: "sig", Algorithm: algorithmRS256, ID: k.id,
		Modulus: encode(k.private.N.Bytes()), Exponent: encode(big.NewInt(int64(k.private.E)).Bytes()),
	}
}

// Sign makes a token of claims, which must be something that JSON can write.
func (k *Key) Sign(claims any) (string, error) {
	header, err := json.Marshal(map[string]string{"typ": "JWT", "alg": algorithmRS256, "kid": k.id})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := encode(header) + "." + encode(payload)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return signed + "." + encode(signature), nil
}

// Verify fails with [ErrForm] or [ErrSignature] unless the key signed the token.
func (k *Key) Verify(token string) error {
	t, err := Read(token)
	if err != nil {
		return err
	}
	if t.Header.KeyID != k.id {
		return ErrSignature
	}
	return t.verify(&k.private.PublicKey)
}

// Header is what is read of a token's header.
type Header struct {
	Algorithm    string   `json:"alg"`
	KeyID        string   `json:"kid"`
	Thumbprint   string   `json:"x5t"`      // SHA-1 of a certificate
	Thumbprint2  string   `json:"x5t#S256"` // SHA-256 of it
	Certificates []string `json:"x5c"`      // base64 of DER, the signer's first
}

// Token is a token in its parts.
type Token struct {
	Header  Header
	Payload []byte // JSON

	signed    string
	signature []byte
}

// Read takes a token apart. It fails with [ErrForm], and checks no signature.
func Read(token string) (*Token, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, ErrForm
	}
	t := &Token{signed: parts[0] + "." + parts[1]}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || json.Unmarshal(header, &t.Header) != nil {
		return nil, ErrForm
	}
	if t.Payload, err = base64.RawURLEncoding.DecodeString(parts[1]); err != nil || !json.Valid(t.Payload) {
		return nil, ErrForm
	}
	if t.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return nil, ErrForm
	}
	return t, nil
}

// verify compares the signature with a public key.
func (t *Token) verify(key *rsa.PublicKey) error {
	sum := sha256.Sum256([]byte(t.signed))
	var err error
	switch t.Header.Algorithm {
	case algorithmRS256:
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature)
	case algorithmPS256:
		err = rsa.VerifyPSS(key, crypto.SHA256, sum[:], t.signature, nil)
	default:
		err = ErrSignature
	}
	if err != nil {
		return ErrSignature
	}
	return nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
