package main

import (
	"bytes"
	"strings"
	"testing"
)

// A file that was cut still begins with good certificates. Each one that it loses locks clients out, or breaks the
// chain of the server.
func TestFilesOfCertificatesAreReadWhole(t *testing.T) {
	const canary = "canary"
	one, two := newCertificateAuthority(t, "one"), newCertificateAuthority(t, "two")
	server := one.server(t, 1)
	both := bytes.Join([][]byte{[]byte("# one\n"), one.pem, []byte("# two\n"), two.pem}, nil)
	broken := bytes.Replace(both, two.pem[40:60], []byte("!"+canary+"!"), 1)
	for _, test := range []struct {
		name string
		text []byte
		want bool
	}{
		{"two with comments", both, true},
		{"the second is cut", both[:len(both)-40], false},
		{"the second lacks its last line", bytes.TrimSuffix(both, []byte("-----END CERTIFICATE-----\n")), false},
		{"the second is broken", broken, false},
		{"the first is broken", bytes.Replace(both, one.pem[40:60], []byte(canary), 1), false},
		{"a key besides, as some programs want it", append(bytes.Clone(both), server.key...), true},
		{"nothing", nil, false},
		{"a text", []byte(canary), false},
	} {
		if _, err := parseCAs([][]byte{test.text}); (err == nil) != test.want {
			t.Errorf("client CAs, %s: %v", test.name, err)
		} else if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("client CAs, %s: the error has what stands in the file: %v", test.name, err)
		}
		// The same behind the certificate of a server, where it is the chain.
		chain := append(bytes.Clone(server.certificate), test.text...)
		if _, err := parsePair([][]byte{chain, server.key}); (err == nil) != (test.want || test.name == "nothing" || test.name == "a text") {
			t.Errorf("chain, %s: %v", test.name, err)
		} else if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("chain, %s: the error has what stands in the file: %v", test.name, err)
		}
	}
}
