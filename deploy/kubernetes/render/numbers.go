package render

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// lastCalls is what the server needs beyond its drain timeout: 2 s in which cut calls are logged, 1 s for the log, and
// what a busy machine takes.
const lastCalls = 5 * time.Second

// longestCall is the server's own limit for any call.
const longestCall = 120 * time.Second

// propagation is how long a cluster takes to tell all nodes and proxies that a replica is not ready.
const propagation = 3 * time.Second

// Numbers are those of a deployment that stops a replica.
type Numbers struct {
	DrainWait    time.Duration `json:"drainWait"`
	DrainTimeout time.Duration `json:"drainTimeout"`
	Grace        time.Duration `json:"grace"`
	// Probes are startup, readiness and liveness.
	Probes map[string]Probe `json:"probes"`
	// Arguments are those of the container.
	Arguments []string `json:"arguments"`
}

// Probe is a probe over HTTP at the admin port.
type Probe struct {
	Path    string        `json:"path"`
	Period  time.Duration `json:"period"`
	Timeout time.Duration `json:"timeout"`
	Fails   int           `json:"fails"`
}

// Unready is how long a replica that says NOT_SERVING can still be offered to clients.
func (n Numbers) Unready() time.Duration {
	p := n.Probes["readiness"]
	return time.Duration(p.Fails)*p.Period + p.Timeout + propagation
}

// Numbers reads them from the manifests.
func (m *Manifests) Numbers() (n Numbers, err error) {
	if n.DrainWait, err = m.duration("drain-wait"); err != nil {
		return n, err
	}
	if n.DrainTimeout, err = m.duration("drain-timeout"); err != nil {
		return n, err
	}
	pod := m.Deployment.Spec.Template.Spec
	if pod.TerminationGracePeriodSeconds == nil {
		return n, fmt.Errorf("no grace period")
	}
	n.Grace, n.Arguments, n.Probes = seconds(*pod.TerminationGracePeriodSeconds), m.Container().Args, make(map[string]Probe)
	for name, p := range m.probes() {
		if p == nil || p.HTTPGet == nil {
			return n, fmt.Errorf("no %s probe over HTTP", name)
		}
		n.Probes[name] = Probe{p.HTTPGet.Path, seconds(int64(p.PeriodSeconds)), seconds(int64(p.TimeoutSeconds)), int(p.FailureThreshold)}
	}
	return n, nil
}

func (m *Manifests) probes() map[string]*corev1.Probe {
	c := m.Container()
	return map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe}
}

func (m *Manifests) duration(flag string) (time.Duration, error) {
	value, found := m.Flag(flag)
	if !found {
		return 0, fmt.Errorf("no --%s", flag)
	}
	return time.ParseDuration(value)
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// Sizing is what `go run ./deploy/restart measure` has measured, in sizing.json.
type Sizing struct {
	IdleBytes   int64   `json:"idleBytes"`
	PeakBytes   int64   `json:"peakBytes"`
	CallsPerSec float64 `json:"callsPerSecond"`
	CPUPerCall  float64 `json:"cpuMillisecondsPerCall"`
	StartMillis int64   `json:"startMilliseconds"`
}

// ReadSizing reads a file of that form.
func ReadSizing(file string) (s Sizing, err error) {
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

// Check returns what is wrong with the numbers of a deployment.
func (m *Manifests) Check(s Sizing) (faults []string) {
	fault := func(format string, values ...any) { faults = append(faults, fmt.Sprintf(format, values...)) }
	n, err := m.Numbers()
	if err != nil {
		return []string{err.Error()}
	}
	if n.DrainWait+n.DrainTimeout+lastCalls > n.Grace {
		fault("the kubelet kills after %v: --drain-wait %v, --drain-timeout %v and %v do not fit", n.Grace, n.DrainWait, n.DrainTimeout, lastCalls)
	}
	if n.DrainWait < n.Unready() {
		fault("--drain-wait %v is over before clients know, after up to %v", n.DrainWait, n.Unready())
	}
	if n.DrainTimeout < longestCall {
		fault("--drain-timeout %v cuts calls, which can last %v", n.DrainTimeout, longestCall)
	}
	c := m.Container()
	for name, probe := range m.probes() {
		path := map[bool]string{true: "/readyz", false: "/livez"}[name == "readiness"]
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.String() != "admin" {
			fault("the %s probe does not ask for %s at the admin port", name, path)
		}
	}
	if l, r := c.LivenessProbe, c.ReadinessProbe; l != nil && r != nil && l.PeriodSeconds*l.FailureThreshold <= r.PeriodSeconds*r.FailureThreshold {
		fault("a server that is slow is killed before it is spared")
	}
	if p := c.StartupProbe; p != nil && time.Duration(p.PeriodSeconds*p.FailureThreshold)*time.Second < 10*time.Duration(s.StartMillis)*time.Millisecond {
		fault("the startup probe gives up after %d s, and a start took %d ms", p.PeriodSeconds*p.FailureThreshold, s.StartMillis)
	}
	return append(faults, m.checkResources(s)...)
}

// checkResources compares requests and limits with what was measured, and with what the server makes of them.
func (m *Manifests) checkResources(s Sizing) (faults []string) {
	fault := func(format string, values ...any) { faults = append(faults, fmt.Sprintf(format, values...)) }
	requests, limits := m.Container().Resources.Requests, m.Container().Resources.Limits
	memory, limit := requests.Memory().Value(), limits.Memory().Value()
	if memory < s.PeakBytes {
		fault("%d bytes are requested, and %d were used", memory, s.PeakBytes)
	}
	// The server gives Go's runtime nine tenths of the limit, and responses a quarter of those.
	if goLimit := limit / 10 * 9; goLimit < s.PeakBytes+goLimit/4 {
		fault("a memory limit of %d bytes leaves no room for %d bytes and the responses that calls hold", limit, s.PeakBytes)
	}
	for _, variable := range m.Container().Env {
		if variable.Name == "GOMEMLIMIT" {
			fault("GOMEMLIMIT stands beside the limit that the server reads by itself")
		}
	}
	if cpu, need := requests.Cpu().MilliValue(), int64(s.CallsPerSec*s.CPUPerCall); cpu < need {
		fault("%d thousandths of a core are requested, and %.0f calls/s need %d", cpu, s.CallsPerSec, need)
	}
	if limits.Cpu().MilliValue() < 2*requests.Cpu().MilliValue() {
		fault("the CPU limit leaves no room for a burst")
	}
	return faults
}
