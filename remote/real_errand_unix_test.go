//go:build unix

package remote_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/task"
)

// errand is what a node process or a child does for a test.
type errand struct {
	N    int
	Log  string        // where it is noted before and after
	Gate string        // where it waits to be let go; empty: nowhere
	Work time.Duration // for which it is busy
	Body []byte        // that it brings back
}

type report struct {
	N, Pid int
	Body   []byte
}

var errands = task.MustNew(goErrand, task.Name("errand"))

func goErrand(ctx context.Context, e errand) (report, error) {
	if err := note(e.Log, '+', e.N); err != nil {
		return report{}, err
	}
	if err := wait(ctx, e.Gate, e.N); err != nil {
		return report{}, err
	}
	if e.Work > 0 {
		select {
		case <-time.After(e.Work):
		case <-ctx.Done():
			return report{}, context.Cause(ctx)
		}
	}
	return report{N: e.N, Pid: os.Getpid(), Body: e.Body}, note(e.Log, '-', e.N)
}

// note adds a line in one write, so that it is there or not, whenever the
// process is killed.
func note(path string, sign byte, n int) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%c %d %d\n", sign, n, os.Getpid())
	return err
}

// wait is what an errand does at a gate.
func wait(ctx context.Context, addr string, n int) error {
	if addr == "" {
		return nil
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if _, err := fmt.Fprintln(c, n, os.Getpid()); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, c) // until it opens
	return context.Cause(ctx)
}

// gate is where errands wait. Each says that it is there, in whatever process.
type gate struct {
	addr string
	came chan visitor

	mu   sync.Mutex
	open bool
	held []net.Conn
}

type visitor struct{ n, pid int }

func newGate(t *testing.T) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: l.Addr().String(), came: make(chan visitor, 10_000)}
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			loop.Go(func() { g.admit(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		g.opens()
		loop.Wait()
	})
	return g
}

func (g *gate) admit(c net.Conn) {
	var v visitor
	if _, err := fmt.Fscanln(bufio.NewReader(c), &v.n, &v.pid); err != nil {
		c.Close()
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.came <- v
	if g.open {
		c.Close()
		return
	}
	g.held = append(g.held, c)
}

// opens lets all go on, and who comes later.
func (g *gate) opens() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
	for _, c := range g.held {
		c.Close()
	}
	g.held = nil
}

// gathers waits for n errands and returns the process of each.
func (g *gate) gathers(t *testing.T, n int) map[int]int {
	t.Helper()
	at := make(map[int]int)
	for range n {
		v := await(t, "an errand at the gate", g.came)
		at[v.n] = v.pid
	}
	return at
}

// ledger is the log of executions, which all processes write.
type ledger string

func newLedger(t *testing.T) ledger { return ledger(filepath.Join(t.TempDir(), "ledger")) }

// runs are the executions of one errand.
type runs struct {
	begun []int // the processes in which it did
	ended int
}

func (l ledger) read(t *testing.T) map[int]runs {
	t.Helper()
	text, err := os.ReadFile(string(l))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	all := make(map[int]runs)
	for line := range strings.Lines(string(text)) {
		var sign byte
		var n, pid int
		if _, err := fmt.Sscanf(line, "%c %d %d\n", &sign, &n, &pid); err != nil {
			t.Fatalf("ledger: %q: %v", line, err)
		}
		r := all[n]
		if sign == '+' {
			r.begun = append(r.begun, pid)
		} else {
			r.ended++
		}
		all[n] = r
	}
	return all
}

// outcome is how an errand has ended, for its owner.
type outcome struct {
	got   report
	err   error
	at    time.Time
	times *atomic.Int64 // that it has ended
}

// follow submits errands and returns what waits for their outcomes.
func follow(t *testing.T, far *task.Task[errand, report], all []errand) func() []outcome {
	t.Helper()
	outcomes := make([]outcome, len(all))
	var left sync.WaitGroup
	for i, e := range all {
		o := &outcomes[i]
		o.times = new(atomic.Int64)
		left.Add(1)
		far.Submit(context.Background(), e).OnDone(func(r report, err error) {
			if o.times.Add(1) > 1 {
				return
			}
			o.got, o.err, o.at = r, err, time.Now()
			left.Done()
		})
	}
	return func() []outcome {
		t.Helper()
		done := make(chan struct{})
		go func() { left.Wait(); close(done) }()
		await(t, "the end of all errands", done)
		return outcomes
	}
}

// errandsFrom makes n of them, counted from first.
func errandsFrom(first, n int, e errand) []errand {
	all := make([]errand, n)
	for i := range all {
		all[i] = e
		all[i].N = first + i
	}
	return all
}
