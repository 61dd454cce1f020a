package harness

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Environment describes in one line what a table was measured on: processor,
// cores, Go, the given modules with the versions that were linked in, and the date.
func Environment(now time.Time, modules ...string) string {
	parts := []string{
		cpuModel(),
		fmt.Sprintf("%d cores (GOMAXPROCS %d)", runtime.NumCPU(), runtime.GOMAXPROCS(0)),
		fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH),
	}
	parts = append(parts, moduleVersions(modules)...)
	return strings.Join(append(parts, now.Format(time.DateOnly)), "; ")
}

// cpuModel reads the processor's name where the system tells it in a file.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// moduleVersions returns "name version" for those of paths that are linked in.
func moduleVersions(paths []string) []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	linked := make(map[string]string, len(info.Deps))
	for _, dep := range info.Deps {
		linked[dep.Path] = version(dep)
	}
	var found []string
	for _, path := range paths {
		if v, ok := linked[path]; ok {
			found = append(found, path+" "+v)
		}
	}
	return found
}

func version(m *debug.Module) string {
	if m.Replace != nil && (m.Replace.Version == "" || m.Replace.Version == "(devel)") {
		return "(this tree)" // replaced by a directory
	}
	return m.Version
}
