package child

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// markKey is the environment variable that makes a process a child.
const markKey = "TROUPE_CHILD"

// maxDepth bounds children of children of children, which a function that
// calls itself through child processes would otherwise make without end.
const maxDepth = 4

// mark is the value of that variable: nothing secret.
type mark struct {
	depth       int           // 1 for a child of a program that is none
	in, out     uintptr       // what the child reads the bootstrap from and writes its frames to
	grace       time.Duration // KillGrace
	memoryLimit int64         // soft limit of the collector; 0 for none
}

const markFormat = "1,%d,%d,%d,%d,%d"

func (m mark) String() string {
	return fmt.Sprintf(markFormat, m.depth, m.in, m.out, m.grace, m.memoryLimit)
}

func parseMark(text string) (m mark, err error) {
	_, err = fmt.Sscanf(text, markFormat, &m.depth, &m.in, &m.out, &m.grace, &m.memoryLimit)
	if err != nil || m.String() != text || m.depth < 1 || m.grace <= 0 || m.memoryLimit < 0 {
		return mark{}, fmt.Errorf("child: the environment variable %s is %q: it is reserved", markKey, text)
	}
	return m, nil
}

// What this process found when it began.
var (
	self       = locate()
	ours       mark  // depth 0: not a child
	errForeign error // the mark is not one of ours
)

// The mark is taken before main begins, so that whatever this process starts
// afterwards, by whatever way, neither takes itself for a child nor holds our
// pipes open.
func init() {
	text, ok := os.LookupEnv(markKey)
	if !ok {
		return
	}
	if err := os.Unsetenv(markKey); err != nil {
		errForeign = fmt.Errorf("child: %w", err)
		return
	}
	if ours, errForeign = parseMark(text); errForeign != nil {
		return
	}
	closeOnExec(ours.in)
	closeOnExec(ours.out)
	if limit := ours.memoryLimit; limit > 0 && debug.SetMemoryLimit(-1) > limit {
		debug.SetMemoryLimit(limit)
	}
}

// program is the executable of this process.
type program struct {
	path string
	info os.FileInfo // nil if the file was not there any more
	err  error       // path is not known
}

func locate() program {
	path, err := os.Executable()
	if err != nil {
		return program{err: err}
	}
	info, err := os.Stat(path)
	if err != nil {
		info = nil // it was deleted already
	}
	return program{path: path, info: info}
}

// executable returns what to execute to get this very program again.
func (p program) executable() (string, error) {
	if p.err != nil {
		return "", fmt.Errorf("child: the executable of this program is unknown: %w", p.err)
	}
	now, err := os.Stat(p.path)
	if err == nil && p.info != nil && unchanged(p.info, now) {
		return p.path, nil
	}
	if path := runningImage(); path != "" {
		return path, nil
	}
	if err == nil {
		err = errors.New("it was replaced since this program began")
	}
	return "", fmt.Errorf("child: the executable %s cannot be started again: %w", p.path, err)
}

func unchanged(then, now os.FileInfo) bool {
	return os.SameFile(then, now) && then.Size() == now.Size() && then.ModTime().Equal(now.ModTime())
}
