//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each deployment's own commands and variables, with a port and a place for the token of the test.

func relocated(t *testing.T, env []string) []string {
	t.Helper()
	var here []string
	for _, entry := range env {
		switch name, _, _ := strings.Cut(entry, "="); name {
		case "WORKER_LISTEN": // launch and probe set it
		case "WORKER_ADVERTISE": // a name that only the cluster knows
		case "WORKER_TOKEN_FILE":
			here = append(here, tokenFile(t))
		default:
			here = append(here, entry)
		}
	}
	return here
}

func TestTheImageRuns(t *testing.T) {
	i := theImage(t)
	drains(t, relocated(t, i.env), nil, i.health[1:], []string{"-probe=alive"})
}

func TestThePodRuns(t *testing.T) {
	m := theManifests(t)
	c, env := m.container(t, "worker-0")
	if len(c.Command) > 0 {
		t.Errorf("command %q: want the image's", c.Command)
	}
	drains(t, relocated(t, env), c.Args, c.ReadinessProbe.Exec.Command[1:], c.LivenessProbe.Exec.Command[1:])
}

func TestTheUnitRuns(t *testing.T) {
	u, dir := theUnit(t), t.TempDir()
	credential, _, _ := strings.Cut(u.one(t, "Service", "LoadCredential"), ":")
	if err := os.WriteFile(filepath.Join(dir, credential), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, entry := range u.environment(dir) {
		if !strings.HasPrefix(entry, "WORKER_LISTEN=") {
			env = append(env, entry)
		}
	}
	drains(t, env, strings.Fields(u.one(t, "Service", "ExecStart"))[1:], []string{"-probe=ready"}, []string{"-probe=alive"})
}
