package child

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"
)

// A Child is this process, seen from inside, if a parent started it. It is
// safe for concurrent use.
type Child struct {
	orphaned  chan struct{}
	bootstrap func() ([]byte, error)

	mu    sync.Mutex
	out   *os.File // nil once Ready was called
	ready error    // of the announcement in Role
}

var claim struct {
	mu    sync.Mutex
	child *Child
}

// Role reports whether this process was started by [Start], and claims the
// part: it tells the parent, and from then on this process watches for the
// parent's end and may start children itself. Calling it again returns the
// same Child.
//
// Afterwards stdin is empty: what Start put there belongs to the Child. One
// goroutine runs from here to the end of the process; it ends the process
// with exit code 1 if it is still there KillGrace and a second after its
// parent has gone, whatever main does.
func Role() (*Child, bool) {
	claim.mu.Lock()
	defer claim.mu.Unlock()
	if ours.depth == 0 {
		return nil, false
	}
	if claim.child == nil {
		claim.child = newChild(ours)
	}
	return claim.child, true
}

// unclaimed returns why this process may not start children, if so. Asked for
// by Start, it also tells the parent.
func unclaimed() error {
	claim.mu.Lock()
	defer claim.mu.Unlock()
	switch {
	case errForeign != nil:
		return errForeign
	case ours.depth >= maxDepth:
		return fmt.Errorf("child: this process is a child of a child, %d deep: it may not have children", ours.depth)
	case ours.depth > 0 && claim.child == nil:
		// The parent learns it even if this error is dropped. Its answer is
		// a kill: a program that got here does its main work a second time.
		_, err := parent().Write(appendFrame(nil, frameRefused, nil))
		return errors.Join(ErrMainMissing, err)
	}
	return nil
}

// parent is where frames go. It is made once: a second os.File for the same
// descriptor would close it when collected.
var parent = sync.OnceValue(func() *os.File { return os.NewFile(ours.out, "parent") })

func newChild(m mark) *Child {
	c := &Child{
		orphaned:  make(chan struct{}),
		bootstrap: sync.OnceValues(func() ([]byte, error) { return takeBootstrap(m.in) }),
		out:       parent(),
	}
	_, c.ready = c.out.Write(appendFrame(nil, frameClaimed, nil))
	stdin, err := takeStdin()
	if err != nil {
		// Without it there is no telling when the parent goes, and so no
		// living on.
		fmt.Fprintln(os.Stderr, err)
		close(c.orphaned)
		return c
	}
	go c.watch(stdin, patienceAfter(m.grace))
	return c
}

// patienceAfter is how long an orphan may live: longer than its parent would
// have let it. A grace of ever is for ever.
func patienceAfter(grace time.Duration) time.Duration {
	return min(grace, math.MaxInt64-time.Second) + time.Second
}

func takeBootstrap(fd uintptr) ([]byte, error) {
	in := os.NewFile(fd, "bootstrap")
	defer in.Close()
	b, err := readBootstrap(in)
	if err != nil {
		return nil, fmt.Errorf("child: bootstrap: %w", err)
	}
	return b, nil
}

// watch waits for the end of stdin. The parent never writes to it.
func (c *Child) watch(stdin *os.File, patience time.Duration) {
	for buf := make([]byte, 64); ; {
		if _, err := stdin.Read(buf); err != nil {
			break
		}
	}
	close(c.orphaned)
	time.Sleep(patience)
	os.Exit(1)
}

// Bootstrap returns [Config.Bootstrap] of the parent. It blocks until all of
// it has arrived, and fails if the parent goes before. The bytes are the same
// at every call, and shared.
func (c *Child) Bootstrap() ([]byte, error) { return c.bootstrap() }

// Ready tells the parent that this process is ready to work; payload, of at
// most 1 MiB, is what [Process.Ready] returns there. It can be called once.
func (c *Child) Ready(payload []byte) error {
	if len(payload) > maxReady {
		return fmt.Errorf("child: Ready with %d bytes: want at most %d", len(payload), maxReady)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil {
		return errors.New("child: Ready was called before")
	}
	_, err := c.out.Write(appendFrame(nil, frameReady, payload))
	err = errors.Join(c.ready, err, c.out.Close())
	c.out = nil
	if err != nil {
		return fmt.Errorf("child: ready: %w", err)
	}
	return nil
}

// Orphaned is closed when the parent has gone or has called [Process.Stop].
// The process should then end, and with exit code 0 if all is well.
func (c *Child) Orphaned() <-chan struct{} { return c.orphaned }
