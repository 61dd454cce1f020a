package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// farFunctions are what servers and children can run, by name.
var farFunctions = map[string]farFunction{
	"echo": echoBack,
	"hold": holdOn,
}

func echoBack(_ context.Context, in []byte) ([]byte, error) { return in, nil }

// holdOn returns the id of its process; at once without an argument. With the
// address of a lookout it reports there, and stays until it is let go or ctx ends.
func holdOn(ctx context.Context, in []byte) ([]byte, error) {
	id := strconv.AppendInt(nil, int64(os.Getpid()), 10)
	if len(in) == 0 {
		return id, nil
	}
	nc, err := net.Dial("tcp", string(in))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	if _, err := fmt.Fprintf(nc, "%s\n", id); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	_, _ = io.Copy(io.Discard, nc)
	return id, context.Cause(ctx)
}

// lookout is where calls of holdOn report, and what holds them.
type lookout struct {
	listener net.Listener
	arrived  chan int // the ids of their processes
	tasks    sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	over  bool
}

func newLookout() (*lookout, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &lookout{listener: listener, arrived: make(chan int, 1024)}
	l.tasks.Go(l.accept)
	return l, nil
}

// Addr is the argument of calls that are to report here.
func (l *lookout) Addr() []byte { return []byte(l.listener.Addr().String()) }

// Await returns the processes of n calls when all of them run. ended is told by
// a call that has returned, which none should before.
func (l *lookout) Await(n int, ended <-chan error) ([]int, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	var ids []int
	for len(ids) < n {
		select {
		case id := <-l.arrived:
			ids = append(ids, id)
		case err := <-ended:
			return nil, fmt.Errorf("a call has returned that should be held: %w", errors.Join(err, errWrong))
		case <-late.C:
			return nil, fmt.Errorf("%d of %d calls have not begun after %v", n-len(ids), n, patience)
		}
	}
	return ids, nil
}

// Close lets all calls go.
func (l *lookout) Close() {
	l.mu.Lock()
	l.over = true
	_ = l.listener.Close()
	for _, nc := range l.conns {
		_ = nc.Close()
	}
	l.mu.Unlock()
	l.tasks.Wait()
}

func (l *lookout) accept() {
	for {
		nc, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		l.mu.Lock()
		if l.over {
			_ = nc.Close()
		}
		l.conns = append(l.conns, nc)
		l.mu.Unlock()
		l.tasks.Go(func() { l.greet(nc) })
	}
}

// greet notes who reports, and holds it until it is gone or let go.
func (l *lookout) greet(nc net.Conn) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	id, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return
	}
	l.arrived <- id // there is room for more than any row has in flight
	_, _ = io.Copy(io.Discard, r)
}
