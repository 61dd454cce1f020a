//go:build unix

package child

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestKilledFromOutside(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "work", Config{})
	ready(t, p)
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	got := ended(t, p)
	if got.Reason != Crashed || got.Signal != syscall.SIGKILL || got.ExitCode != -1 {
		t.Errorf("got %+v", got)
	}
	if want := fmt.Sprintf("child: process %d crashed: signal: killed", p.PID()); p.Err().Error() != want {
		t.Errorf("got %q, want %q", p.Err(), want)
	}
}

func TestSuspendedChildIsKilled(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "work", Config{})
	ready(t, p)
	if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Kill(Recycle)
	p.Kill(Grace)
	if got := ended(t, p); got.Reason != Recycle || got.Signal != syscall.SIGKILL {
		t.Errorf("got %+v", got)
	}
}

func TestChildThatIgnoresAllIsKilledAfterItsGrace(t *testing.T) {
	t.Parallel()
	const grace = 300 * time.Millisecond
	p, r := started(t, "stubborn", Config{KillGrace: grace})
	ready(t, p)
	if err := syscall.Kill(p.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < grace || took > grace+5*time.Second {
		t.Errorf("it took %v", took)
	}
	if got := p.exit; got.Reason != Grace || got.Signal != syscall.SIGKILL {
		t.Errorf("got %+v", got)
	}
	if got := r.text(Stdout); got != "no\n" {
		t.Errorf("it printed %q", got)
	}
}

func TestInterruptOfTheTerminalDoesNotReachTheChild(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "work", Config{})
	if got, err := syscall.Getpgid(p.PID()); got != p.PID() || err != nil {
		t.Errorf("process group: got %d, %v, want %d", got, err, p.PID())
	}
}

// Whoever holds the pipes of a child that has ended delays nobody.
func TestPipesThatStayOpenDelayTheEndBriefly(t *testing.T) {
	t.Parallel()
	p, r := started(t, "leaver", Config{})
	var holder int
	fmt.Sscan(string(ready(t, p)), &holder)
	got := ended(t, p)
	if err := syscall.Kill(holder, syscall.SIGKILL); err != nil {
		t.Errorf("the process that holds them: %v", err)
	}
	if got.Reason != Crashed || got.ExitCode != 0 {
		t.Errorf("got %+v", got)
	}
	if got := r.text(Stdout); got != "left\n" {
		t.Errorf("output: %q", got)
	}
}

func TestLastWordsAreLogged(t *testing.T) {
	t.Parallel()
	p, r := started(t, "late words", Config{KillGrace: time.Minute})
	ready(t, p)
	stop(t, p)
	if got, want := r.text(Stdout), "last\nwords\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTenMegabytesAreLoggedInOrder(t *testing.T) {
	t.Parallel()
	p, r := started(t, "ten MB", Config{})
	ready(t, p)
	ended(t, p)
	if got := len(r.lines); got != tenMBLines {
		t.Fatalf("got %d lines, want %d", got, tenMBLines)
	}
	for i, l := range r.lines {
		if want := fmt.Sprintf("%08d xxx", i); !strings.HasPrefix(l.Text, want) || len(l.Text) != 100 {
			t.Fatalf("line %d is %q", i, l.Text)
		}
	}
}

func TestAnyBytesAreLogged(t *testing.T) {
	t.Parallel()
	raw := []byte("\x00\x01\xff\xfe\r\n\n\r\r\n")
	raw = append(raw, strings.Repeat("z", 3*maxLine)...)
	raw = append(raw, "\n\xc3("...)
	p, r := started(t, "raw", Config{Bootstrap: raw})
	ready(t, p)
	ended(t, p)
	want := "\x00\x01\xff\xfe\n\n\r\n" + strings.Repeat("z", 3*maxLine) + "\n\xc3(\n"
	if got := r.text(Stdout); got != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
}

// A Log that never returns costs lines, not the child.
func TestStuckLogDoesNotBlockTheChildForEver(t *testing.T) {
	t.Parallel()
	resume, r := make(chan struct{}), new(record)
	var p *Process
	p, _ = started(t, "chatter", Config{Log: func(l Line) {
		<-resume
		r.log(l)
	}})
	ready(t, p)
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Error("the child is still blocked")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "still being logged") {
		t.Errorf("Wait while Log is stuck: %v", err)
	}
	close(resume)
	ended(t, p)
	kept, lost := 0, 0
	for _, l := range r.lines {
		lost += l.Lost
		if l.Lost == 0 {
			kept++
		}
	}
	if kept+lost != 4<<10+1 || lost == 0 || kept < 512 {
		t.Errorf("%d lines were logged and %d lost, of %d", kept, lost, 4<<10+1)
	}
}
