// Package proto holds the contract, proto/m365/backupstorage/v1, and the tests that hold it against the reference
// tables. Its Go code is in gen.
//
// Beside it stands what follows from it. descriptors.binpb.gz, written by buf, is one file with all descriptors and
// their comments: the contract, google/rpc and google/protobuf. The server serves it by reflection, and tools read it
// when reflection is off.
//
// ./cmd/print-contract writes OPERATIONS.md, ERRORS.md, errors.json, docs/migrating.md, and
// service_config.json, the gRPC service config for clients. With it a runtime retries a method without side effects
// or an idempotent one on UNAVAILABLE and RESOURCE_EXHAUSTED, and no other method: runtimes make both codes
// themselves when a connection breaks, and nobody knows then whether a write was done. Between attempts a runtime
// waits as long as the trailer grpc-retry-pushback-ms says. clients/retry shows the results in six languages.
// service_config_replicas.json is the same for clients that connect to each replica: it balances, and asks for health.
//
// `go generate ./proto` writes gen again. It needs nothing but the Go module proxy: no schema registry, no protoc.
package proto

//go:generate go -C .. run ./cmd/print-google-protos .thirdparty
//go:generate go -C .. tool buf generate
//go:generate go -C .. tool buf build --as-file-descriptor-set -o proto/descriptors.binpb.gz
//go:generate go -C .. run ./cmd/print-contract proto docs
