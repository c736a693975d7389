package reload

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxReadTime is how long a read of the files is awaited. Then the last contents are used: a disk that hangs must not
	// block those who need them.
	maxReadTime = time.Second
	// maxTries is how often files are read that change meanwhile.
	maxTries = 5
	// maxPaths is how many files a set can have.
	maxPaths = 100
)

// errChanging is the error for files that do not stand still.
// errNotRead stands for the contents of a file that is read next.
var errNotRead = errors.New("the file was not read yet")

// errChanging is the error for files that do not stand still, and for too many.
var errChanging = errors.New("the files change while they are read")

// Set is one or more files that are read together, parsed to a T. It is safe for concurrent use.
type Set[T any] struct {
	what string
	// roots are the files that nothing names. paths are all files: only the read that is under way uses them, and sets
	// those of the next one.
	roots, paths []string
	parse        func(paths []string, contents [][]byte) (parsed[T], error)
	log          report

	// last is the last state that was good.
	last     atomic.Pointer[state[T]]
	failures atomic.Uint64

	mu sync.Mutex
	// under is the read that is under way, nil when none is. All callers share it: each read of a disk that hangs takes a
	// thread of the process.
	under *reading[T]
	// trouble is the error of the last read, empty when it was good.
	trouble string
}

// parsed is what a parser made of files.
type parsed[T any] struct {
	value T
	// paths are the files that belong to the set from now on. incomplete is set when some of them were not there yet: then
	// they are read, and the parser begins anew.
	paths      []string
	incomplete bool
}

// state is what was read. It never changes.
type state[T any] struct {
	version [sha256.Size]byte
	value   T
}

// reading is one read of the files. state and err are set before done is closed.
type reading[T any] struct {
	start time.Time
	done  chan struct{}
	state *state[T]
	err   error
}

// Open reads a set of files for the first time, and has the reader look at them from then on; a nil reader leaves that
// to Read. what names the set in the log and in counts, such as "tls". parse gets the contents in the order of the
// paths. Its error goes to the log: it must contain nothing of them.
//
// The error is that of the first read: then there is no set.
func Open[T any](reader *Reader, what string, parse func(contents [][]byte) (T, error), paths ...string) (*Set[T], error) {
	return open(reader, newSet(what, parse, paths...))
}

func newSet[T any](what string, parse func(contents [][]byte) (T, error), paths ...string) *Set[T] {
	return &Set[T]{what: what, roots: paths, paths: paths, parse: func(paths []string, contents [][]byte) (parsed[T], error) {
		value, err := parse(contents)
		return parsed[T]{value: value, paths: paths}, err
	}}
}

// OpenTree is Open for a file that names other files, which belong to the set as well. parse gets its contents, and
// read returns those of a file that it names; a relative name begins at the folder of the first file.
func OpenTree[T any](reader *Reader, what string, parse func(content []byte, read func(name string) ([]byte, error)) (T, error), root string) (*Set[T], error) {
	return open(reader, &Set[T]{what: what, roots: []string{root}, paths: []string{root}, parse: func(paths []string, contents [][]byte) (parsed[T], error) {
		result := parsed[T]{paths: []string{root}}
		value, err := parse(contents[0], func(name string) ([]byte, error) {
			if !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(root), name)
			}
			if !slices.Contains(result.paths, name) {
				result.paths = append(result.paths, name)
			}
			if i := slices.Index(paths, name); i >= 0 {
				return contents[i], nil
			}
			result.incomplete = true
			return nil, errNotRead
		})
		result.value = value
		return result, err
	}})
}

func open[T any](reader *Reader, s *Set[T]) (*Set[T], error) {
	if _, err := s.Read(); err != nil {
		return nil, err
	}
	if reader != nil {
		s.log = reader.report
		reader.add(s)
	}
	return s, nil
}

// Get returns the last value that was good, without a look at the files.
func (s *Set[T]) Get() T { return s.last.Load().value }

// Read looks at the files and returns their value, the last good one when they cannot be used or read within a second.
// An error is only possible in Open, before there is a value.
func (s *Set[T]) Read() (T, error) {
	last := s.last.Load()
	r := s.reading()
	if last == nil {
		<-r.done
		if r.err != nil {
			var none T
			return none, r.err
		}
		return r.state.value, nil
	}
	timer := time.NewTimer(time.Until(r.start.Add(maxReadTime)))
	defer timer.Stop()
	select {
	case <-r.done:
		if r.err == nil {
			return r.state.value, nil
		}
	case <-timer.C:
	}
	return last.value, nil
}

// Failures returns how many reads found files that cannot be used.
func (s *Set[T]) Failures() uint64 { return s.failures.Load() }

func (s *Set[T]) name() string { return s.what }

func (s *Set[T]) look() { _, _ = s.Read() }

// reading returns the read that is under way, and starts one if there is none. No lock is held while files are read.
func (s *Set[T]) reading() *reading[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under == nil {
		r := &reading[T]{start: time.Now(), done: make(chan struct{})}
		s.under = r
		go func() {
			last := s.last.Load()
			r.state, r.err = s.read(last)
			if r.err == nil {
				s.last.Store(r.state)
			}
			s.mu.Lock()
			s.note(last, r)
			s.under = nil
			s.mu.Unlock()
			close(r.done)
		}()
	}
	return s.under
}

// read returns the state of the files, last itself if they have not changed. A panic of a parser becomes an error: it
// must not end the process.
func (s *Set[T]) read(last *state[T]) (_ *state[T], err error) {
	defer func() {
		if value := recover(); value != nil {
			// The value may hold anything.
			err = fmt.Errorf("panic of type %T while a file was read", value)
		}
	}()
	_, version, err := s.contents()
	if err != nil && len(s.paths) > len(s.roots) {
		// The root may have changed, and no longer name the file.
		s.paths = s.roots
		_, version, err = s.contents()
	}
	if err != nil {
		return nil, err
	}
	if last != nil && last.version == version {
		return last, nil
	}
	// What is new is read until two reads are the same. Otherwise the certificate could be of one folder of Kubernetes,
	// and the key of the next.
	for tries, root := 0, s.paths[0]; tries < maxTries && len(s.paths) <= maxPaths; {
		contents, again, err := s.contents()
		if err != nil {
			s.paths = s.roots
			return nil, fmt.Errorf("%s: %w", root, err)
		}
		if again != version {
			version = again
			tries++
			continue
		}
		made, err := s.parse(s.paths, contents)
		if made.incomplete {
			// One file more, so this ends.
			s.paths = union(s.paths, made.paths)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", root, err)
		}
		if !slices.Equal(s.paths, made.paths) {
			// Files that do not belong to it any more. Its version is that of the others.
			s.paths = made.paths
			if _, version, err = s.contents(); err != nil {
				return nil, err
			}
		}
		return &state[T]{version: version, value: made.value}, nil
	}
	return nil, fmt.Errorf("%s: %w", s.paths[0], errChanging)
}

// union returns a, and what b has besides.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, one := range b {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// contents reads all files once.
func (s *Set[T]) contents() (all [][]byte, version [sha256.Size]byte, err error) {
	hash := sha256.New()
	for _, path := range s.paths {
		content, err := readFile(path)
		if err != nil {
			return nil, version, err
		}
		all = append(all, content)
		// The length keeps the end of one file and the beginning of the next apart.
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(content))))
		hash.Write(content)
	}
	return all, [sha256.Size]byte(hash.Sum(nil)), nil
}

// note counts and logs what a read found. The lock is held.
func (s *Set[T]) note(last *state[T], r *reading[T]) {
	if last == nil {
		return // Open returns the error.
	}
	if r.err != nil {
		s.failures.Add(1)
		if text := r.err.Error(); text != s.trouble {
			s.trouble = text
			s.log.failed(s.what, r.err)
		}
		return
	}
	if s.trouble != "" || r.state != last {
		s.trouble = ""
		s.log.good(s.what)
	}
}
