//go:build !unix || race

package service_test

import "testing"

// Elsewhere the benchmark's file has it.
func TestMain(m *testing.M) { checkLeaks(m) }
