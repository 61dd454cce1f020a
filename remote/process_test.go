package remote_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

func TestMain(m *testing.M) {
	if os.Getenv(forgetful) == "" {
		remote.Main()
	}
	// The race detector would let every child sleep for a second at its exit.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	if life := os.Getenv(otherLife); life != "" {
		os.Exit(otherLives[life]())
	}
	goleak.VerifyTestMain(m)
}

const (
	forgetful = "REMOTE_TEST_FORGETFUL" // set: TestMain forgets remote.Main
	otherLife = "REMOTE_TEST_LIFE"      // what the process does in place of the tests
)

// otherLives are what the test binary does if a test executes it; each returns
// the exit code.
var otherLives = map[string]func() int{}

// order is what deed does in a child.
type order struct {
	Do  string
	N   int
	Arg string
	Log string // a file to which a line with N is appended at the beginning
}

var deed = task.MustNew(obey, task.Name("deed"))

var cube = task.MustNew(func(_ context.Context, x int) (int, error) { return x * x * x, nil }, task.Name("cube"), task.Workers(2))

var deeds = map[string]func(ctx context.Context, o order) (string, error){
	"echo":  func(_ context.Context, o order) (string, error) { return o.Arg, nil },
	"fail":  func(_ context.Context, o order) (string, error) { return "", errors.New(o.Arg) },
	"pid":   func(context.Context, order) (string, error) { return fmt.Sprint(os.Getpid()), nil },
	"env":   func(_ context.Context, o order) (string, error) { return os.Getenv(o.Arg), nil },
	"exit":  func(_ context.Context, o order) (string, error) { os.Exit(o.N); return "", nil },
	"panic": func(_ context.Context, o order) (string, error) { panic(o.Arg) },
	"die":   func(_ context.Context, o order) (string, error) { go panic(o.Arg); select {} },
	"deep": func(context.Context, order) (string, error) {
		debug.SetMaxStack(1 << 20)
		return fmt.Sprint(fall(1)), nil
	},
	"maps":  func(context.Context, order) (string, error) { writeMap(); return "", nil },
	"wild":  func(context.Context, order) (string, error) { scribble(0xdead0000); return "", nil },
	"hog":   func(context.Context, order) (string, error) { return hog(), nil },
	"limit": func(context.Context, order) (string, error) { return fmt.Sprint(debug.SetMemoryLimit(-1)), nil },
	"print": func(_ context.Context, o order) (string, error) {
		fmt.Println(o.Arg)
		fmt.Fprint(os.Stderr, o.Arg, " again\nand ", "on\n")
		return "", nil
	},
	"cube": func(ctx context.Context, o order) (string, error) {
		v, err := cube.Call(ctx, o.N)
		return fmt.Sprint(v), err
	},
	// late takes N ms, whatever its ctx says.
	"late": func(_ context.Context, o order) (string, error) {
		<-time.After(time.Duration(o.N) * time.Millisecond)
		return fmt.Sprint(os.Getpid()), nil
	},
	"noisy death": func(_ context.Context, o order) (string, error) {
		for range o.N {
			fmt.Fprintln(os.Stderr, o.Arg)
		}
		os.Exit(7)
		return "", nil
	},
	"block": func(ctx context.Context, o order) (string, error) {
		fmt.Println("begun", o.N)
		<-ctx.Done()
		return "", context.Cause(ctx)
	},
	"spin": func(ctx context.Context, o order) (string, error) {
		fmt.Println("begun", o.N)
		for {
			spin(ctx)
		}
	},
}

//go:noinline
func spin(context.Context) {}

func obey(ctx context.Context, o order) (string, error) {
	if o.Log != "" {
		f, err := os.OpenFile(o.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return "", err
		}
		defer f.Close()
		if _, err := fmt.Fprintln(f, o.N); err != nil {
			return "", err
		}
	}
	do := deeds[o.Do]
	if do == nil {
		return "", fmt.Errorf("no deed %q", o.Do)
	}
	return do(ctx, o)
}

func fall(n int) int {
	if n == 0 {
		return 0
	}
	return fall(n+1) + 1
}

//go:nocheckptr
func scribble(at uintptr) { **(**int)(unsafe.Pointer(&at)) = 1 }

func writeMap() {
	m := make(map[int]int)
	for {
		go func() {
			for i := range 1 << 20 {
				m[i%8] = i
			}
		}()
	}
}

var hoard [][]byte

func hog() string {
	for {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = byte(i)
		}
		hoard = append(hoard, b)
	}
}

// journal is the log of a System: what children print, among the rest.
type journal struct {
	slog.Handler
	mu    *sync.Mutex
	lines *[]entry
	more  *sync.Cond
}

type entry struct {
	text  string
	attrs map[string]string
}

func newJournal() journal {
	mu := new(sync.Mutex)
	return journal{Handler: slog.DiscardHandler, mu: mu, lines: new([]entry), more: sync.NewCond(mu)}
}

func (j journal) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs and Handle keep the attributes with the text.
func (j journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return bound{journal: j, attrs: attrs}
}

func (j journal) Handle(_ context.Context, r slog.Record) error {
	j.add(r, nil)
	return nil
}

func (j journal) add(r slog.Record, attrs []slog.Attr) {
	e := entry{text: r.Message, attrs: make(map[string]string)}
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	for _, a := range attrs {
		e.attrs[a.Key] = a.Value.String()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	*j.lines = append(*j.lines, e)
	j.more.Broadcast()
}

// await returns the first entry with that text, also a later one.
func (j journal) await(text string) entry { return j.awaitNth(text, 1) }

// awaitNth returns the nth.
func (j journal) awaitNth(text string, n int) (found entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		left := n
		for _, e := range *j.lines {
			if e.text == text && left > 0 {
				found = e
				left--
			}
		}
		if left == 0 {
			return found
		}
		j.more.Wait()
	}
}

func (j journal) count(text string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range *j.lines {
		if e.text == text {
			n++
		}
	}
	return n
}

type bound struct {
	journal
	attrs []slog.Attr
}

func (b bound) Handle(_ context.Context, r slog.Record) error {
	b.add(r, slices.Clone(b.attrs))
	return nil
}

// inChildren makes deed's pool in n children of a System of its own.
func inChildren(t *testing.T, n int, p []remote.ProcessOption, opts ...task.Option) (*task.Task[order, string], journal) {
	t.Helper()
	j := newJournal()
	sys := actor.NewSystem(actor.Logger(slog.New(j)))
	far := deed.On(remote.Processes(n, p...), append([]task.Option{task.System(sys)}, opts...)...)
	t.Cleanup(func() { far.Stop() })
	return far, j
}

// inSystem makes deed's pool at p, in a System of its own.
func inSystem(t *testing.T, p task.Placement, opts ...task.Option) (*task.Task[order, string], *actor.System) {
	t.Helper()
	sys := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	far := deed.On(p, append([]task.Option{task.System(sys)}, opts...)...)
	t.Cleanup(func() { far.Stop() })
	return far, sys
}

// patient never runs out of restarts.
var patient = task.Supervise(supervisor.Policy{MaxRestarts: -1})

func quick(d time.Duration) []remote.ProcessOption {
	return []remote.ProcessOption{remote.KillGrace(d)}
}

// wantCrash fails the test unless err is a crash that match accepts.
func wantCrash(t *testing.T, err error, match func(*task.CrashError) bool) {
	t.Helper()
	var crash *task.CrashError
	if !errors.As(err, &crash) || !errors.Is(err, task.ErrLost) || !match(crash) {
		t.Errorf("got %v (%+v), want another crash", err, crash)
	}
}

// wantEcho fails the test unless the pool works.
func wantEcho(t *testing.T, far *task.Task[order, string]) {
	t.Helper()
	if v, err := far.Call(t.Context(), order{Do: "echo", Arg: "here"}); v != "here" || err != nil {
		t.Errorf("the pool answers %q, %v", v, err)
	}
}
