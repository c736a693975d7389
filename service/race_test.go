//go:build race

package service_test

// slowed reports whether the race detector slows the tests: then times are not compared.
const slowed = true
