package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// deadline of a call: longer than anything that happens to a replica.
const deadline = 20 * time.Second

// record is what a client saw of one call.
type record struct {
	id         string // x-request-id
	kind       kind
	begin, end time.Time
	status     *status.Status
	created    string // Id of the policy that a create returned.
	replica    string // Address of the peer: a replica, unless a proxy is between.
}

// kind is what a call does.
type kind int

const (
	read    kind = iota // Short.
	slow                // Longer than --drain-wait.
	create              // Held up before the work.
	created             // Held up after the work.
)

// mix is how often each kind occurs in 20 calls; the slow ones come at a rate of their own.
var mix = [20]kind{create, created, create, created, create, created}

// load makes calls at a rate that does not depend on how fast they end, as callers who know nothing of each other do.
type load struct {
	tenants []string
	// connection is asked for each call, and tells when the call has ended.
	connection func() (connection grpc.ClientConnInterface, done func(), err error)

	mu      sync.Mutex
	records []record
	calls   sync.WaitGroup
}

// run makes calls until the context ends, and waits for those that are under way.
func (l *load) run(ctx context.Context, perSecond int) {
	begin := time.Now()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	made, slowMade := 0, 0
	for ctx.Err() == nil {
		elapsed := time.Since(begin)
		for ; made < int(elapsed.Seconds()*float64(perSecond)); made++ {
			l.call(mix[made%len(mix)], l.tenants[made%len(l.tenants)])
		}
		for ; slowMade < int(elapsed.Seconds()*4); slowMade++ {
			l.call(slow, l.tenants[slowMade%len(l.tenants)])
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	l.calls.Wait()
}

func (l *load) call(k kind, tenant string) {
	l.calls.Go(func() {
		r := l.one(k, tenant)
		l.mu.Lock()
		l.records = append(l.records, r)
		l.mu.Unlock()
	})
}

func (l *load) one(k kind, tenant string) record {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	r := record{id: newGUID(), kind: k, begin: time.Now()}
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant-id", tenant, "x-request-id", r.id)
	connection, done, err := l.connection()
	if err == nil {
		defer done()
		var from peer.Peer
		err = r.invoke(ctx, connection, grpc.Peer(&from))
		if from.Addr != nil {
			r.replica = from.Addr.String()
		}
	}
	r.end, r.status = time.Now(), status.Convert(err)
	return r
}

func (r *record) invoke(ctx context.Context, connection grpc.ClientConnInterface, option grpc.CallOption) error {
	policies := pb.NewProtectionPolicyServiceClient(connection)
	switch r.kind {
	case slow:
		_, err := pb.NewServiceAppServiceClient(connection).ListServiceApps(ctx, &pb.ListServiceAppsRequest{}, option)
		return err
	case create:
		answer, err := policies.CreateExchangeProtectionPolicy(ctx, &pb.CreateExchangeProtectionPolicyRequest{DisplayName: r.id}, option)
		r.created = answer.GetProtectionPolicy().GetId()
		return err
	case created:
		answer, err := policies.CreateSharePointProtectionPolicy(ctx, &pb.CreateSharePointProtectionPolicyRequest{DisplayName: r.id}, option)
		r.created = answer.GetProtectionPolicy().GetId()
		return err
	default:
		_, err := pb.NewBackupRestoreServiceClient(connection).GetBackupRestore(ctx, &pb.GetBackupRestoreRequest{}, option)
		return err
	}
}

// seen returns what has been recorded until now.
func (l *load) seen() []record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]record(nil), l.records...)
}

func newGUID() string {
	var b [16]byte
	// It never fails.
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
