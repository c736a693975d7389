// Package freeport finds addresses for servers that tests and trials start, stop and start again.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Systems give outgoing connections ports from 32768 on (Linux) or from 49152 on. A server with such a port may find it
// taken by a connection when it starts again, even by one to its neighbour.
const first, last = 10000, 32767

var (
	mu    sync.Mutex
	given = make(map[string]bool) // What this process has handed out, since its servers may not have begun to listen.
)

// Address returns an address of loopback that nothing listens on, and that no outgoing connection takes.
func Address() (string, error) { return AddressOf("127.0.0.1") }

// AddressOf returns such an address of an IP address.
func AddressOf(ip string) (string, error) {
	mu.Lock()
	defer mu.Unlock()
	var refused error
	for range 1000 {
		address := net.JoinHostPort(ip, strconv.Itoa(first+rand.IntN(last-first+1)))
		if given[address] {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			refused = err
			continue
		}
		given[address] = true
		return address, listener.Close()
	}
	return "", errors.Join(errors.New("no free port"), refused)
}

// ForTest returns what Address does, and ends the test where there is none.
func ForTest(t interface {
	Helper()
	Fatal(arguments ...any)
}) string {
	t.Helper()
	address, err := Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
