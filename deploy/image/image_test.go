package main

import (
	"archive/tar"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

var fixed = options{version: "v1.2.3", revision: "abc", arch: "amd64", created: time.Unix(1_700_000_000, 0).UTC()}

func TestSameInputGivesSameDigest(t *testing.T) {
	t.Parallel()
	digest := func(server string, o options) string {
		image, err := assemble([]byte(server), o)
		if err != nil {
			t.Fatal(err)
		}
		d, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	first := digest("server", fixed)
	if again := digest("server", fixed); again != first {
		t.Errorf("two images of the same input have the digests %s and %s", first, again)
	}
	later := fixed
	later.created = later.created.Add(time.Second)
	for name, other := range map[string]string{"another server": digest("Server", fixed), "another time": digest("server", later)} {
		if other == first {
			t.Errorf("%s gives the same digest", name)
		}
	}
}

func TestImageHoldsServerAndRoots(t *testing.T) {
	t.Parallel()
	image, err := assemble([]byte("server"), fixed)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.User != "65532" || !slices.Equal(c.Entrypoint, []string{"/server"}) || c.StopSignal != "SIGTERM" {
		t.Errorf("user %q, entry point %q, stop signal %q", c.User, c.Entrypoint, c.StopSignal)
	}
	for label, want := range map[string]string{"version": "v1.2.3", "revision": "abc", "licenses": "Apache-2.0"} {
		if got := config.Config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	if !config.Created.Equal(fixed.created) {
		t.Errorf("created %v, want %v", config.Created, fixed.created)
	}
	files := map[string]int64{}
	for archive := tar.NewReader(mutate.Extract(image)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			files[header.Name] = header.Mode
		}
		if header.Uid != 0 || header.Gid != 0 || header.Mode&0o022 != 0 || !header.ModTime.Equal(fixed.created) {
			t.Errorf("%s: owner %d:%d, mode %o, time %v", header.Name, header.Uid, header.Gid, header.Mode, header.ModTime)
		}
	}
	want := map[string]int64{"server": 0o555, "etc/ssl/certs/ca-certificates.crt": 0o444}
	if !maps.Equal(files, want) {
		t.Errorf("files %v, want %v", files, want)
	}
}

// The certificates of graph.microsoft.com and login.microsoftonline.com come from these authorities, as Microsoft's
// page about Azure's certificate authorities says.
func TestRootsOfMicrosoftAreThere(t *testing.T) {
	t.Parallel()
	file, err := rootsPEM()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names[certificate.Subject.CommonName] = true
	}
	for _, name := range []string{
		"DigiCert Global Root G2", "DigiCert Global Root G3",
		"Microsoft RSA Root Certificate Authority 2017", "Microsoft ECC Root Certificate Authority 2017",
	} {
		if !names[name] {
			t.Errorf("there is no root %s among %d", name, len(names))
		}
	}
}

func TestSourceDate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"": 0, "1700000000": 1_700_000_000} {
		if got, err := sourceDate(text); err != nil || got.Unix() != want {
			t.Errorf("%q: %v, %v; want second %d", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "yesterday", "1.5"} {
		if got, err := sourceDate(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}
