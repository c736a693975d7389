package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/m365backup/backupstorage/internal/reload"
)

// pageTokenKeySize is the size of a key for page tokens, in bytes.
const pageTokenKeySize = 32

// readKeys reads --page-token-key.
func (c *config) readKeys() (err error) {
	if c.PageTokenKey != "" && c.PageTokenKeyFile != "" {
		return errors.New("--page-token-key and --page-token-key-file cannot be set both")
	}
	if c.PageTokenKey == "" {
		return nil
	}
	if c.pageTokenKeys, err = parseKeys(c.PageTokenKey); err != nil {
		return fmt.Errorf("--page-token-key: %w", err)
	}
	return nil
}

// openKeys returns the keys for page tokens, empty for a random one. use gets each later set of them.
func (c *config) openKeys(files *reload.Reader, use func(keys [][]byte) error) ([][]byte, error) {
	if c.PageTokenKeyFile == "" {
		return c.pageTokenKeys, nil
	}
	first := true
	keys, err := reload.Open(files, "page-token-keys", func(contents [][]byte) ([][]byte, error) {
		keys, err := parseKeys(strings.Join(strings.Fields(string(contents[0])), ","))
		if err == nil && !first {
			err = use(keys)
		}
		first = false
		return keys, err
	}, c.PageTokenKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--page-token-key-file: %w", err)
	}
	return keys.Get(), nil
}

// parseKeys reads keys that are separated by commas.
func parseKeys(text string) (keys [][]byte, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" && len(keys) > 0 {
			continue // A comma at the end of a line.
		}
		key, err := base64.StdEncoding.DecodeString(part)
		if err != nil || len(key) != pageTokenKeySize {
			return nil, fmt.Errorf("key %d is not %d bytes in base64", len(keys)+1, pageTokenKeySize)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
