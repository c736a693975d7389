package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/trial"
)

// work is a kind of call, and how many of them are under way.
type work struct {
	kind  kind
	width int
}

type kind string

const (
	smallCall kind = "small"
	pageCall  kind = "page"
	errorCall kind = "error"
)

// works are those that are measured, with the number of calls of a round: each takes some tenths of a second.
var works = []struct {
	work
	count int
}{{work{smallCall, 64}, 3000}, {work{pageCall, 64}, 256}, {work{smallCall, 1}, 1500}, {work{pageCall, 1}, 128}, {work{errorCall, 64}, 3000}}

// called is how a kind is called: by gRPC, and by HTTP.
var called = map[kind]struct {
	method string
	in     proto.Message
	path   string
	code   codes.Code
}{
	smallCall: {pb.ProtectionPolicyService_GetProtectionPolicy_FullMethodName, &pb.GetProtectionPolicyRequest{ProtectionPolicyId: smallID}, policyPath + smallID, codes.OK},
	pageCall:  {pb.ProtectionUnitService_ListMailboxProtectionUnits_FullMethodName, &pb.ListMailboxProtectionUnitsRequest{}, unitsPath, codes.OK},
	errorCall: {pb.ProtectionPolicyService_GetProtectionPolicy_FullMethodName, &pb.GetProtectionPolicyRequest{ProtectionPolicyId: errorID}, policyPath + errorID, codes.InvalidArgument},
}

// bytesCodec leaves messages encoded, so that clients cost little: they share the processors with what is measured.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if kept, is := v.(*[]byte); is {
		*kept = data.Materialize()
	}
	return nil
}

func (bytesCodec) Name() string { return "proto" }

// call makes a call over one of the connections. out is a *[]byte, or nil to throw the response away.
func (t *target) call(n int, of string, method string, in []byte, out any) error {
	connection := t.connections[n%len(t.connections)]
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", of)
	if t.secure && n%len(t.connections)%2 == 1 {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", t.token)
	}
	return connection.Invoke(ctx, method, in, out, grpc.MaxCallRecvMsgSize(64<<20))
}

// measure makes calls, and returns what each cost the server.
func (t *target) measure(w work, count int) (time.Duration, error) {
	how := called[w.kind]
	in, err := proto.Marshal(how.in)
	if err != nil {
		return 0, err
	}
	before, err := onCPU(t.process.PID())
	if err != nil {
		return 0, err
	}
	err = trial.InFlight(w.width, count, func(n int) error {
		if err := t.call(n, tenant(n), how.method, in, nil); status.Code(err) != how.code {
			return fmt.Errorf("%s of %s: %w", w.kind, t.name, err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	after, err := onCPU(t.process.PID())
	return (after - before) / time.Duration(count), err
}

// onCPU is how long the threads of a process have run, to the nanosecond. Go's runtime keeps its threads.
func onCPU(pid int) (total time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("process %d is gone, or the kernel does not tell", pid)
	}
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(data), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ns)
	}
	return total, nil
}

// warm is the part of the calls of a round that come before those that count. All others have their turn between two
// rounds of a program: its caches are cold, and a server that has rested has given its memory back to the system.
const warm = 3

// measureAll makes the rounds. In each, all are measured one after the other, so that other load on the machine affects
// all of them.
func (s *stage) measureAll(rounds int) error {
	if err := s.right(); err != nil {
		return err
	}
	for round := range rounds + 1 {
		// The first round makes what is made only once.
		first := round == 0
		for _, w := range works {
			for _, t := range append([]*target{s.bareTLS, s.barePlain}, s.targets...) {
				if w.kind == errorCall && t.floor == nil {
					continue
				}
				if _, err := t.measure(w.work, w.count/warm); err != nil {
					return err
				}
				cost, err := t.measure(w.work, w.count)
				if err != nil {
					return err
				}
				if !first {
					t.cost[w.work] = append(t.cost[w.work], cost)
				}
				if w.work == (work{pageCall, 64}) {
					resident, err := trial.Memory(t.process.PID(), "VmRSS")
					if err != nil {
						return err
					}
					t.pages = max(t.pages, resident)
				}
			}
			for _, c := range []*client{s.raw, s.sdk} {
				if c == nil || w.kind == errorCall {
					continue
				}
				order := trial.Order{Path: called[w.kind].path, InFlight: w.width, Count: w.count / warm}
				if _, err := c.order(order); err != nil {
					return err
				}
				order.Count = w.count
				cost, err := c.order(order)
				if err != nil {
					return err
				}
				if !first {
					c.cost[w.work] = append(c.cost[w.work], cost/time.Duration(w.count))
				}
			}
		}
	}
	return nil
}

// right checks once that every server responds with what the bare one has.
func (s *stage) right() error {
	for _, kind := range []kind{smallCall, pageCall} {
		how := called[kind]
		in, err := proto.Marshal(how.in)
		if err != nil {
			return err
		}
		for _, t := range append([]*target{s.bareTLS}, s.targets...) {
			var body []byte
			if err := t.call(0, tenant(0), how.method, in, &body); err != nil {
				return fmt.Errorf("%s of %s: %w", kind, t.name, err)
			}
			var policy pb.GetProtectionPolicyResponse
			var units pb.ListMailboxProtectionUnitsResponse
			switch kind {
			case smallCall:
				err = proto.Unmarshal(body, &policy)
			default:
				err = proto.Unmarshal(body, &units)
			}
			if err != nil || policy.GetProtectionPolicy().GetId() != smallID && len(units.GetProtectionUnits()) != 999 {
				return fmt.Errorf("%s of %s: not what was asked for (%w)", kind, t.name, err)
			}
		}
	}
	return nil
}
