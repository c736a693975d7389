// Package proto holds the contract, proto/m365/backupstorage/v1, and the tests that hold it against the reference
// tables. Its Go code is in gen.
//
// `go generate ./proto` writes gen again. It needs nothing but the Go module proxy: no schema registry, no protoc.
package proto

//go:generate go -C .. run ./cmd/print-google-protos .thirdparty
//go:generate go -C .. tool buf generate
//go:generate go -C .. run ./cmd/print-contract proto
