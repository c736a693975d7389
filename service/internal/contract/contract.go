// Package contract is the contract as the server reads it at start: the operations and the error reasons, with all that
// differs between two of them.
//
// It reads the options of the generated descriptors and guesses nothing. What the options leave open or contradict is
// an error of Read, so that a server never runs on half a contract.
package contract

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	// The generated package registers the descriptors.
	_ "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// Contract is all operations and reasons. It is immutable and safe for concurrent use.
type Contract struct {
	// Reasons are the error reasons.
	Reasons *Reasons
	// Services are the full names of the services.
	Services []string

	byRequest map[protoreflect.FullName]*Operation
	byMethod  map[string]*Operation
	byName    map[string]*Operation
}

// Read reads the contract. The error names every rpc and reason whose options contradict themselves.
func Read() (*Contract, error) {
	reasons, err := readReasons()
	if err != nil {
		return nil, err
	}
	c := &Contract{
		Reasons:   reasons,
		byRequest: make(map[protoreflect.FullName]*Operation),
		byMethod:  make(map[string]*Operation),
		byName:    make(map[string]*Operation),
	}
	var problems error
	var derived []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("m365.backupstorage.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			without, err := c.addService(file.Services().Get(i))
			derived, problems = append(derived, without...), errors.Join(problems, err)
		}
		return true
	})
	for _, method := range derived {
		if err := c.addDerived(method); err != nil {
			problems = errors.Join(problems, fmt.Errorf("%s: %w", method.FullName(), err))
		}
	}
	for _, op := range c.byName {
		if err := c.link(op); err != nil {
			problems = errors.Join(problems, fmt.Errorf("%s: %w", op.Name, err))
		}
	}
	if problems != nil {
		return nil, problems
	}
	return c, nil
}

// OfMethod returns the operation of a gRPC method such as `/m365.backupstorage.v1.ServiceAppService/ListServiceApps`,
// nil for any other method.
func (c *Contract) OfMethod(fullMethod string) *Operation { return c.byMethod[fullMethod] }

// OfRequest returns the operation of a request message, nil for any other message.
func (c *Contract) OfRequest(request protoreflect.FullName) *Operation { return c.byRequest[request] }

// Operations returns all operations, those of streams, waits and watches too, in no order.
func (c *Contract) Operations() []*Operation {
	all := make([]*Operation, 0, len(c.byName))
	for _, op := range c.byName {
		all = append(all, op)
	}
	return all
}

// addService adds the operations of a service. It returns the methods that have none of their own.
func (c *Contract) addService(service protoreflect.ServiceDescriptor) (derived []protoreflect.MethodDescriptor, problems error) {
	c.Services = append(c.Services, string(service.FullName()))
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		spec := specOf(method)
		if spec.GetOf() != "" {
			derived = append(derived, method)
			continue
		}
		op, err := newOperation(method, spec, c.Reasons)
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("%s: %w", method.FullName(), err))
			continue
		}
		c.byRequest[op.Request.FullName()] = op
		c.byMethod[op.FullMethod] = op
		c.byName[op.Name] = op
	}
	return derived, problems
}
