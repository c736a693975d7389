package graphjson

import (
	"strings"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// GraphItemError is an error that stands inside a resource of an answer that is itself OK.
type GraphItemError struct {
	// Property is the property that holds the error: `error` or `@Core.DataModificationException`.
	Property string
	// Type is the Graph type of the resource, the base type of a family, empty for the item of an update.
	Type string
	// ID is the resource's id, empty when it has none.
	ID string
	// JSON is the value of the property. It is valid JSON and not null.
	JSON []byte
}

// GraphReadOptions is what a reader needs to know besides the text.
type GraphReadOptions struct {
	// Workload is what the path of the operation tells of the workload of resources without a type.
	Workload Workload
	// Error makes Statuses of the errors inside resources. It is called when all else was read. nil leaves them out.
	Error func(GraphItemError) (*statuspb.Status, []*FailedResource)
}

// graphReader is what all readers of messages are methods of: the cursor, and a slab for each type that a list can hold
// many of.
type graphReader struct {
	cursor
	workload Workload
	// lastType is the latest @odata.type, lastWorkload what it tells: a page has one type over and over.
	lastType     string
	lastWorkload Workload
	error        func(GraphItemError) (*statuspb.Status, []*FailedResource)
	pending      []pendingError
	timestamps   slab[timestamppb.Timestamp]
	strings      slab[string]
	scratch      []string
	bools        slab[bool]
	int32s       slab[int32]
	int64s       slab[int64]
	slabs
}

// pendingError is an item error that waits for the id of its item, which may stand behind it.
type pendingError struct {
	property, graphType string
	json                []byte
	status              **statuspb.Status
	details             *[]*FailedResource
	id                  *string
}

func newGraphReader(body []byte, options GraphReadOptions) *graphReader {
	r := &graphReader{cursor: cursor{data: body}, workload: options.Workload, error: options.Error}
	r.peek()
	return r
}

// later keeps the error inside a resource until all else was read.
func (r *graphReader) later(property, graphType string, status **statuspb.Status, details *[]*FailedResource, id *string) {
	if r.unset() {
		return
	}
	json := r.raw()
	// Of a property that stands twice in an object the last one counts.
	if n := len(r.pending); n > 0 && r.pending[n-1].status == status {
		r.pending = r.pending[:n-1]
	}
	r.pending = append(r.pending, pendingError{property, graphType, json, status, details, id})
}

// finish ends the reading of a text: what it says is the first problem, nil if there was none.
func (r *graphReader) finish() error {
	if err := r.end(); err != nil {
		return err
	}
	if r.error == nil {
		return nil
	}
	for _, p := range r.pending {
		item := GraphItemError{Property: p.property, Type: p.graphType, JSON: p.json}
		if p.id != nil {
			item.ID = *p.id
		}
		status, details := r.error(item)
		*p.status = status
		if p.details != nil {
			*p.details = details
		}
	}
	return nil
}

func (r *graphReader) typeWorkload() Workload {
	if name := r.str(); name != r.lastType {
		r.lastType, r.lastWorkload = name, graphWorkload(graphType(name))
	}
	return r.lastWorkload
}

func (r *graphReader) timestamp() *timestamppb.Timestamp {
	if r.unset() {
		return nil
	}
	t := r.timestamps.next(&r.cursor)
	if !r.instant(t) {
		return nil
	}
	return t
}

func (r *graphReader) texts() []string {
	list, start := r.scratch[:0], r.pos
	for more := r.arrayStart(); more; more = r.arrayNext(len(list)) {
		list = grow(list, r.str(), &r.cursor, start)
	}
	r.scratch = list
	// Only now is the length known, and many lists share an allocation.
	kept := r.strings.slice(&r.cursor, len(list))
	copy(kept, list)
	return kept
}

// GraphPathWorkload returns the workload of an operation by its path, unspecified for paths that are of all.
func GraphPathWorkload(path string) Workload {
	for segment := range strings.SplitSeq(path, "/") {
		if w := graphWorkload(graphType(segment)); w != 0 {
			return w
		}
	}
	return 0
}
