package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeys is how many keys of a JWKS are read.
	maxKeys = 100
	// maxTries is how many keys are tried for one token: each costs a stranger nothing and the server up to 0.1 ms.
	maxTries = 8
	// minRSA and maxRSA bound the modulus of RSA keys, in bits. Longer ones only cost time.
	minRSA, maxRSA = 2048, 8192
)

// algorithms are those with which tokens may be signed. Symmetric ones are not among them: whoever can check such a
// token can also make one.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// keys are the public keys of an issuer. They are immutable.
type keys []jose.JSONWebKey

// parseKeys reads a JWKS. Keys of other kinds are left out, as RFC 7517 wants; a set without a usable key is an error.
func parseKeys(data []byte) (keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("is no JWKS: it must be a JSON object with the list keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, errors.New("has more than 100 keys")
	}
	var usable keys
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) == nil && isUsable(&key) {
			usable = append(usable, key)
		}
	}
	if len(usable) == 0 {
		return nil, errors.New("has no public key for RS256, PS256, ES256 or EdDSA signatures")
	}
	return usable, nil
}

// isUsable reports whether a key is a public one that fits one of the algorithms.
func isUsable(key *jose.JSONWebKey) bool {
	for _, algorithm := range algorithms {
		if fits(key, algorithm) {
			return true
		}
	}
	return false
}

// fits reports whether a key may check signatures of an algorithm. It goes by the type of the key: the token alone must
// not choose what its signature means.
func fits(key *jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != string(algorithm) {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		return (algorithm == jose.RS256 || algorithm == jose.PS256) && bits >= minRSA && bits <= maxRSA
	case *ecdsa.PublicKey:
		return algorithm == jose.ES256 && public.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == jose.EdDSA
	default:
		return false
	}
}

// verify checks the signature of a token and returns its payload. The cause of the error is CauseKeyUnknown when no key
// has the token's key id, and CauseSignature when one has it and did not make the signature.
func (ks keys) verify(token *jose.JSONWebSignature, algorithm jose.SignatureAlgorithm, id string) ([]byte, Cause) {
	cause, tries := CauseKeyUnknown, 0
	for i := range ks {
		key := &ks[i]
		// A token without a key id is tried with any key.
		if id != "" && key.KeyID != id || !fits(key, algorithm) {
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if payload, err := token.Verify(key.Key); err == nil {
			return payload, ""
		}
		// Without a key id the key can be one that is not here yet.
		if id != "" {
			cause = CauseSignature
		}
	}
	return nil, cause
}
