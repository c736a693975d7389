// Package web has the page of the web port: its files as `npm run build` wrote them into dist.
package web

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Files returns the files of the page, with index.html at the root. Those in assets have a hash of their content in
// their names, so that a browser may keep them for ever. All of them are text; they stand uncompressed.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		// dist is a constant path.
		panic(err)
	}
	return files
}
