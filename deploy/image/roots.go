package main

import (
	"bytes"
	"encoding/pem"
	"errors"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rootsPEM returns the root certificates of Mozilla as the Go project publishes them; go.sum fixes their content. A
// root that is trusted only for some certificates is left out, since a PEM file cannot say so.
func rootsPEM() ([]byte, error) {
	var file bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&file, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	if file.Len() == 0 {
		return nil, errors.New("the list of root certificates is empty")
	}
	return file.Bytes(), nil
}
