// Package render builds the manifests and reads them as the cluster would.
package render

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Manifests are the objects of an overlay.
type Manifests struct {
	Deployment *appsv1.Deployment
	Services   []*corev1.Service
	Budget     *policyv1.PodDisruptionBudget
	Network    *networkingv1.NetworkPolicy
	Account    *corev1.ServiceAccount
	Namespace  *corev1.Namespace
	ConfigMaps []*corev1.ConfigMap
	// YAML is what would be applied.
	YAML string
}

// Overlay renders a folder with a kustomization. An object of a kind that does not belong here, and a property that its
// kind does not have, are errors.
func Overlay(folder string) (*Manifests, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	all, err := resources.AsYaml()
	if err != nil {
		return nil, err
	}
	m := &Manifests{YAML: string(all)}
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		if err := m.add(resource.GetApiVersion()+" "+resource.GetKind(), text); err != nil {
			return nil, fmt.Errorf("%s %s: %w", resource.GetKind(), resource.GetName(), err)
		}
	}
	return m, nil
}

func (m *Manifests) add(kind string, text []byte) error {
	switch kind {
	case "apps/v1 Deployment":
		return read(text, &m.Deployment)
	case "policy/v1 PodDisruptionBudget":
		return read(text, &m.Budget)
	case "networking.k8s.io/v1 NetworkPolicy":
		return read(text, &m.Network)
	case "v1 ServiceAccount":
		return read(text, &m.Account)
	case "v1 Namespace":
		return read(text, &m.Namespace)
	case "v1 Service":
		var s *corev1.Service
		err := read(text, &s)
		m.Services = append(m.Services, s)
		return err
	case "v1 ConfigMap":
		var c *corev1.ConfigMap
		err := read(text, &c)
		m.ConfigMaps = append(m.ConfigMaps, c)
		return err
	default:
		return fmt.Errorf("no %s is expected here", kind)
	}
}

// read decodes strictly: a misspelt property is an error, where a cluster would only warn.
func read[T any](text []byte, into **T) error {
	if *into != nil {
		return fmt.Errorf("there are two of it")
	}
	*into = new(T)
	return yaml.UnmarshalStrict(text, *into)
}

// Container is the only container of the deployment.
func (m *Manifests) Container() *corev1.Container {
	return &m.Deployment.Spec.Template.Spec.Containers[0]
}

// Flag returns the value of a flag of the server; a flag without a value is true.
func (m *Manifests) Flag(name string) (value string, found bool) {
	for _, argument := range m.Container().Args {
		flag, value, valued := strings.Cut(argument, "=")
		if flag == "--"+name {
			if !valued {
				value = "true"
			}
			return value, true
		}
	}
	return "", false
}
