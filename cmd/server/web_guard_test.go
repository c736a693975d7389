package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestWebPortGuardsHostsAndOrigins(t *testing.T) {
	_, at := startWeb(t, "--web-hosts", "backup.example", "--web-origins", "https://portal.example,http://localhost:3000")
	host := strings.TrimPrefix(at, "http://")
	_, port, _ := strings.Cut(host, ":")
	json := []string{ofContentType, overJSON}
	for _, c := range []struct {
		name, method, path string
		headers            []string
		want               int
	}{
		{"an address", "POST", getBackup, json, 200},
		{"localhost", "POST", getBackup, append([]string{"Host", "localhost:" + port}, json...), 200},
		{"an address behind a proxy", "POST", getBackup, append([]string{"Host", "10.1.2.3"}, json...), 200},
		{"IPv6", "POST", getBackup, append([]string{"Host", "[::1]:8080"}, json...), 200},
		{"an allowed name", "POST", getBackup, append([]string{"Host", "Backup.Example:8443"}, json...), 200},
		{"a foreign name", "POST", getBackup, append([]string{"Host", "rebound.example:" + port}, json...), 421},
		{"a foreign name that begins like an address", "POST", getBackup, append([]string{"Host", "127.0.0.1.rebound.example"}, json...), 421},
		{"a name within localhost", "POST", getBackup, append([]string{"Host", "a.localhost"}, json...), 421},
		{"a foreign name for the page", "GET", "/about.json", []string{"Host", "rebound.example"}, 421},
		{"a foreign name for the emulator", "POST", "/_emulator/reset", []string{"Host", "rebound.example"}, 421},

		{"a page of the port", "POST", getBackup, append([]string{"Origin", at, "Sec-Fetch-Site", "same-origin"}, json...), 200},
		{"an allowed page", "POST", getBackup, append([]string{"Origin", "https://portal.example", "Sec-Fetch-Site", "cross-site"}, json...), 200},
		{"a foreign page", "POST", getBackup, append([]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, json...), 403},
		{"a foreign page in an old browser", "POST", getBackup, append([]string{"Origin", "https://evil.example"}, json...), 403},
		{"a page of another port", "POST", getBackup, append([]string{"Origin", "http://localhost:3001", "Sec-Fetch-Site", "same-site"}, json...), 403},
		{"an allowed host with another scheme", "POST", getBackup, append([]string{"Origin", "http://portal.example"}, json...), 403},
		{"a page of nowhere", "POST", getBackup, append([]string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, json...), 403},
		{"two origins", "POST", getBackup, append([]string{"Origin", at, "Origin", "https://evil.example"}, json...), 403},
		{"a form of a foreign page", "POST", getBackup, []string{"Origin", "https://evil.example", ofContentType, "text/plain"}, 403},
		{"a request without an origin that a browser calls foreign", "POST", getBackup, append([]string{"Sec-Fetch-Site", "cross-site"}, json...), 403},

		{"the emulator", "POST", "/_emulator/reset", nil, 200},
		{"the emulator from the page", "POST", "/_emulator/reset", []string{"Origin", at, "Sec-Fetch-Site", "same-origin"}, 200},
		{"the emulator from an allowed page", "POST", "/_emulator/reset", []string{"Origin", "https://portal.example"}, 403},
		{"the emulator from a foreign page", "POST", "/_emulator/reset", []string{"Origin", "https://evil.example"}, 403},
		{"the emulator as an image", "GET", "/_emulator/ledger", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"the emulator's tokens as a link", "GET", "/_emulator/clock", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"Graph's own path", "GET", "/v1.0/solutions/backupRestore", nil, 404},
		{"another path of the emulator", "GET", "/_emulator/../v1.0/solutions/backupRestore", nil, 307},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ask(t, c.method, at+c.path, map[bool]string{true: `{}`}[c.path == getBackup], c.headers...)
			if a.status != c.want {
				t.Errorf("status %d, want %d: %s", a.status, c.want, a.body)
			}
			if allowed := a.header.Get("Access-Control-Allow-Origin"); (allowed != "") != (c.name == "an allowed page") || allowed == "*" {
				t.Errorf("Access-Control-Allow-Origin %q", allowed)
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Set-Cookie": ""} {
				if got := a.header.Get(name); got != want && c.path != "/contract.binpb" {
					t.Errorf("%s: %q", name, got)
				}
			}
			if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("Content-Security-Policy: %s", policy)
			}
			if credentials := a.header.Get("Access-Control-Allow-Credentials"); credentials != "" {
				t.Error("a page of another origin may send credentials of the browser")
			}
		})
	}
	for _, c := range []struct {
		name, origin, method, headers string
		want                          int
		allowed                       bool
	}{
		{"of an allowed page", "https://portal.example", "POST", "authorization,content-type,x-tenant-id", 204, true},
		{"of a foreign page", "https://evil.example", "POST", "content-type", 403, false},
		{"with another method", "https://portal.example", "DELETE", "content-type", 204, false},
		{"with another header", "https://portal.example", "POST", "x-other", 204, false},
	} {
		t.Run("a preflight "+c.name, func(t *testing.T) {
			a := ask(t, http.MethodOptions, at+getBackup, "", "Origin", c.origin, "Access-Control-Request-Method", c.method, "Access-Control-Request-Headers", c.headers)
			if a.status != c.want || (a.header.Get("Access-Control-Allow-Origin") == c.origin) != c.allowed || (a.header.Get("Access-Control-Allow-Methods") != "") != c.allowed {
				t.Errorf("status %d, %v", a.status, a.header)
			}
		})
	}
	t.Run("a preflight of the emulator", func(t *testing.T) {
		if a := ask(t, http.MethodOptions, at+"/_emulator/reset", "", "Origin", "https://portal.example", "Access-Control-Request-Method", "POST"); a.status != 403 {
			t.Errorf("status %d, %v", a.status, a.header)
		}
	})
}

func TestWebFlags(t *testing.T) {
	folder := t.TempDir()
	rights := filepath.Join(folder, "rights.yaml")
	const graph = "--graph-endpoint=https://graph.microsoft.com/v1.0"
	credential := []string{graph, "--graph-credential", "managed-identity", "--graph-home-tenant", someGUID}
	certificates := []string{"--tls-certificate-file", "c", "--tls-key-file", "k", "--tls-client-ca-file", "a"}
	callers := []string{"--rights-file", rights, "--audit", "off"}
	with := func(all ...[]string) (flags []string) {
		for _, some := range all {
			flags = append(flags, some...)
		}
		return flags
	}
	for _, c := range []struct {
		name  string
		flags []string
		// web is the address, or a part of the error.
		web string
	}{
		{"a desk", nil, defaultWeb},
		{"a desk with callers", callers, defaultWeb},
		{"a socket on a desk", []string{"--listen", "unix:///tmp/x.sock"}, defaultWeb},
		{"switched off", []string{"--web-listen", ""}, ""},
		{"other machines reach gRPC", []string{"--listen", "0.0.0.0:1", "--graph-endpoint", "emulator"}, ""},
		{"Microsoft Graph", credential, ""},
		{"certificates are the identity", certificates, ""},
		{"certificates or tokens", with(certificates, callers), defaultWeb},
		{"Microsoft Graph on this machine", with(credential, []string{"--web-listen", "127.0.0.1:1"}), "127.0.0.1:1"},

		{"no address", []string{"--web-listen", "localhost"}, "--web-listen must be"},
		{"hosts without a port", []string{"--web-listen", "", "--web-hosts", "a.example"}, "no effect"},
		{"a host with a port", []string{"--web-hosts", "a.example:80"}, "--web-hosts must be"},
		{"all hosts", []string{"--web-hosts", "*"}, "--web-hosts must be"},
		{"all origins", []string{"--web-origins", "*"}, "--web-origins must be"},
		{"an origin with a path", []string{"--web-origins", "https://a.example/"}, "--web-origins must be"},
		{"an origin of no scheme", []string{"--web-origins", "a.example"}, "--web-origins must be"},
		{"a certificate without a key", []string{"--web-tls-certificate-file", "c"}, "must be set both"},
		{"no connections", []string{"--web-max-connections", "0"}, "--web-max-connections must be"},
		{"certificates are the identity, and tokens would be", with(certificates, []string{"--web-listen", "127.0.0.1:1"}), "--rights-file"},
		{"a socket for one user, and a port for all", with(credential, []string{"--listen", "unix:///tmp/x.sock", "--web-listen", "127.0.0.1:1"}), "--unix-mode"},
		{"other machines, and nobody said what", []string{"--web-listen", ":1"}, "--graph-endpoint emulator"},
		{"other machines reach Graph", with(credential, []string{"--web-listen", ":1"}), "nobody checks who calls"},
		{"the same, allowed", with(credential, []string{"--web-listen", ":1", "--insecure-listen"}), ":1"},
		{"tokens in clear text", with(credential, callers, []string{"--web-listen", ":1"}), "in clear text"},
		{"tokens over the TLS of gRPC", with(credential, callers, certificates, []string{"--web-listen", ":1"}), ":1"},
		{"tokens over TLS of its own", with(credential, callers, []string{"--web-listen", ":1", "--web-tls-certificate-file", "c", "--web-tls-key-file", "k"}), ":1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readConfig(c.flags, nil, io.Discard)
			if err != nil && (c.web == "" || !strings.Contains(err.Error(), c.web)) || err == nil && got.WebListen != c.web {
				t.Errorf("got %+v, %v; want %q", got, err, c.web)
			}
		})
	}
	for name, flags := range map[string][]string{"this machine": nil, "others": {"--web-listen", ":1", "--graph-endpoint", "emulator"}} {
		if c, err := readConfig(flags, nil, io.Discard); err != nil || c.showsEmulator() != (flags == nil) {
			t.Errorf("the emulator's own calls for %s: %v", name, err)
		}
	}
}
