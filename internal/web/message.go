package web

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

const (
	// envelopeBytes is the size of what stands before a message in all protocols but unary Connect: a byte of flags, and
	// the length.
	envelopeBytes = 5
	// messageTime is how long a call waits for its request message, as over gRPC.
	messageTime = time.Minute
	// decoded is the first byte of a message that was JSON and is not any more. It tells an empty message from none.
	decoded = 'd'
)

// message is the body of a request, read as its one request message. It comes out in the protocol of the client, but
// neither compressed nor as JSON: both are undone here, where a failure can still become a typed error.
type message struct {
	call    *call
	body    io.ReadCloser
	control *http.ResponseController

	// reading is held while the message is read.
	reading sync.Mutex
	out     *bytes.Reader
	err     error

	mu      sync.Mutex
	held    int64
	over    bool
	arrived bool
}

// Read implements io.Reader. gRPC reads after it has the headers of the call, so that strangers are refused before.
func (m *message) Read(p []byte) (int, error) {
	m.reading.Lock()
	defer m.reading.Unlock()
	if m.err != nil {
		return 0, m.err
	}
	if m.out == nil {
		out, err := m.read()
		if err != nil {
			m.err = err
			return 0, err
		}
		m.out = bytes.NewReader(out)
	}
	return m.out.Read(p)
}

// Close implements io.Closer.
func (m *message) Close() error { return m.body.Close() }

// begin gives the client its time.
func (m *message) begin() { _ = m.control.SetReadDeadline(time.Now().Add(messageTime)) }

// end lets go of what is counted. A message that is still read then is of no use any more.
func (m *message) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	m.call.port.requests.giveBack(m.call.client, m.held)
	m.held = 0
}

// there notes that the message is there: what follows has no deadline of ours.
func (m *message) there() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arrived = true
	if !m.over {
		_ = m.control.SetReadDeadline(time.Time{})
	}
}

// readEnded waits for the end of a read under way. net/http cancels a request while its body's read fails, so that the
// call can end before it is known why.
func (m *message) readEnded() {
	m.reading.Lock()
	defer m.reading.Unlock()
}

// hasArrived reports whether the message is there.
func (m *message) hasArrived() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.arrived
}

// hold counts bytes that are there.
func (m *message) hold(n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return http.ErrBodyReadAfterClose
	}
	if !m.call.port.requests.take(m.call.client, n) {
		return m.call.refuse(Refusal{Reason: pb.ErrorReason_SERVER_OVERLOADED})
	}
	m.held += n
	return nil
}

// read reads the whole message, and returns what Vanguard is to read.
func (m *message) read() ([]byte, error) {
	c, compressed := m.call, m.call.compressed
	limit := c.port.options.MaxMessage
	if c.enveloped {
		var envelope [envelopeBytes]byte
		if _, err := io.ReadFull(m.body, envelope[:]); err != nil {
			return nil, m.cut(err)
		}
		if envelope[0] > 1 {
			return nil, c.refuse(invalid("body", "one message with its envelope: a byte of flags, 0 or 1, and four of the length"))
		}
		compressed = compressed && envelope[0] == 1
		length := int64(binary.BigEndian.Uint32(envelope[1:]))
		if length > limit {
			return nil, m.tooLarge()
		}
		limit = length
	}
	content, err := m.all(limit)
	if err != nil {
		return nil, err
	}
	if c.enveloped && int64(len(content)) != limit {
		return nil, m.cut(io.ErrUnexpectedEOF)
	}
	m.there()
	if compressed {
		if content, err = m.unpacked(content); err != nil {
			return nil, err
		}
	}
	if c.json {
		if content, err = m.binary(content); err != nil {
			return nil, err
		}
	}
	if !c.enveloped {
		return content, nil
	}
	out := make([]byte, envelopeBytes, envelopeBytes+len(content))
	binary.BigEndian.PutUint32(out[1:], uint32(len(content)))
	return append(out, content...), nil
}

// all reads the rest of the body, which must not be more than limit.
func (m *message) all(limit int64) ([]byte, error) {
	var content bytes.Buffer
	chunk := make([]byte, 8<<10)
	for {
		n, err := m.body.Read(chunk)
		if int64(content.Len())+int64(n) > limit {
			if m.call.enveloped && limit < m.call.port.options.MaxMessage {
				return nil, m.call.refuse(invalid("body", "one message: no rpc takes several"))
			}
			return nil, m.tooLarge()
		}
		content.Write(chunk[:n])
		if content.Len() > smallBytes {
			// What was small until now is counted as well.
			more := int64(content.Len()) - m.heldNow()
			if err := m.hold(more); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) {
			return content.Bytes(), nil
		}
		if err != nil {
			return nil, m.cut(err)
		}
	}
}

func (m *message) heldNow() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

func (m *message) tooLarge() error {
	return m.call.refuse(invalid("body", fmt.Sprintf("a message of at most %d bytes", m.call.port.options.MaxMessage)))
}

// cut returns the error of a body that ended before the message did.
func (m *message) cut(err error) error {
	late, ok := errors.AsType[net.Error](err)
	switch {
	case ok && late.Timeout():
		return m.call.refuse(Refusal{Reason: pb.ErrorReason_DEADLINE_EXCEEDED})
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return m.call.refuse(invalid("body", "one message with its envelope: a byte of flags, four of the length, and the message"))
	}
	// The client has gone.
	return err
}

// unpacked returns what was compressed. It counts what comes out: a few bytes can become very many.
func (m *message) unpacked(content []byte) ([]byte, error) {
	if len(content) == 0 {
		return content, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, m.call.refuse(invalid("body", "compressed by gzip, as its headers say"))
	}
	limit := m.call.port.options.MaxMessage
	var out bytes.Buffer
	_, err = io.Copy(&out, io.LimitReader(reader, limit+1))
	switch {
	case int64(out.Len()) > limit:
		return nil, m.tooLarge()
	case err != nil:
		return nil, m.call.refuse(invalid("body", "compressed by gzip, as its headers say"))
	case out.Len() > smallBytes:
		if err := m.hold(int64(out.Len())); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// binary makes the binary form of a message in JSON. Empty JSON is a message without fields, for curl without a body.
func (m *message) binary(content []byte) ([]byte, error) {
	request := m.call.rpc.request.New().Interface()
	if len(bytes.TrimSpace(content)) > 0 {
		if err := (protojson.UnmarshalOptions{}).Unmarshal(content, request); err != nil {
			return nil, m.call.refuse(invalid("body", fmt.Sprintf("JSON of %s: %s", m.call.rpc.request.Descriptor().FullName(), reading(err))))
		}
	}
	out, err := proto.MarshalOptions{}.MarshalAppend([]byte{decoded}, request)
	if err != nil {
		return nil, m.call.refuse(invalid("body", fmt.Sprintf("JSON of %s with texts in UTF-8", m.call.rpc.request.Descriptor().FullName())))
	}
	return out, nil
}

// maxReading is how much of an error of JSON is shown, in bytes: it has the name or the value that is wrong.
const maxReading = 300

// reading is what protojson says, without its prefix, whose space is of one kind or the other by chance.
func reading(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	text = strings.TrimPrefix(text, "proto: ")
	return strings.ToValidUTF8(text[:min(len(text), maxReading)], "")
}
