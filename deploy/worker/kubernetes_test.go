package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// manifests are the objects of kubernetes.yaml.
type manifests struct {
	service core.Service
	set     apps.StatefulSet
	budget  policy.PodDisruptionBudget
	network networking.NetworkPolicy
}

// theManifests reads them as Kubernetes does with strict validation: a key that it does not know, or twice, is an error.
func theManifests(t *testing.T) (m manifests) {
	t.Helper()
	want := map[string]any{"Service": &m.service, "StatefulSet": &m.set, "PodDisruptionBudget": &m.budget, "NetworkPolicy": &m.network}
	for document := range strings.SplitSeq(file(t, "kubernetes.yaml"), "\n---\n") {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatal(err)
		}
		object := want[kind.Kind]
		if object == nil {
			t.Fatalf("a %q was not expected, or is there twice", kind.Kind)
		}
		delete(want, kind.Kind)
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Fatalf("%s: %v", kind.Kind, err)
		}
		versions := map[string]string{"Service": "v1", "StatefulSet": "apps/v1", "PodDisruptionBudget": "policy/v1", "NetworkPolicy": "networking.k8s.io/v1"}
		if kind.APIVersion != versions[kind.Kind] {
			t.Errorf("%s: apiVersion %s, want %s", kind.Kind, kind.APIVersion, versions[kind.Kind])
		}
	}
	if len(want) > 0 {
		t.Fatalf("not there: %v", want)
	}
	return m
}

// container is the worker's, and its environment in the pod of that name.
func (m manifests) container(t *testing.T, pod string) (c core.Container, env []string) {
	t.Helper()
	if n := len(m.set.Spec.Template.Spec.Containers); n != 1 {
		t.Fatalf("%d containers, want one", n)
	}
	c = m.set.Spec.Template.Spec.Containers[0]
	known := map[string]string{}
	for _, e := range c.Env {
		value := e.Value
		if e.ValueFrom != nil {
			if e.ValueFrom.FieldRef == nil || e.ValueFrom.FieldRef.FieldPath != "metadata.name" {
				t.Fatalf("%s: this test knows the name of the pod only", e.Name)
			}
			value = pod
		}
		for name, v := range known { // those before, as Kubernetes does
			value = strings.ReplaceAll(value, "$("+name+")", v)
		}
		known[e.Name] = value
		env = append(env, e.Name+"="+value)
	}
	return c, env
}

func TestTheManifestsBelongTogether(t *testing.T) {
	m := theManifests(t)
	c, env := m.container(t, "worker-0")
	s := understood(t, env, c.Args...)
	pod := m.set.Spec.Template
	labels := pod.Labels
	for what, selector := range map[string]map[string]string{
		"Service": m.service.Spec.Selector, "StatefulSet": m.set.Spec.Selector.MatchLabels,
		"PodDisruptionBudget": m.budget.Spec.Selector.MatchLabels, "NetworkPolicy": m.network.Spec.PodSelector.MatchLabels,
	} {
		for key, value := range selector {
			if labels[key] != value {
				t.Errorf("%s selects %s: %s, the pods have %v", what, key, value, labels)
			}
		}
		if len(selector) == 0 {
			t.Errorf("%s selects everything", what)
		}
	}
	if m.service.Spec.ClusterIP != core.ClusterIPNone || m.set.Spec.ServiceName != m.service.Name {
		t.Errorf("pods have names of Service %s, and %s has the address %q", m.set.Spec.ServiceName, m.service.Name, m.service.Spec.ClusterIP)
	}
	if want := "worker-0." + m.service.Name + port; s.advertise != want || s.listen != port {
		t.Errorf("it listens at %s and advertises %s, want %s and %s", s.listen, s.advertise, port, want)
	}
	if len(c.Ports) != 1 || len(m.service.Spec.Ports) != 1 || len(m.network.Spec.Ingress) != 1 || len(m.network.Spec.Ingress[0].Ports) != 1 {
		t.Fatal("want one port everywhere")
	}
	name := c.Ports[0].Name
	if p := m.service.Spec.Ports[0]; p.TargetPort.String() != name || p.Port != c.Ports[0].ContainerPort || c.Ports[0].ContainerPort != 7000 {
		t.Errorf("the Service sends %d to %s, the container has %s at %d", p.Port, p.TargetPort.String(), name, c.Ports[0].ContainerPort)
	}
	if p := m.network.Spec.Ingress[0].Ports[0]; p.Port.String() != name {
		t.Errorf("the NetworkPolicy lets %s in, want %s", p.Port, name)
	}
	mount, volume := c.VolumeMounts[0], pod.Spec.Volumes[0]
	if filepath.Dir(s.tokenFile) != mount.MountPath || volume.Name != mount.Name || volume.Secret == nil {
		t.Fatalf("the token is read from %s, the secret is at %s", s.tokenFile, mount.MountPath)
	}
	made := "kubectl create secret generic " + volume.Secret.SecretName + " --from-file=" + filepath.Base(s.tokenFile) + "\n"
	if !strings.Contains(file(t, "kubernetes.yaml"), made) {
		t.Errorf("the comment at the top does not make the secret: %q", made)
	}
	for i := range *m.set.Spec.Replicas { // the comment at the top names them
		if addr := "worker-" + string(rune('0'+i)) + "." + m.service.Name + port; !strings.Contains(file(t, "kubernetes.yaml"), `"`+addr+`"`) {
			t.Errorf("%s is not named as an address", addr)
		}
	}
}

func TestTheManifestsGiveTimeAndTakeRights(t *testing.T) {
	m := theManifests(t)
	c, env := m.container(t, "worker-0")
	s := understood(t, env, c.Args...)
	pod := m.set.Spec.Template.Spec
	outlasts(t, time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second, s)
	for name, p := range map[string]*core.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		if p == nil || p.Exec == nil || p.Exec.Command[0] != theImage(t).program {
			t.Fatalf("%s: want the program as its own probe", name)
		}
		kind := map[bool]string{true: ready, false: alive}[name == "readiness"]
		at := understood(t, env, p.Exec.Command[1:]...)
		if at.probe != kind || time.Duration(p.TimeoutSeconds)*time.Second <= at.probeWithin {
			t.Errorf("%s probe: -probe %s within %d s, want %s, and longer than %v", name, at.probe, p.TimeoutSeconds, kind, at.probeWithin)
		}
	}
	if u := pod.SecurityContext; !*u.RunAsNonRoot || *u.RunAsUser == 0 || u.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod: %+v", u)
	}
	if u := c.SecurityContext; *u.AllowPrivilegeEscalation || !*u.ReadOnlyRootFilesystem || !slices.Equal(u.Capabilities.Drop, []core.Capability{"ALL"}) {
		t.Errorf("container: %+v", u)
	}
	if *pod.AutomountServiceAccountToken {
		t.Error("it needs no token of Kubernetes")
	}
	for _, kind := range []core.ResourceName{core.ResourceCPU, core.ResourceMemory} {
		request, limit := c.Resources.Requests[kind], c.Resources.Limits[kind]
		if request.IsZero() || limit.Cmp(request) < 0 {
			t.Errorf("%s: request %s, limit %s", kind, request.String(), limit.String())
		}
	}
	if got := m.network.Spec.Ingress[0].From; len(got) != 1 || len(got[0].PodSelector.MatchLabels) == 0 {
		t.Errorf("the NetworkPolicy lets %v in", got)
	}
}
