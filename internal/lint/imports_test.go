package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/troupe-go/troupe"

// below lists, for each top folder with packages of the module, the folders
// whose packages it may import beside its own. internal is not in it: its
// packages may be imported from everywhere and count for whoever imports them.
var below = map[string][]string{
	"actor":      {},
	"supervisor": {"actor"},
	"limits":     {"actor"},
	"task":       {"actor", "supervisor", "limits"},
	"remote":     {"actor", "supervisor", "limits", "task"},
	"dashboard":  {"actor", "limits", "task"},
	"tasktest":   {"task"},
	"cmd":        {"dashboard"},
	"examples":   {"actor", "supervisor", "limits", "task", "remote", "dashboard", "tasktest"},
}

// testOnly are packages that no program should have linked in because it uses
// the library, here and in any package below them.
var testOnly = []string{
	"testing",
	"go.uber.org/goleak",
	"pgregory.net/rapid",
	"github.com/stretchr/testify",
	module + "/internal/faultnet",
}

// pkg is what go list says of a package without its tests.
type pkg struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

// faults returns what is wrong with the imports of a graph that holds the
// packages of the module and everything below them.
func faults(graph []pkg) []string {
	g := make(map[string]pkg)
	for _, p := range graph {
		g[p.ImportPath] = p
	}
	var found []string
	for _, p := range graph {
		if !p.Standard {
			found = append(found, testImports(p)...)
		}
		found = append(found, upwardImports(g, p)...)
	}
	slices.Sort(found)
	return found
}

// testImports looks at packages of other modules too: what they import, our
// users' programs contain.
func testImports(p pkg) []string {
	if top(p.ImportPath) == "tasktest" {
		return nil // made for tests
	}
	var found []string
	for _, imported := range p.Imports {
		for _, banned := range testOnly {
			if imported == banned || strings.HasPrefix(imported, banned+"/") {
				found = append(found, fmt.Sprintf("%s imports %s outside of its tests", p.ImportPath, imported))
			}
		}
	}
	return found
}

func upwardImports(g map[string]pkg, p pkg) []string {
	from := top(p.ImportPath)
	if from == "" || from == "internal" {
		return nil
	}
	allowed, known := below[from]
	if !known {
		return []string{fmt.Sprintf("%s: folder %s is not in the package table", p.ImportPath, from)}
	}
	var found []string
	for _, imported := range reached(g, p, make(map[string]bool)) {
		if to := top(imported); to != from && !slices.Contains(allowed, to) {
			found = append(found, fmt.Sprintf("%s imports %s: %s stands above it in the package table", p.ImportPath, imported, to))
		}
	}
	if from == "examples" {
		found = append(found, sharedExamples(p)...)
	}
	return found
}

// reached returns the packages of the module that p imports itself or through
// internal packages.
func reached(g map[string]pkg, p pkg, seen map[string]bool) []string {
	var found []string
	for _, imported := range p.Imports {
		switch to := top(imported); {
		case to == "" || seen[imported]:
		case to == "internal":
			seen[imported] = true
			found = append(found, reached(g, g[imported], seen)...)
		default:
			seen[imported] = true
			found = append(found, imported)
		}
	}
	return found
}

// sharedExamples: an example is read alone and copied.
func sharedExamples(p pkg) []string {
	var found []string
	for _, imported := range p.Imports {
		if to := top(imported); to == "examples" || to == "internal" {
			found = append(found, fmt.Sprintf("%s imports %s: an example stands alone", p.ImportPath, imported))
		}
	}
	return found
}

// top is the first folder of a package of the module; empty for its root and
// for packages of others.
func top(importPath string) string {
	rest, ours := strings.CutPrefix(importPath, module+"/")
	if !ours {
		return ""
	}
	folder, _, _ := strings.Cut(rest, "/")
	return folder
}

func TestImportsPointOneWayAndLeaveTestLibrariesOut(t *testing.T) {
	graph := list(t)
	if len(graph) == 0 {
		t.Fatal("go list found no package")
	}
	for _, fault := range faults(graph) {
		t.Error(fault)
	}
}

// list returns all packages of the module and all they import.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Standard", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	var graph []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return graph
		case err != nil:
			t.Fatalf("%v: %v", cmd, err)
		}
		graph = append(graph, p)
	}
}

func TestFaultsFindsWrongImports(t *testing.T) {
	ours := func(path string, imports ...string) pkg {
		return pkg{ImportPath: module + "/" + path, Imports: imports}
	}
	for name, c := range map[string]struct {
		graph []pkg
		want  string // a part of the only fault; empty: none
	}{
		"downwards": {
			graph: []pkg{ours("task", module+"/actor", module+"/internal/pool"), ours("internal/pool", module+"/actor"), ours("actor", "context")},
		},
		"within a folder": {
			graph: []pkg{ours("remote", module+"/remote/wire"), ours("remote/wire")},
		},
		"upwards": {
			graph: []pkg{ours("actor", module+"/task"), ours("task")},
			want:  "actor imports " + module + "/task",
		},
		"sideways": {
			graph: []pkg{ours("limits", module+"/supervisor"), ours("supervisor")},
			want:  "limits imports " + module + "/supervisor",
		},
		"upwards through internal packages": {
			graph: []pkg{ours("supervisor", module+"/internal/a"), ours("internal/a", module+"/internal/b"), ours("internal/b", module+"/task"), ours("task")},
			want:  "supervisor imports " + module + "/task",
		},
		"unknown folder": {
			graph: []pkg{ours("util")},
			want:  "util is not in the package table",
		},
		"test library": {
			graph: []pkg{ours("task", "testing/synctest")},
			want:  "task imports testing/synctest",
		},
		"test library of a dependency": {
			graph: []pkg{ours("actor", "example.com/dep"), {ImportPath: "example.com/dep", Imports: []string{"testing"}}},
			want:  "example.com/dep imports testing",
		},
		"helpers for tests": {
			graph: []pkg{ours("tasktest", "testing")},
		},
		"standard library": {
			graph: []pkg{{ImportPath: "testing/iotest", Imports: []string{"testing"}, Standard: true}},
		},
		"example on internals": {
			graph: []pkg{ours("examples/a", module+"/internal/progress"), ours("internal/progress")},
			want:  "an example stands alone",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := faults(c.graph)
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("got %q, want no fault", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("got %q, want one fault with %q", got, c.want)
			}
		})
	}
}
