package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// openFile opens a file for appending, and makes it for its owner alone when there is none.
func openFile(path string, syncing bool) (*file, error) {
	// To open a pipe would wait for its reader.
	if info, err := os.Stat(path); err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDir) != 0 {
		return nil, errors.New("the audit file must be a file, and no folder, pipe or socket")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &file{File: f, syncing: syncing, cut: endsWithinLine(path)}, nil
}

// endsWithinLine reports whether a file does not end with a line feed: a process or the power went in the middle of a
// line. A file that cannot be read counts as whole.
func endsWithinLine(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	return last[0] != '\n'
}
