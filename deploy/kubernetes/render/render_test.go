package render_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/m365backup/backupstorage/deploy/kubernetes/render"
)

var overlays = []string{"emulator", "production"}

func overlay(t *testing.T, name string) *render.Manifests {
	t.Helper()
	m, err := render.Overlay(filepath.Join("..", "overlays", name))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sizing(t *testing.T) render.Sizing {
	t.Helper()
	s, err := render.ReadSizing("../sizing.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNumbersFit(t *testing.T) {
	t.Parallel()
	for _, name := range overlays {
		for _, fault := range overlay(t, name).Check(sizing(t)) {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

func TestCheckFindsWrongNumbers(t *testing.T) {
	t.Parallel()
	argument := func(before, after string) func(*render.Manifests) {
		return func(m *render.Manifests) {
			for i, a := range m.Container().Args {
				if a == before {
					m.Container().Args[i] = after
				}
			}
		}
	}
	grace := int64(134)
	for _, c := range []struct {
		name  string
		spoil func(*render.Manifests)
		fault string
	}{
		{"grace period", func(m *render.Manifests) { m.Deployment.Spec.Template.Spec.TerminationGracePeriodSeconds = &grace }, "the kubelet kills"},
		{"drain wait", argument("--drain-wait=10s", "--drain-wait=0s"), "before clients know"},
		{"no drain wait", argument("--drain-wait=10s", "--reflection"), "no --drain-wait"},
		{"drain timeout", argument("--drain-timeout=120s", "--drain-timeout=30s"), "cuts calls"},
		{"slow probe", func(m *render.Manifests) { m.Container().ReadinessProbe.FailureThreshold = 4 }, "before clients know"},
		{"readiness asks for life", func(m *render.Manifests) { m.Container().ReadinessProbe.HTTPGet.Path = "/livez" }, "readiness probe"},
		{"life asks for readiness", func(m *render.Manifests) { m.Container().LivenessProbe.HTTPGet.Path = "/readyz" }, "liveness probe"},
		{"hasty liveness", func(m *render.Manifests) { m.Container().LivenessProbe.PeriodSeconds = 1 }, "killed before"},
		{"hasty startup", func(m *render.Manifests) { m.Container().StartupProbe.FailureThreshold = 0 }, "startup probe gives up"},
		{"little memory", func(m *render.Manifests) { m.Container().Resources.Requests["memory"] = resource.MustParse("1Mi") }, "are requested"},
		{"low limit", func(m *render.Manifests) { m.Container().Resources.Limits["memory"] = resource.MustParse("2Mi") }, "no room for"},
		{"no limit", func(m *render.Manifests) { m.Container().Resources.Limits = nil }, "no room for"},
		{"little CPU", func(m *render.Manifests) { m.Container().Resources.Requests["cpu"] = resource.MustParse("1m") }, "thousandths"},
		{"second limit", func(m *render.Manifests) {
			m.Container().Env = append(m.Container().Env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: "1GiB"})
		}, "GOMEMLIMIT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := overlay(t, "emulator")
			c.spoil(m)
			if faults := strings.Join(m.Check(sizing(t)), "\n"); !strings.Contains(faults, c.fault) {
				t.Errorf("faults %q, want one with %q", faults, c.fault)
			}
		})
	}
}

func TestMisspeltPropertyIsAnError(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"property": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\nautomountServiceAcountToken: false\n",
		"kind":     "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n",
	} {
		folder := t.TempDir()
		for file, content := range map[string]string{"kustomization.yaml": "resources: [object.yaml]\n", "object.yaml": text} {
			if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := render.Overlay(folder); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPodsMayDoNothingElse(t *testing.T) {
	t.Parallel()
	for _, name := range overlays {
		m := overlay(t, name)
		pod, c := m.Deployment.Spec.Template.Spec, m.Container()
		if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 || pod.HostNetwork || pod.HostPID || pod.HostIPC {
			t.Errorf("%s: more than one container, or something of the node", name)
		}
		if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser != 65532 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: pod %+v", name, s)
		}
		if s := c.SecurityContext; *s.AllowPrivilegeEscalation || *s.Privileged || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Add) > 0 || s.Capabilities.Drop[0] != "ALL" {
			t.Errorf("%s: container %+v", name, s)
		}
		if *pod.AutomountServiceAccountToken || *m.Account.AutomountServiceAccountToken {
			t.Errorf("%s: the server gets a token of the cluster", name)
		}
		if m.Namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("%s: the namespace does not enforce it", name)
		}
		for _, v := range c.Env {
			if v.Value != "" {
				t.Errorf("%s: %s stands in the manifest", name, v.Name)
			}
		}
	}
}

func TestSelectorsFindThePods(t *testing.T) {
	t.Parallel()
	for _, name := range overlays {
		m := overlay(t, name)
		labels := m.Deployment.Spec.Template.Labels
		selectors := map[string]map[string]string{
			"deployment": m.Deployment.Spec.Selector.MatchLabels, "budget": m.Budget.Spec.Selector.MatchLabels,
			"network policy": m.Network.Spec.PodSelector.MatchLabels,
		}
		headless := 0
		for _, s := range m.Services {
			selectors["service "+s.Name] = s.Spec.Selector
			if s.Spec.ClusterIP == corev1.ClusterIPNone {
				headless++
			}
		}
		if len(m.Services) != 2 || headless != 1 {
			t.Errorf("%s: %d services, %d of them headless", name, len(m.Services), headless)
		}
		for what, selector := range selectors {
			if len(selector) == 0 {
				t.Errorf("%s: the %s selects everything", name, what)
			}
			for label, value := range selector {
				if labels[label] != value {
					t.Errorf("%s: the %s selects %s=%s, and pods have %q", name, what, label, value, labels[label])
				}
			}
		}
		if r := m.Deployment.Spec.Strategy.RollingUpdate; r.MaxUnavailable.IntValue() != 0 || r.MaxSurge.IntValue() < 1 {
			t.Errorf("%s: a rollout takes replicas away first", name)
		}
	}
}

// What the replicas share is in a Redis that they reach, over TLS, and whose password stands in no manifest.
func TestProductionReachesRedis(t *testing.T) {
	t.Parallel()
	m := overlay(t, "production")
	address, _ := m.Flag("redis-url")
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "rediss" || u.User != nil || u.Query().Get("master_name") == "" {
		t.Errorf("--redis-url is %q (%v), want Sentinels by TLS and no password", address, err)
	}
	for flag, want := range map[string]string{"redis-password-file": "/secrets/redis/password", "redis-ca-file": "/secrets/redis/ca.crt"} {
		if got, _ := m.Flag(flag); got != want {
			t.Errorf("--%s is %q, want %q", flag, got, want)
		}
	}
	_, namespace, _ := strings.Cut(u.Hostname(), ".")
	namespace, _, _ = strings.Cut(namespace, ".")
	open := map[string]bool{}
	for _, rule := range m.Network.Spec.Egress {
		for _, to := range rule.To {
			if to.NamespaceSelector == nil || to.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != namespace || to.PodSelector == nil {
				continue
			}
			for _, port := range rule.Ports {
				open[port.Port.String()] = true
			}
		}
	}
	for _, port := range []string{"6379", u.Port()} {
		if !open[port] {
			t.Errorf("the network policy lets no pod of the namespace %s be reached at port %s", namespace, port)
		}
	}
	if _, found := overlay(t, "emulator").Flag("redis-url"); found {
		t.Error("the desk cluster, which has one replica, wants a Redis")
	}
}

func TestProductionIsNoDesk(t *testing.T) {
	t.Parallel()
	m := overlay(t, "production")
	for flag, want := range map[string]string{
		"expect-upstream": "graph", "audit": "required", "graph-endpoint": "https://graph.microsoft.com/v1.0",
		"tls-client-auth": "optional", "rights-file": "/rights/rights.yaml",
	} {
		if got, _ := m.Flag(flag); got != want {
			t.Errorf("--%s is %q, want %q", flag, got, want)
		}
	}
	if _, found := m.Flag("insecure-listen"); found {
		t.Error("--insecure-listen in production")
	}
	if *m.Deployment.Spec.Replicas < 2 {
		t.Error("one replica alone cannot be replaced without a gap")
	}
	mounts := map[string]bool{}
	for _, mount := range m.Container().VolumeMounts {
		mounts[mount.MountPath] = true
		if mount.SubPath != "" {
			t.Errorf("%s is mounted by subPath, so that it never changes", mount.MountPath)
		}
	}
	for _, argument := range m.Container().Args {
		flag, file, _ := strings.Cut(argument, "=")
		if strings.HasSuffix(flag, "-file") && !mounts[filepath.Dir(file)] {
			t.Errorf("%s: nothing is mounted at %s", argument, filepath.Dir(file))
		}
	}
}
