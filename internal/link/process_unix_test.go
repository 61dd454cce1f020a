//go:build unix

package link

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

// dialKey has a test binary dial the address there, and answer calls.
const dialKey = "LINK_TEST_DIAL"

const childBeat = 50 * time.Millisecond

func init() { answerFor = dialAndAnswer }

func dialAndAnswer() {
	address, ok := os.LookupEnv(dialKey)
	if !ok {
		return
	}
	nc, err := net.Dial("tcp", address)
	if err != nil {
		os.Exit(2)
	}
	c, _, err := Dial(context.Background(), nc, Config{Name: "child", Heartbeat: childBeat}, nil)
	if err != nil {
		os.Exit(3)
	}
	err = c.Serve(func(e *wire.Envelope) { echo(c, e) })
	if errors.Is(err, ErrSilent) {
		os.Exit(4)
	}
	os.Exit(0)
}

// writes tells of every write.
type writes struct {
	net.Conn
	each chan struct{}
}

func (w *writes) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.each <- struct{}{}
	return n, err
}

// startProcess returns the connection that a child process has dialled.
func startProcess(t *testing.T, cfg Config) (*Conn, *writes, *exec.Cmd) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dialKey+"="+l.Addr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	w := &writes{Conn: nc, each: make(chan struct{}, 1000)}
	cfg.Handshake = patience
	c, _, err := Accept(t.Context(), w, named(cfg, "parent"), answering(nil))
	if err != nil {
		t.Fatal(err)
	}
	return c, w, cmd
}

// ask makes one call and waits for its answer.
func ask(c *Conn, id uint64) {
	c.AddCall(&wire.Call{Id: id}, wire.Names{Task: "echo"})
	c.Flush()
}

func TestAProcessThatWasSuspendedLosesNobody(t *testing.T) {
	c, w, cmd := startProcess(t, Config{Heartbeat: patience})
	answers, ended := make(chan uint64, 10), make(chan error, 1)
	go func() {
		ended <- c.Serve(func(e *wire.Envelope) {
			for _, a := range e.GetAnswers() {
				answers <- a.GetId()
			}
		})
	}()
	ask(c, 1)
	<-answers
	for range 3 {
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		for len(w.each) > 0 {
			<-w.each
		}
		for range 10 { // pulses, each after a heartbeat of the child
			<-w.each
		}
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		ask(c, 2)
		select {
		case <-answers:
		case err := <-ended:
			t.Fatalf("lost: %v", err)
		}
	}
	c.Close(nil)
	<-ended
}

func TestAFrozenProcessIsNoticed(t *testing.T) {
	c, _, cmd := startProcess(t, Config{Heartbeat: childBeat})
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := c.Serve(func(*wire.Envelope) {}); !errors.Is(err, ErrSilent) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > patience/2 {
		t.Errorf("it took %v", d)
	}
}

func TestAKilledProcessIsNoticedAtOnce(t *testing.T) {
	c, _, cmd := startProcess(t, Config{Heartbeat: patience})
	ended := make(chan error, 1)
	answers := make(chan struct{}, 1)
	go func() {
		ended <- c.Serve(func(e *wire.Envelope) {
			if len(e.GetAnswers()) > 0 {
				answers <- struct{}{}
			}
		})
	}()
	ask(c, 1)
	<-answers
	start := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	err := <-ended
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > patience/2 {
		t.Errorf("it took %v", d)
	}
}
