module github.com/m365backup/backupstorage/bench

go 1.26.7

replace (
	github.com/m365backup/backupstorage => ..
	github.com/m365backup/backupstorage/cmd/protoc-gen-graph/bench => ../cmd/protoc-gen-graph/bench
)

require (
	github.com/m365backup/backupstorage v0.0.0-00010101000000-000000000000
	github.com/m365backup/backupstorage/cmd/protoc-gen-graph/bench v0.0.0-00010101000000-000000000000
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/go-faster/errors v0.7.1 // indirect
	github.com/go-faster/jx v1.2.0 // indirect
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/redis/go-redis/v9 v9.23.0 // indirect
	github.com/segmentio/asm v1.2.1 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261104224025-d1e00e9f33ab // indirect
)
