//go:build !unix || race

package service_test

import "testing"

// Elsewhere bench_test.go has it.
func TestMain(m *testing.M) { checkLeaks(m) }
