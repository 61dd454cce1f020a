package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFlagsComeBeforeTheEnvironment(t *testing.T) {
	env := map[string]string{"WORKER_LISTEN": ":1", "WORKER_DRAIN": "3s", "WORKER_CAPACITY": "7"}
	s, err := parse([]string{"-listen", ":2", "-probe=alive"}, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if s.listen != ":2" || s.drain != 3*time.Second || s.capacity != 7 || s.probe != alive {
		t.Errorf("got %+v", s)
	}
}

func TestWrongSettingsAreErrors(t *testing.T) {
	dir := t.TempDir()
	empty, text := filepath.Join(dir, "empty"), filepath.Join(dir, "text")
	for file, content := range map[string]string{empty: "\n", text: "no certificate"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for want, c := range map[string]struct {
		env  map[string]string
		args []string
	}{
		"WORKER_DRAIN":                        {env: map[string]string{"WORKER_DRAIN": "soon"}},
		"WORKER_CAPACITY":                     {env: map[string]string{"WORKER_CAPACITY": "many"}},
		`unexpected argument "more"`:          {args: []string{"more"}},
		"not defined: -colour":                {args: []string{"-colour", "red"}},
		"must not be negative":                {args: []string{"-drain", "-1s"}},
		"-probe-within be positive":           {args: []string{"-probe-within", "0s"}},
		`-probe "happy": want ready or alive`: {args: []string{"-probe", "happy"}},
		"token: open":                         {args: []string{"-token-file", filepath.Join(dir, "none")}},
		"empty is empty":                      {args: []string{"-token-file", empty}},
		"-tls-cert, -tls-key and -tls-ca":     {args: []string{"-tls-cert", text}},
		"certificate: ":                       {args: []string{"-tls-cert", text, "-tls-key", text, "-tls-ca", text}},
		"is not the loopback interface":       {args: []string{"-listen", ":0"}},
		"a probe has to know the port":        {args: []string{"-listen", ":0", "-probe", "ready"}},
		"missing port in address":             {args: []string{"-listen", "here", "-probe", "ready"}},
		"Capacity -1":                         {args: []string{"-capacity", "-1"}},
	} {
		t.Run(want, func(t *testing.T) {
			env := maps.Clone(c.env)
			s, err := parse(c.args, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
			if err == nil {
				err = run(t.Context(), s, nil)
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestAProbeOfNobodyFailsInTime(t *testing.T) {
	for _, what := range []string{ready, alive} {
		s := settings{listen: "127.0.0.1:1", probe: what, probeWithin: 50 * time.Millisecond}
		if err := run(t.Context(), s, nil); err == nil || !strings.Contains(err.Error(), "not "+what+" after 50ms") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestLocalFindsAnAddressOfThisMachine(t *testing.T) {
	for listen, want := range map[string]string{
		":7000": "localhost:7000", "0.0.0.0:7000": "localhost:7000", "[::]:7000": "localhost:7000",
		"10.0.0.7:7000": "10.0.0.7:7000", "node-1:7000": "node-1:7000", "[::1]:7000": "[::1]:7000",
	} {
		if got, err := local(listen); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", listen, got, err, want)
		}
	}
}
