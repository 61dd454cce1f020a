package main

import (
	"bufio"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// instruction is a line of a Dockerfile, with its continuations.
type instruction struct{ name, args string }

// stages splits a Dockerfile at FROM.
func stages(t *testing.T, text string) (all [][]instruction) {
	t.Helper()
	joined := strings.ReplaceAll(text, "\\\n", " ")
	for s := bufio.NewScanner(strings.NewReader(joined)); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, args, _ := strings.Cut(line, " ")
		if name == "FROM" {
			all = append(all, nil)
		}
		if len(all) == 0 {
			t.Fatalf("%q comes before FROM", line)
		}
		last := &all[len(all)-1]
		*last = append(*last, instruction{name: name, args: strings.TrimSpace(args)})
	}
	return all
}

// only returns the arguments of the one instruction of that name.
func only(t *testing.T, stage []instruction, name string) (args string) {
	t.Helper()
	n := 0
	for _, i := range stage {
		if i.name == name {
			n, args = n+1, i.args
		}
	}
	if n != 1 {
		t.Fatalf("%d times %s, want one", n, name)
	}
	return args
}

// words reads an argument in the form of JSON.
func words(t *testing.T, text string) (list []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) == 0 {
		t.Fatalf("%s: %v", text, err)
	}
	return list
}

// image is what the Dockerfile makes.
type image struct {
	build   string   // the command that makes the program
	output  string   // where that puts it
	program string   // in the image
	env     []string // of the program
	health  []string // command
}

func theImage(t *testing.T) image {
	t.Helper()
	all := stages(t, file(t, "Dockerfile"))
	if len(all) != 2 {
		t.Fatalf("%d stages, want two", len(all))
	}
	first, last := all[0], all[1]
	run := only(t, first, "RUN")
	command := strings.TrimSpace(regexp.MustCompile(`^(--mount=\S+\s+)*`).ReplaceAllString(run, ""))
	output := regexp.MustCompile(` -o (\S+) `).FindStringSubmatch(command)
	if output == nil {
		t.Fatalf("%q does not say where the program goes", command)
	}
	_, health, _ := strings.Cut(only(t, last, "HEALTHCHECK"), "CMD ")
	entry := words(t, only(t, last, "ENTRYPOINT"))
	if copied := strings.Fields(only(t, last, "COPY")); !slices.Equal(copied, []string{"--from=build", output[1], entry[0]}) {
		t.Errorf("COPY %q: want %s of the first stage at %s", copied, output[1], entry[0])
	}
	return image{
		build: command, output: output[1], program: entry[0],
		env: strings.Fields(only(t, last, "ENV")), health: words(t, health),
	}
}

func TestTheImageIsSmallAndWithoutRights(t *testing.T) {
	all := stages(t, file(t, "Dockerfile"))
	module, err := os.ReadFile(filepath.Join("..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	if from := only(t, all[0], "FROM"); version == nil || from != "golang:"+string(version[1])+" AS build" {
		t.Errorf("built FROM %s, the module wants go %s", from, version[1])
	}
	last := all[len(all)-1]
	if from := only(t, last, "FROM"); !strings.HasPrefix(from, "gcr.io/distroless/static") || !strings.HasSuffix(from, ":nonroot") {
		t.Errorf("FROM %s", from)
	}
	if user := only(t, last, "USER"); !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("USER %s: want numbers that are not root's", user) // Kubernetes' runAsNonRoot cannot tell from a name
	}
	if signal := only(t, last, "STOPSIGNAL"); signal != "SIGTERM" {
		t.Errorf("STOPSIGNAL %s", signal)
	}
	i := theImage(t)
	s := understood(t, i.env)
	if exposed := only(t, last, "EXPOSE"); s.listen != port || ":"+exposed != port {
		t.Errorf("it listens at %s and exposes %s, want %s", s.listen, exposed, port)
	}
	if i.health[0] != i.program || understood(t, i.env, i.health[1:]...).probe != ready {
		t.Errorf("HEALTHCHECK %q: want the program's probe", i.health)
	}
}

// The build takes its time where nothing is built yet: make test looks only whether its command is right.
func TestTheBuildOfTheImageBuilds(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the command is one of a Unix shell")
	}
	i := theImage(t)
	program := filepath.Join(t.TempDir(), "worker")
	command := strings.ReplaceAll(i.build, i.output, program)
	if testing.Short() {
		command = strings.Replace(command, "go build", "go build -n", 1)
	}
	build := exec.CommandContext(t.Context(), "sh", "-ec", command)
	build.Dir = ".." // as WORKDIR says
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	if testing.Short() || runtime.GOOS != "linux" {
		return
	}
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("the program wants %q, %v: the image has no libraries", libs, err)
	}
}
