package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// unixScheme begins a --listen that is a socket of this machine.
const unixScheme = "unix://"

// unixPath returns the path of the socket of --listen.
func (c *config) unixPath() (path string, ok bool) { return strings.CutPrefix(c.Listen, unixScheme) }

// checkAddresses refuses addresses that cannot be listened on. It prints none: what cannot be read can be anything.
func (c *config) checkAddresses() error {
	mode, err := strconv.ParseUint(c.UnixMode, 8, 32)
	if err != nil || mode > 0o777 || mode&0o600 != 0o600 {
		return errors.New("--unix-mode must be an octal mode from 0600 to 0777 with which the server itself can use the socket")
	}
	c.unixMode = os.FileMode(mode)
	path, isUnix := c.unixPath()
	switch {
	case isUnix && !strings.HasPrefix(path, "/"):
		return errors.New("--listen unix:// must have the path of a socket that begins with /, such as unix:///run/backupstorage.sock")
	case !isUnix && c.UnixMode != "0600":
		return errors.New("--unix-mode works only with --listen unix:///path")
	case !isUnix && !isAddress(c.Listen):
		return errors.New("--listen must be an address with a port, such as 127.0.0.1:50051, or unix:///path")
	case !isAddress(c.EmulatorListen):
		return errors.New("--emulator-listen must be an address with a port, such as 127.0.0.1:8080")
	}
	return nil
}

// checkReach refuses a server that gives other machines more than was said. --admin-listen needs no other flag: what
// its pages show to other machines has neither a tenant nor a caller (internal/admin).
func (c *config) checkReach() error {
	if !isLoopback(c.EmulatorListen) && !c.InsecureListen {
		return fmt.Errorf("--emulator-listen %s can be reached from other machines, and the emulator checks nobody: add --insecure-listen to allow it", c.EmulatorListen)
	}
	_, isUnix := c.unixPath()
	if isUnix && c.unixMode&0o007 != 0 && c.GraphEndpoint != onEmulator && !c.identities() && !c.InsecureListen {
		return errors.New("--unix-mode lets everybody on this machine use the socket, and nobody checks who calls: say who may call by --rights-file, or add --insecure-listen to allow it")
	}
	if isUnix || isLoopback(c.Listen) {
		return nil
	}
	if c.sources["graph-endpoint"] == "" {
		return fmt.Errorf("--listen %s can be reached from other machines: say what it serves, by --graph-endpoint emulator or --graph-endpoint https://%s/v1.0", c.Listen, publicGraph)
	}
	if c.GraphEndpoint != onEmulator && !c.identities() && !c.InsecureListen {
		return fmt.Errorf("--listen %s can be reached from other machines, and nobody checks who calls: say who may call by --rights-file, require client certificates by --tls-client-ca-file, or add --insecure-listen to allow it", c.Listen)
	}
	if c.RightsFile != "" && !c.TLS.on() && !c.InsecureListen {
		return fmt.Errorf("--listen %s can be reached from other machines, and the callers' tokens would cross the network in clear text: set --tls-certificate-file, or add --insecure-listen to allow it", c.Listen)
	}
	return nil
}

// identities reports whether the server knows who calls, so that a stranger gets nothing from Graph: by a rights file,
// or because every client needs a certificate of the client CA.
func (c *config) identities() bool {
	return c.RightsFile != "" || c.TLS.ClientAuth == clientAuthRequired
}

// isAddress reports whether a text is a host and a port; port 0 stands for a free one.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// isLoopback reports whether only this machine can reach an address. The address can have a port or not.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// checkWebReach refuses a web port that gives somebody more than gRPC gives.
func (c *config) checkWebReach() error {
	_, isUnix := c.unixPath()
	asks := c.GraphEndpoint != onEmulator && c.RightsFile == "" && !c.InsecureListen
	switch {
	case c.identities() && c.RightsFile == "":
		return fmt.Errorf("--web-listen asks for bearer tokens alone, and nobody would check who calls there: say who may call by --rights-file, or remove --web-listen")
	case asks && isUnix && c.unixMode&0o007 == 0:
		return errors.New("--web-listen lets everybody on this machine call, which --unix-mode does not, and nobody checks who calls: say who may call by --rights-file, or add --insecure-listen to allow it")
	case isLoopback(c.WebListen):
		return nil
	case c.sources["graph-endpoint"] == "":
		return fmt.Errorf("--web-listen %s can be reached from other machines: say what it serves, by --graph-endpoint emulator or --graph-endpoint https://%s/v1.0", c.WebListen, publicGraph)
	case asks:
		return fmt.Errorf("--web-listen %s can be reached from other machines, and nobody checks who calls: say who may call by --rights-file, or add --insecure-listen to allow it", c.WebListen)
	}
	if certificate, _ := c.webFiles(); c.RightsFile != "" && certificate == "" && !c.InsecureListen {
		return fmt.Errorf("--web-listen %s can be reached from other machines, and the callers' tokens would cross the network in clear text: set --web-tls-certificate-file or --tls-certificate-file, or add --insecure-listen to allow it", c.WebListen)
	}
	return nil
}

// showsEmulator reports whether the web port serves the control API of the emulator, which checks nobody.
func (c *config) showsEmulator() bool {
	return c.GraphEndpoint == onEmulator && (isLoopback(c.WebListen) || c.InsecureListen)
}
