package credential

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTwoReadAFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	reads, release := make(chan struct{}), make(chan struct{})
	k := &materialFile{path: path, parse: func(content []byte) (*material, error) {
		reads <- struct{}{}
		<-release
		return parseSecret(content)
	}}
	results := make(chan *material, 2)
	for range cap(results) {
		go func() {
			m, err := k.material()
			if err != nil {
				t.Error(err)
			}
			results <- m
		}()
	}
	// The second does not wait for the first.
	<-reads
	<-reads
	close(release)
	for range cap(results) {
		if m := <-results; m == nil || m.secret != "secret" {
			t.Errorf("got %+v", m)
		}
	}
}
