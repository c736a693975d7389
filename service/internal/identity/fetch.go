package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	// maxDocument bounds a JWKS and an openid-configuration, in bytes.
	maxDocument = 256 << 10
	// maxHeaders bounds the headers of their responses, in bytes.
	maxHeaders = 16 << 10
	// maxRedirects is how many redirects are followed.
	maxRedirects = 3
)

// newTransport is the transport to an issuer. Fetches are rare: no connection is kept.
func newTransport(roots *x509.CertPool) http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaders,
	}
}

// source is where the keys of an issuer come from.
type source struct {
	issuer, keysURL string
	client          *http.Client
}

func newSource(i Issuer, transport http.RoundTripper) *source {
	return &source{issuer: i.Issuer, keysURL: i.KeysURL, client: &http.Client{Transport: transport, CheckRedirect: checkRedirect}}
}

// checkRedirect follows redirects on the same host only: the rights file names the hosts to trust.
func checkRedirect(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return errors.New("too many redirects")
	}
	if first := before[0].URL; next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return errors.New("a redirect to another host")
	}
	return nil
}

// fetch gets the keys, after the openid-configuration when only that says where they are.
func (s *source) fetch(ctx context.Context) (keys, error) {
	keysURL := s.keysURL
	if keysURL == "" {
		var err error
		if keysURL, err = s.discover(ctx); err != nil {
			return nil, fmt.Errorf("openid-configuration: %w", err)
		}
	}
	data, err := s.get(ctx, keysURL)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	fetched, err := parseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("keys: the response %w", err)
	}
	return fetched, nil
}

// discover returns the URL of the keys.
func (s *source) discover(ctx context.Context) (string, error) {
	data, err := s.get(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		KeysURL string `json:"jwks_uri"`
	}
	switch err := json.Unmarshal(data, &document); {
	case err != nil:
		return "", errors.New("the response is no JSON object")
	case document.Issuer != s.issuer:
		return "", errors.New("it names another issuer")
	case !isFetchable(document.KeysURL):
		return "", errors.New("its jwks_uri is no https URL")
	}
	return document.KeysURL, nil
}

func (s *source) get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxDocument {
		return nil, errors.New("the response has more than 256 KiB")
	}
	return data, nil
}
