package main

import (
	"archive/tar"
	"bytes"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is whom the server runs as: the number that images without a shell use for a user without rights. It is a
// number, or Kubernetes could not tell that it is not root.
const user = "65532"

// assemble puts the image together: root certificates, which change seldom, in a layer below the server.
func assemble(server []byte, o options) (v1.Image, error) {
	roots, err := rootsPEM()
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range [][]file{
		{
			{name: "etc/", mode: 0o755},
			{name: "etc/ssl/", mode: 0o755},
			{name: "etc/ssl/certs/", mode: 0o755},
			// The first place where Go looks on Linux.
			{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o444, content: roots},
		},
		{{name: "server", mode: 0o555, content: server}},
	} {
		archive, err := pack(files, o.created)
		if err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, err
		}
	}
	labels := map[string]string{
		"org.opencontainers.image.title":       "backupstorage",
		"org.opencontainers.image.description": "Microsoft Graph's Backup Storage API over gRPC",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     o.version,
	}
	if o.revision != "" {
		labels["org.opencontainers.image.revision"] = o.revision
	}
	return mutate.ConfigFile(image, &v1.ConfigFile{
		Architecture: o.arch, OS: "linux", Created: v1.Time{Time: o.created},
		Config: v1.Config{
			User: user, WorkingDir: "/", Entrypoint: []string{"/server"}, Labels: labels,
			ExposedPorts: map[string]struct{}{"50051/tcp": {}, "50052/tcp": {}},
			StopSignal:   "SIGTERM",
		},
		RootFS: rootFS(image),
	})
}

// rootFS is what the image has below its configuration, which ConfigFile would replace.
func rootFS(image v1.Image) v1.RootFS {
	// An image in memory has its configuration at hand.
	config, err := image.ConfigFile()
	if err != nil {
		panic(err)
	}
	return config.RootFS
}

// file is one of an image; a folder has a name that ends with a slash.
type file struct {
	name    string
	mode    int64
	content []byte
}

// pack writes files that belong to root, so that the server cannot change them.
func pack(files []file, created time.Time) ([]byte, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: created, Format: tar.FormatPAX}
		if f.name[len(f.name)-1] == '/' {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return archive.Bytes(), err
}
