package metrics

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
)

// method is a method of the contract.
type method struct {
	// full is gRPC's name of it, service and method are the values of the labels.
	full, service, method string
	// lasts says that it is a stream, a wait or a watch, whose client says how long it takes.
	lasts bool
}

// methods are the methods of the contract.
func methods() []method {
	var all []method
	protoregistry.GlobalFiles.RangeFilesByPackage("m365.backupstorage.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				call, _ := proto.GetExtension(m.Options(), pb.E_GraphCall).(*pb.GraphCall)
				all = append(all, method{
					full:    "/" + string(service.FullName()) + "/" + string(m.Name()),
					service: string(service.FullName()), method: string(m.Name()), lasts: call.GetOf() != "",
				})
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b method) int { return cmp.Compare(a.full, b.full) })
	return all
}

// reasons are the reasons of the contract, each with who has to act, in the words of service.CallInfo.
func reasons() map[string]string {
	all := make(map[string]string)
	values := pb.ErrorReason(0).Descriptor().Values()
	for i := range values.Len() {
		if spec, ok := proto.GetExtension(values.Get(i).Options(), pb.E_ErrorSpec).(*pb.ErrorSpec); ok && spec != nil {
			all[string(values.Get(i).Name())] = strings.ToLower(spec.GetFault().String())
		}
	}
	return all
}

// connectionCauses are the causes of attempts that got no response.
var connectionCauses = []graph.Cause{
	graph.CauseDNS, graph.CauseRefused, graph.CauseReset, graph.CauseTimeout, graph.CauseTLSUnknownAuthority, graph.CauseTLSExpired,
	graph.CauseTLSName, graph.CauseTLSOther, graph.CauseProxyAuthentication, graph.CauseProxyRefused, graph.CauseNoDescriptors, other,
}

// tokenCauses are the causes of a token that is missing.
var tokenCauses = []graph.Cause{
	graph.CauseApplicationCredential, graph.CauseApplicationUnknown, graph.CauseConsentMissing, graph.CauseTenantUnknown,
	graph.CauseUserAssertion, graph.CausePolicy, graph.CauseAuthorityUnavailable, graph.CauseWrongTenant, graph.CauseWrongAudience,
	graph.CauseDelegationUnsupported, graph.CauseOther,
}

// nationalCloud is a tenant in a cloud where the API does not exist. It has no cause.
const nationalCloud = "national-cloud"

// tokenFailures are the values of `why` of tokens that failed.
func tokenFailures() []string {
	all := []string{nationalCloud}
	for _, cause := range tokenCauses {
		all = append(all, string(cause))
	}
	return all
}

// tokenFailure says why a token failed, by its cause if that is one of tokenCauses.
func tokenFailure(err *graph.TokenError) string {
	switch {
	case err.Kind == graph.TokenCloud:
		return nationalCloud
	case slices.Contains(tokenCauses, err.Cause):
		return string(err.Cause)
	case err.Kind == graph.TokenUnavailable:
		// The cause of a connection that failed, or none.
		return string(graph.CauseAuthorityUnavailable)
	}
	return string(graph.CauseOther)
}
