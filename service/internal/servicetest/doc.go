// Package servicetest is the harness of the tests of package service: it starts the services on an upstream, calls them
// over real connections on loopback, and reads what a client sees. Only tests import it.
package servicetest
