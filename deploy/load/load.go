package main

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/typederror"
)

// kind is what a call does.
type kind uint8

const (
	getPolicy kind = iota
	getService
	listPolicies
	listUnits
	create
	remove
)

// reads is how often each kind occurs in 100 reads.
var reads = []struct {
	kind kind
	many int
}{{getPolicy, 50}, {getService, 20}, {listPolicies, 15}, {listUnits, 15}}

// deadline of a call: long enough to show how late a call is.
const deadline = 20 * time.Second

// underWay is how many calls the generator keeps before it gives up.
const underWay = 20_000

// write is what a client saw of a write.
type write struct {
	id     string // x-request-id
	kind   kind
	ok     bool
	policy string // that it created, or was to delete.
}

// caller is one connection with the credential that it uses.
type caller struct {
	connection *grpc.ClientConn
	token      string // Empty with a client certificate.
	policies   pb.ProtectionPolicyServiceClient
	service    pb.BackupRestoreServiceClient
	units      pb.ProtectionUnitServiceClient
}

// load makes calls at moments that do not depend on how fast they end, as callers who know nothing of each other do.
type load struct {
	tenants []tenant
	callers []caller
	writes  int
	random  *rand.Rand
	// again makes that many creates go out twice under one id.
	again int

	mu     sync.Mutex
	window *window
	made   []write
	own    [][]string // The policies that were created, by tenant.
	calls  sync.WaitGroup
	flying int
}

// connect makes all connections.
func (d *desk) connect(ctx context.Context, o options) (*load, error) {
	l := &load{tenants: d.tenants, writes: o.writes, random: rand.New(rand.NewPCG(o.seed, o.seed)), own: make([][]string, len(d.tenants))}
	authority, err := os.ReadFile(d.at("desk/ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	pair, err := tls.LoadX509KeyPair(d.at("desk/operator.crt"), d.at("desk/operator.key"))
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(d.at("desk/operator.token"))
	if err != nil {
		return nil, err
	}
	for n := range o.connections {
		config, c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, caller{}
		if n%2 == 0 {
			config.Certificates = []tls.Certificate{pair}
		} else {
			c.token = "Bearer " + strings.TrimSpace(string(token))
		}
		c.connection, err = grpc.NewClient("passthrough:///"+d.address, grpc.WithDisableRetry(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			return nil, err
		}
		c.policies = pb.NewProtectionPolicyServiceClient(c.connection)
		c.service = pb.NewBackupRestoreServiceClient(c.connection)
		c.units = pb.NewProtectionUnitServiceClient(c.connection)
		l.callers = append(l.callers, c)
	}
	return l, l.ready(ctx)
}

// ready waits until all connections are there, so that no call pays for a handshake.
func (l *load) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for _, c := range l.callers {
		c.connection.Connect()
		for state := c.connection.GetState(); state != connectivity.Ready; state = c.connection.GetState() {
			if !c.connection.WaitForStateChange(ctx, state) {
				return fmt.Errorf("a connection is %s after %v", state, startLimit)
			}
		}
	}
	return nil
}

func (l *load) close() {
	for _, c := range l.callers {
		_ = c.connection.Close()
	}
}

// run makes calls for a time, and waits for those that are under way. The moments are those of a Poisson process.
func (l *load) run(ctx context.Context, w *window, perSecond int, lasts time.Duration) error {
	l.mu.Lock()
	l.window = w
	l.mu.Unlock()
	begin := time.Now()
	for at := time.Duration(0); at < lasts; at += time.Duration(l.random.ExpFloat64() / float64(perSecond) * float64(time.Second)) {
		if early := at - time.Since(begin); early > 0 {
			time.Sleep(early)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := l.begin(begin.Add(at)); err != nil {
			return err
		}
	}
	l.calls.Wait()
	return nil
}

// begin chooses a call and starts it. planned is the moment that its latency counts from.
func (l *load) begin(planned time.Time) error {
	c, tenant, k := &l.callers[l.random.IntN(len(l.callers))], l.random.IntN(len(l.tenants)), l.choose()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := write{kind: k}
	if k >= create {
		// A tenant has at most two such policies, so that lists stay as long as they are.
		if own := l.own[tenant]; len(own) >= 2 {
			w.kind, w.policy, l.own[tenant] = remove, own[0], own[1:]
		} else {
			w.kind = create
		}
		w.id = newGUID()
	}
	if l.flying++; l.flying > underWay {
		return errors.New("too many calls are under way: the server is too slow by far")
	}
	l.window.sent(time.Since(planned))
	again := w.kind == create && l.again > 0
	if again {
		l.again--
	}
	l.calls.Go(func() {
		if again {
			// Nobody hears how this one ends.
			_ = c.call(&write{kind: create, id: w.id}, &l.tenants[tenant])
		}
		err := c.call(&w, &l.tenants[tenant])
		took := time.Since(planned)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.flying--
		l.window.ended(w.kind, took, err)
		if w.kind < create {
			return
		}
		w.ok = err == nil
		l.made = append(l.made, w)
		if w.kind == create && w.ok {
			l.own[tenant] = append(l.own[tenant], w.policy)
		}
	})
	return nil
}

// choose draws a kind; create stands for all writes.
func (l *load) choose() kind {
	if l.random.IntN(100) < l.writes {
		return create
	}
	n := l.random.IntN(100)
	for _, r := range reads {
		if n -= r.many; n < 0 {
			return r.kind
		}
	}
	panic("the kinds of reads are not 100")
}

func (c *caller) call(w *write, t *tenant) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	pairs := append(make([]string, 0, 6), "x-tenant-id", t.id)
	if c.token != "" {
		pairs = append(pairs, "authorization", c.token)
	}
	if w.id != "" {
		pairs = append(pairs, "x-request-id", w.id)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, pairs...)
	switch w.kind {
	case getPolicy:
		answer, err := c.policies.GetProtectionPolicy(ctx, &pb.GetProtectionPolicyRequest{ProtectionPolicyId: t.policy})
		return check(err, answer.GetProtectionPolicy().GetId() == t.policy)
	case getService:
		answer, err := c.service.GetBackupRestore(ctx, &pb.GetBackupRestoreRequest{})
		return check(err, answer.GetBackupRestore().GetServiceStatus() != nil)
	case listPolicies:
		answer, err := c.policies.ListProtectionPolicies(ctx, &pb.ListProtectionPoliciesRequest{})
		return check(err, len(answer.GetProtectionPolicies()) > 0)
	case listUnits:
		answer, err := c.units.ListMailboxProtectionUnits(ctx, &pb.ListMailboxProtectionUnitsRequest{})
		return check(err, len(answer.GetProtectionUnits()) == unitsEach)
	case create:
		answer, err := c.policies.CreateSharePointProtectionPolicy(ctx, &pb.CreateSharePointProtectionPolicyRequest{DisplayName: w.id})
		w.policy = answer.GetProtectionPolicy().GetId()
		return check(err, w.policy != "")
	default:
		_, err := c.policies.DeleteProtectionPolicy(ctx, &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: w.policy})
		return err
	}
}

// errWrong is a response that says OK and is not what was asked for.
var errWrong = errors.New("wrong response")

func check(err error, right bool) error {
	if err == nil && !right {
		return errWrong
	}
	return err
}

// why names an error in few words.
func why(err error) string {
	if errors.Is(err, errWrong) {
		return errWrong.Error()
	}
	e := typederror.Of(err)
	if e.Reason == "" {
		return e.Code.String()
	}
	return e.Reason
}

// seen returns the writes that have ended.
func (l *load) seen() []write {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]write(nil), l.made...)
}

func newGUID() string {
	var b [16]byte
	// It never fails.
	_, _ = cryptorand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
