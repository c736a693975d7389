// Command image writes the server as an OCI image layout, without docker.
//
// Usage, at the root of the repository:
//
//	go run ./deploy/image -o DIR [-version v1.2.3] [-revision COMMIT] [-arch arm64]
//
// DIR then is a layout with one image: a static server that runs as user 65532, root certificates, and nothing else.
// DIR.cdx.json, beside it, lists the modules of the server (CycloneDX). The digest of the image is printed.
//
// The same source and the same flags give the same digest on any machine: nothing depends on the checkout, on the time
// (SOURCE_DATE_EPOCH, in seconds, or 1970), or on the machine's own root certificates.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// options say what is built.
type options struct {
	version  string // Of the product, as --version prints it.
	revision string // Of the source; empty when nobody says it.
	arch     string
	created  time.Time
}

func main() {
	var o options
	folder := flag.String("o", "", "folder of the layout; it must not exist")
	flag.StringVar(&o.version, "version", "devel", "version of the product")
	flag.StringVar(&o.revision, "revision", "", "commit of the source, for the label")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture of the machines that run the image, as Go spells it")
	roots := flag.Bool("roots", false, "print the root certificates of the image, and write nothing")
	flag.Parse()
	err := func() (err error) {
		if *roots {
			file, err := rootsPEM()
			if err == nil {
				_, err = os.Stdout.Write(file)
			}
			return err
		}
		if *folder == "" || flag.NArg() > 0 {
			return fmt.Errorf("usage: go run ./deploy/image -o DIR; -help lists the flags")
		}
		if o.created, err = sourceDate(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
			return err
		}
		return write(*folder, o)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// sourceDate is the only time that an image contains.
func sourceDate(text string) (time.Time, error) {
	if text == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH must be a number of seconds since 1970")
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// write builds the server and writes the layout, and the list of modules beside it.
func write(folder string, o options) error {
	if _, err := os.Stat(folder); err == nil {
		return fmt.Errorf("%s exists already", folder)
	}
	scratch, err := os.MkdirTemp("", "image")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	server := filepath.Join(scratch, "server")
	if err := build(server, o); err != nil {
		return err
	}
	binary, err := os.ReadFile(server)
	if err != nil {
		return err
	}
	image, err := assemble(binary, o)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	// The name under which umoci, skopeo and the like find the image in the layout.
	if err := path.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": o.version})); err != nil {
		return err
	}
	if err := listModules(server, folder+".cdx.json", o); err != nil {
		return err
	}
	fmt.Println(digest)
	return nil
}
