package child

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExecutableThatIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	p := program{path: path, info: info}
	if got, err := p.executable(); got != path || err != nil {
		t.Errorf("unchanged: got %q, %v", got, err)
	}
	write("another")
	for what, change := range map[string]func(){"replaced": func() {}, "deleted": func() { os.Remove(path) }} {
		change()
		got, err := p.executable()
		if image := runningImage(); image != "" {
			if got != image || err != nil {
				t.Errorf("%s: got %q, %v", what, got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %q, %v", what, got, err)
		}
	}
	if _, err := (program{err: os.ErrNotExist}).executable(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("unknown: %v", err)
	}
}

func TestMarkIsReadAsWritten(t *testing.T) {
	m := mark{depth: 2, in: 3, out: 4, grace: time.Second, memoryLimit: 1 << 40}
	if got, err := parseMark(m.String()); got != m || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, text := range []string{"", "1", "yes", "2,1,3,4,1,0", m.String() + " ", "1,0,3,4,1,0", "1,1,3,4,0,0", "1,1,3,4,1,-1"} {
		if got, err := parseMark(text); err == nil || got != (mark{}) {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}
