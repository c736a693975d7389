package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// readCertificates reads all certificates of a file in PEM. Both crypto/tls and crypto/x509 leave out what they cannot
// read, so that a file that was cut would be taken, without its last certificates. Comments and other blocks, such as
// keys, are passed over. The errors have nothing of the file.
func readCertificates(content []byte) (all []*x509.Certificate, err error) {
	blocks := 0
	for rest := content; ; blocks++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read", len(all)+1)
		}
		all = append(all, certificate)
	}
	switch {
	case blocks != bytes.Count(content, []byte("-----BEGIN ")):
		return nil, errors.New("a block in PEM is cut or broken")
	case len(all) == 0:
		return nil, errors.New("no certificate in PEM")
	}
	return all, nil
}

// readAuthorities reads the certificates of authorities.
func readAuthorities(content []byte) (authorities, error) {
	all, err := readCertificates(content)
	if err != nil {
		return authorities{}, err
	}
	read := authorities{x509.NewCertPool(), all[0].NotAfter}
	for _, certificate := range all {
		read.pool.AddCert(certificate)
		if certificate.NotAfter.Before(read.expires) {
			read.expires = certificate.NotAfter
		}
	}
	return read, nil
}
