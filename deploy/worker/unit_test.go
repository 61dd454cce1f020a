package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// file reads a file of the deployment.
func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unit is a unit file: the values of each key of each section.
type unit map[string]map[string][]string

func parseUnit(t *testing.T, text string) unit {
	t.Helper()
	u, section := make(unit), ""
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		key, value, assigned := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
			u[section] = make(map[string][]string)
		case !assigned || section == "" || strings.TrimSpace(key) != key || strings.HasSuffix(value, `\`):
			t.Errorf("no line of a unit file as this test knows it: %q", line)
		default:
			u[section][key] = append(u[section][key], value)
		}
	}
	return u
}

// one is the value of a key that is there once.
func (u unit) one(t *testing.T, section, key string) string {
	t.Helper()
	values := u[section][key]
	if len(values) != 1 {
		t.Fatalf("[%s] %s: got %q, want one value", section, key, values)
	}
	return values[0]
}

// environment is what the unit gives the program, with its credentials in dir.
func (u unit) environment(dir string) (env []string) {
	for _, line := range u["Service"]["Environment"] {
		env = append(env, strings.Fields(strings.ReplaceAll(line, "%d", dir))...)
	}
	return env
}

func theUnit(t *testing.T) unit { return parseUnit(t, file(t, "worker.service")) }

func TestTheUnitSaysWhatTheProgramReliesOn(t *testing.T) {
	u := theUnit(t)
	for key, want := range map[string]string{
		"Type": "notify", "NotifyAccess": "main", "Restart": "always", "KillSignal": "SIGTERM", "KillMode": "mixed",
		"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "",
		"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", // AF_UNIX for Type=notify
	} {
		if got := u.one(t, "Service", key); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	if got := u.one(t, "Unit", "StartLimitIntervalSec"); got != "0" {
		t.Errorf("StartLimitIntervalSec=%s: it would give up restarting", got)
	}
	if got := u.one(t, "Install", "WantedBy"); got != "multi-user.target" {
		t.Errorf("WantedBy=%s", got)
	}
	env := u.environment("/credentials")
	s := understood(t, env, strings.Fields(u.one(t, "Service", "ExecStart"))[1:]...)
	grace, err := time.ParseDuration(u.one(t, "Service", "TimeoutStopSec") + "s")
	if err != nil {
		t.Fatal(err)
	}
	outlasts(t, grace, s)
	credential, _, _ := strings.Cut(u.one(t, "Service", "LoadCredential"), ":")
	if want := "/credentials/" + credential; s.tokenFile != want {
		t.Errorf("the program reads its token from %s, the unit puts it at %s", s.tokenFile, want)
	}
	if s.listen != port {
		t.Errorf("it listens at %s, want %s as everywhere", s.listen, port)
	}
}

// port is where every deployment listens.
const port = ":7000"

// understood parses a deployment's variables and arguments as the program does, and fails the test for a variable that
// is meant for it and that it does not know.
func understood(t *testing.T, env []string, args ...string) settings {
	t.Helper()
	var s settings
	flags, vars := s.flags(), make(map[string]string)
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		vars[name] = value
		if rest, ours := strings.CutPrefix(name, "WORKER_"); ours && flags.Lookup(strings.ReplaceAll(strings.ToLower(rest), "_", "-")) == nil {
			t.Errorf("%s is no flag of the program", name)
		}
	}
	s, err := parse(args, func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// outlasts fails the test unless whoever ends the program gives it the time to drain, and some more.
func outlasts(t *testing.T, grace time.Duration, s settings) {
	t.Helper()
	if grace < s.drain+5*time.Second {
		t.Errorf("the program is killed after %v, and may drain for %v", grace, s.drain)
	}
}

func TestSystemdAcceptsTheUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze, of systemd, is not installed")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(file(t, "worker.service"), "\nExecStart=/usr/local/bin/worker", "\nExecStart="+program, 1) // which has to exist
	path := filepath.Join(t.TempDir(), "worker.service")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", path).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

func TestParseUnitFindsWhatItDoesNotKnow(t *testing.T) {
	u := parseUnit(t, "# a comment\n[A]\nx=1\nx=2 = 3\n\n[B]\ny=\n")
	if got := u["A"]["x"]; !slices.Equal(got, []string{"1", "2 = 3"}) || u.one(t, "B", "y") != "" {
		t.Errorf("got %v", u)
	}
}
