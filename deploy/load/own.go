package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"
)

// idHead begins the request ids of the calls; the number of the call in hexadecimal digits ends them.
const idHead = "10ad0000-0000-4000-8000-"

func idOf(number int) string { return fmt.Sprintf("%s%012x", idHead, number) }

// ownTimes are the parts of calls that are not Graph's, in milliseconds and sorted.
type ownTimes struct {
	// seen is what a client waited for, from handing the call to gRPC, less the time in Graph. The client's own processor
	// is in it.
	seen []float32
	// handled is the time between the interceptors' begin and end, less the time in Graph.
	handled []float32
}

// ownTimes joins what clients saw with the server's log, from an offset on.
func (d *desk) ownTimes(f *figures, offset int64) (*ownTimes, error) {
	log, err := os.Open(d.at("server.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if _, err := log.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	own, lines := new(ownTimes), bufio.NewScanner(log)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(`"msg":"call"`)) {
			continue
		}
		var line struct {
			RequestID               string
			Duration, GraphDuration time.Duration
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		digits, ok := bytes.CutPrefix([]byte(line.RequestID), []byte(idHead))
		number, err := strconv.ParseInt(string(digits), 16, 64)
		if n := int(number) - f.first; ok && err == nil && n >= 0 && n < len(f.inGRPC) {
			own.seen = append(own.seen, f.inGRPC[n]-milliseconds(line.GraphDuration))
			own.handled = append(own.handled, milliseconds(line.Duration-line.GraphDuration))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	// A line is missing only if the log had no room.
	if missing := len(f.inGRPC) - len(own.seen); missing > len(f.inGRPC)/100 {
		return nil, fmt.Errorf("%d of %d calls have no line in the log", missing, len(f.inGRPC))
	}
	slices.Sort(own.seen)
	slices.Sort(own.handled)
	return own, nil
}

func (o *ownTimes) String() string {
	four := func(sorted []float32) string {
		return fmt.Sprintf("%.1f / %.1f / %.1f / %.0f", quantile(sorted, 0.5), quantile(sorted, 0.99), quantile(sorted, 0.999), quantile(sorted, 1))
	}
	return fmt.Sprintf("without the time in Graph, p50 / p99 / p99.9 / slowest ms: %s for clients, of which %s in the server's handlers", four(o.seen), four(o.handled))
}
