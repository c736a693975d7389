// Package proto holds the contract, proto/m365/backupstorage/v1, and the tests that compare it with the reference
// tables. The generated Go code is in gen.
//
// ./cmd/print-contract writes four files from the contract: OPERATIONS.md, ERRORS.md, errors.json, and
// service_config.json, the gRPC service config for clients. With this config, a client's runtime retries UNAVAILABLE
// and RESOURCE_EXHAUSTED for methods without side effects and for idempotent methods. It retries no other method:
// runtimes make both codes themselves, for example when a connection is cut, and then nobody knows whether a write was
// carried out. Between attempts the runtime waits as long as the trailer grpc-retry-pushback-ms says. clients/retry
// shows the result in four languages.
//
// `go generate ./proto` writes gen and these files. It needs only the Go module proxy: no schema registry, no protoc.
package proto

//go:generate go -C .. run ./cmd/print-google-protos .thirdparty
//go:generate go -C .. tool buf generate
//go:generate go -C .. run ./cmd/print-contract proto
