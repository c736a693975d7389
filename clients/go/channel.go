package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// credentialOptions returns the credentials that the variables CLIENT_… name. ../README.md explains them. Without
// CLIENT_CA_FILE there is no TLS, and no caller.
func credentialOptions() ([]grpc.DialOption, error) {
	ca, certificate, key := os.Getenv("CLIENT_CA_FILE"), os.Getenv("CLIENT_CERTIFICATE_FILE"), os.Getenv("CLIENT_KEY_FILE")
	token := os.Getenv("CLIENT_TOKEN_FILE")
	if ca == "" {
		if certificate+key+token != "" {
			return nil, errors.New("a certificate or a token needs CLIENT_CA_FILE")
		}
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, nil
	}
	if (certificate == "") != (key == "") {
		return nil, errors.New("CLIENT_CERTIFICATE_FILE and CLIENT_KEY_FILE need each other")
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", ca)
	}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(tokenFile(token)))
	}
	return options, nil
}

// tokenFile is the path of a file with a token. Each call reads it, because tokens expire and something else renews
// them.
type tokenFile string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (f tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := os.ReadFile(string(f))
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(token))}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: who reads a token can use it.
func (tokenFile) RequireTransportSecurity() bool { return true }
