package graphjson

import (
	"strings"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
)

// ReadOptions is what a reader needs to know besides the body. W is the enum of the workloads, D an element of the
// details of an embedded error.
type ReadOptions[W ~int32, D any] struct {
	// Workload is the workload of the operation's path. Resources get it when their @odata.type names none.
	Workload W
	// Error makes the Status and the details of an embedded error. The reader calls it after it has read everything
	// else. With nil, embedded errors are left out.
	Error func(ItemError) (*statuspb.Status, []D)
	// Notes gets what was noticed in a body that could be read, if anything was. It may be nil.
	Notes func(Notes)
}

// ItemError is an error embedded in one resource of a response that is itself OK.
type ItemError struct {
	// Property is the property that holds the error: `error` or `@Core.DataModificationException`.
	Property string
	// Type is the Graph type of the resource, the base type of a family, empty for the item of an update.
	Type string
	// ID is the resource's id, empty when it has none.
	ID string
	// JSON is the value of the property. It is valid JSON and not null.
	JSON []byte
}

// Reader reads the values of a response's properties. The generated reader embeds it, and adds a method for each
// message. W and D are those of ReadOptions.
type Reader[W ~int32, D any] struct {
	// Values holds what is read most often. It has no type parameters, so its methods cost no dictionary.
	Values
	options    ReadOptions[W, D]
	workloadOf func(name string) W
	// lastType is the latest @odata.type, lastWorkload its workload: all items of a page have the same type.
	lastType     string
	lastWorkload W
	errors       []itemError[D]
}

// itemError is an embedded error that waits for the id of its item, because the id may follow the error.
type itemError[D any] struct {
	item    ItemError
	id      *string
	status  **statuspb.Status
	details *[]D
}

// Start makes the reader ready to read body. The reader changes body, and the strings that it returns alias it.
// workloadOf returns the workload of a type's name or of a path's segment, 0 when it has none.
func (r *Reader[W, D]) Start(body []byte, options ReadOptions[W, D], workloadOf func(name string) W) {
	r.data, r.options, r.workloadOf = body, options, workloadOf
	if r.peek() != '{' {
		r.refuse(CauseWrongType, r.pos, "an object expected")
	}
}

// Finish checks that nothing follows the object, and fills in the embedded errors. It returns the first error of the
// body as an *Error, nil if there was none.
func (r *Reader[W, D]) Finish() error {
	if err := r.end(); err != nil {
		return err
	}
	if r.noted() && r.options.Notes != nil {
		r.options.Notes(r.resolve(r.data))
	}
	r.fillErrors()
	return nil
}

// EndElement fills in the embedded errors of the element that was just read, unless the body is refused.
func (r *Reader[W, D]) EndElement() {
	if len(r.errors) == 0 {
		return
	}
	if r.syntax == nil && r.other == nil {
		r.fillErrors()
	}
	clear(r.errors)
	r.errors = r.errors[:0]
}

// Clear makes the reader ready to wait in a pool: nothing of the body stays in it. All slabs have to be rewound.
func (r *Reader[W, D]) Clear() {
	errors := r.errors[:0]
	if cap(errors) > maxKept {
		errors = nil
	}
	clear(errors[:cap(errors)])
	r.Cursor, r.errors = Cursor{}, errors
	r.options, r.lastType, r.lastWorkload = ReadOptions[W, D]{}, "", 0
	r.trim()
}

func (r *Reader[W, D]) fillErrors() {
	if r.options.Error == nil {
		return
	}
	for _, e := range r.errors {
		if e.id != nil {
			e.item.ID = *e.id
		}
		status, details := r.options.Error(e.item)
		*e.status = status
		if e.details != nil {
			*e.details = details
		}
	}
}

// ItemError reads an embedded error. Finish fills in status and details. details is nil when the message has none, id
// when the resource has none.
func (r *Reader[W, D]) ItemError(property, graphType string, status **statuspb.Status, details *[]D, id *string) {
	if r.Unset() {
		return
	}
	json := r.raw()
	// When an object has the property twice, the last one counts.
	if n := len(r.errors); n > 0 && r.errors[n-1].status == status {
		r.errors = r.errors[:n-1]
	}
	r.errors = append(r.errors, itemError[D]{ItemError{Property: property, Type: graphType, JSON: json}, id, status, details})
}

// TypeWorkload reads an @odata.type and returns its workload, 0 when it has none.
func (r *Reader[W, D]) TypeWorkload() W {
	if name := r.Text(); name != r.lastType {
		r.lastType, r.lastWorkload = name, r.workloadOf(typeName(name))
	}
	return r.lastWorkload
}

// PathWorkload returns the workload of the operation's path, 0 when the path belongs to all workloads.
func (r *Reader[W, D]) PathWorkload() W { return r.options.Workload }

// PathWorkload returns the workload of a path, 0 when the path belongs to all workloads. workloadOf is that of
// Reader.Start.
func PathWorkload[W ~int32](path string, workloadOf func(name string) W) W {
	for segment := range strings.SplitSeq(path, "/") {
		if w := workloadOf(typeName(segment)); w != 0 {
			return w
		}
	}
	return 0
}
