package graphjson

// What the runtime needs of the generated package stands here in its place, so that the runtime can be built and tested
// on its own. This file is not copied.
type (
	// Workload stands in for the enum of the contract.
	Workload int32
	// FailedResource stands in for the message of the contract.
	FailedResource struct{}
	// slabs stands in for the slabs of the messages of the contract.
	slabs struct{}
)

// graphWorkload stands in for what knows the type prefixes of the contract.
func graphWorkload(string) Workload { return 0 }
