package main

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
)

// operators call all the time, by certificate and by token, and must never be refused.
type operators struct {
	stop          context.CancelFunc
	clients       sync.WaitGroup
	calls, failed atomic.Int64
}

func (d *desk) operators(t *testing.T) *operators {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	o := &operators{stop: stop}
	byCertificate, byToken, token := d.connect(t, "operator"), d.connect(t, ""), d.token(t, "operator")
	for range 2 {
		for _, c := range []struct {
			client pb.ProtectionPolicyServiceClient
			ctx    context.Context
		}{{byCertificate, t.Context()}, {byToken, token}} {
			o.clients.Go(func() {
				for ctx.Err() == nil {
					if err := list(c.ctx, c.client); err != nil {
						o.failed.Add(1)
						t.Errorf("a call of an operator: %v", err)
						return
					}
					o.calls.Add(1)
				}
			})
		}
	}
	return o
}

// more waits until the operators have made calls that began after this moment.
func (o *operators) more(t *testing.T, d *desk) {
	t.Helper()
	client := d.connect(t, "operator")
	for from := o.calls.Load(); o.calls.Load() < from+20 && o.failed.Load() == 0; {
		_ = list(t.Context(), client)
	}
}

// The rights file and the files that it names are replaced in Kubernetes' way and broken in every way, under calls:
// none of a caller with rights fails, broken files change nothing, and what a good one gives and takes counts.
func TestRightsFileChangesUnderCalls(t *testing.T) {
	d := deskFiles(t)
	good := make(map[string][]byte)
	for _, name := range []string{"rights.yaml", "tenants.txt", "jwks.json"} {
		good[name] = d.read(t, name)
	}
	with := func(name, text string) map[string][]byte {
		changed := map[string][]byte{"rights.yaml": good["rights.yaml"], "tenants.txt": good["tenants.txt"], "jwks.json": good["jwks.json"]}
		changed[name] = []byte(text)
		return changed
	}
	rights := string(good["rights.yaml"])
	v := &volume{path: t.TempDir()}
	v.mount(t, good)
	d.begin(t, "BACKUPSTORAGE_RELOAD_INTERVAL=20ms", "BACKUPSTORAGE_RIGHTS_FILE="+filepath.Join(v.path, "rights.yaml"))
	seen := &underLoad{log: d.log}
	load := d.operators(t)
	reader := d.connect(t, "reader")
	lists := func() error { return list(t.Context(), reader) }
	awaitReason(t, lists, "")

	// A caller comes and goes.
	for range rotations {
		v.mount(t, with("rights.yaml", strings.ReplaceAll(rights, "desk.example/reader", "desk.example/other")))
		awaitReason(t, lists, "CALLER_NOT_ALLOWED")
		v.mount(t, good)
		awaitReason(t, lists, "")
	}
	// Tenants, in a file that the rights file names, go.
	v.mount(t, with("rights.yaml", strings.Replace(rights, "reader, tenants: [set:customers]", "reader, tenants: [11111111-2222-4333-8444-0000000000ff]", 1)))
	awaitReason(t, lists, "CALLER_NOT_ALLOWED")
	v.mount(t, good)
	awaitReason(t, lists, "")

	half := func(name string) string { return string(good[name][:len(good[name])/2]) }
	for _, c := range []struct{ name, file, text string }{
		{"cut", "rights.yaml", half("rights.yaml")}, {"empty", "rights.yaml", ""}, {"no YAML", "rights.yaml", "version: 1\ncallers: ["},
		{"an unknown role", "rights.yaml", strings.Replace(rights, "role: reader", "role: root", 1)},
		{"a file that is not there", "rights.yaml", strings.Replace(rights, "tenants.txt", "customers.txt", 1)},
		{"tenants that are none", "tenants.txt", "contoso.example\n"}, {"no tenants", "tenants.txt", ""},
		{"tenants that are cut", "tenants.txt", string(good["tenants.txt"][:len(good["tenants.txt"])-10])}, {"keys that are cut", "jwks.json", half("jwks.json")},
	} {
		refused, taken := seen.lines(filesRefused, "rights"), seen.lines(filesTaken, "rights")
		v.mount(t, with(c.file, c.text))
		awaitLines(t, d, c.name, func() bool { return seen.lines(filesRefused, "rights") > refused })
		load.more(t, d)
		if err := lists(); err != nil {
			t.Errorf("%s: a reader: %v", c.name, err)
		}
		v.mount(t, good)
		awaitLines(t, d, c.name+", restored", func() bool { return seen.lines(filesTaken, "rights") > taken })
	}
	for name := range good {
		refused, taken := seen.lines(filesRefused, "rights"), seen.lines(filesTaken, "rights")
		v.write(t, name, nil)
		awaitLines(t, d, name+" is missing", func() bool { return seen.lines(filesRefused, "rights") > refused })
		load.more(t, d)
		v.write(t, name, good[name])
		awaitLines(t, d, name+" is back", func() bool { return seen.lines(filesTaken, "rights") > taken })
	}
	load.more(t, d)
	load.stop()
	load.clients.Wait()
	t.Logf("%d calls of operators, %d failed", load.calls.Load(), load.failed.Load())

	// Everybody's time is over: that takes the rights away, though such a file would not start a server.
	v.mount(t, with("rights.yaml", strings.NewReplacer("role: operator", "role: operator, notAfter: 2020-01-01T00:00:00Z", "role: reader", "role: reader, notAfter: 2020-01-01T00:00:00Z").Replace(rights)))
	awaitReason(t, lists, "CALLER_NOT_ALLOWED")
	if err := d.stop(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
}

// awaitLines waits until the log has what is asked.
func awaitLines(t *testing.T, d *desk, what string, there func() bool) {
	t.Helper()
	client := d.connect(t, "operator")
	for began := time.Now(); !there(); {
		if time.Since(began) > wholeRotation {
			t.Fatalf("%s: not seen after %v: %s", what, wholeRotation, d.log)
		}
		_ = list(t.Context(), client)
	}
}
