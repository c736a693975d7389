// Command print-google-protos writes the google/rpc protos that the contract imports into a folder, as text.
//
// It prints them from the descriptors in google.golang.org/genproto, at the version in go.mod. So the repository has no
// copy that could become outdated, and generation needs no schema registry. Git ignores the folder, and buf.yaml lists
// it as a module.
//
// Usage: go run ./cmd/print-google-protos .thirdparty
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: print-google-protos FOLDER")
		os.Exit(2)
	}
	if err := printProtos(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "print-google-protos:", err)
		os.Exit(1)
	}
}

func printProtos(dir string) error {
	files := []protoreflect.FileDescriptor{
		code.File_google_rpc_code_proto,
		errdetails.File_google_rpc_error_details_proto,
		status.File_google_rpc_status_proto,
	}
	var printer protoprint.Printer
	for _, file := range files {
		path := filepath.Join(dir, filepath.FromSlash(file.Path()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := printer.PrintProtoFile(file, out); err != nil {
			return fmt.Errorf("%s: %w", file.Path(), err)
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
	return nil
}
