package freeport

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Each address can be listened on, is given once, and lies below the ports that this system gives to connections.
func TestAddress(t *testing.T) {
	lowest := 32768
	if content, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if lowest, err = strconv.Atoi(strings.Fields(string(content))[0]); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool)
	for range 200 {
		address := ForTest(t)
		if seen[address] {
			t.Fatalf("%s is given twice", address)
		}
		seen[address] = true
		_, text, _ := net.SplitHostPort(address)
		if port, err := strconv.Atoi(text); err != nil || port < first || port >= lowest {
			t.Fatalf("%s: ports of connections begin at %d", address, lowest)
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
	}
	if address, err := AddressOf("192.0.2.1"); err == nil {
		t.Errorf("an address that this machine does not have: %s", address)
	}
}
