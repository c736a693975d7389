package reload

import (
	"fmt"
	"io"
	"os"
)

// maxFile is how large a file may be, in bytes.
const maxFile = 1 << 20

func readFile(path string) ([]byte, error) {
	// A read of a pipe might never end.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return content, err
}
