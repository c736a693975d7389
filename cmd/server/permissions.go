package main

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// neededPermissions returns the application permissions that a token must have: those named, separated by commas, or
// without a name all that rpcs of the contract need without a user.
func neededPermissions(named string) []string {
	all := make(map[string]bool)
	for one := range strings.SplitSeq(named, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all[one] = true
		}
	}
	if len(all) > 0 {
		return slices.Sorted(maps.Keys(all))
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("m365.backupstorage.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				call, ok := proto.GetExtension(methods.Get(j).Options(), pb.E_GraphCall).(*pb.GraphCall)
				if ok && call.GetPermission() != "" && !call.GetDelegatedOnly() {
					all[call.GetPermission()] = true
				}
			}
		}
		return true
	})
	return slices.Sorted(maps.Keys(all))
}
