//go:build unix

package remote_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/child"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// The tests of the files named real_* have nodes that are processes of their
// own: this program again, with another life.

const lifeOrder = "REMOTE_TEST_ORDER" // what that life is told, in JSON

// nodeOrder is what a node process is told.
type nodeOrder struct {
	Listen   string
	Capacity int
	Beat     time.Duration
	Trust    []byte // of child.Credentials; nil: no TLS
}

func init() {
	otherLives["node"] = func() int { return obeyOrder(liveAsNode) }
}

// obeyOrder runs a life, which ends with the test's process too: that holds
// stdin open.
func obeyOrder[O any](live func(O) error) int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	slog.SetLogLoggerLevel(slog.LevelWarn)
	var o O
	err := json.Unmarshal([]byte(os.Getenv(lifeOrder)), &o)
	if err == nil {
		err = live(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// liveAsNode serves until SIGTERM and then drains.
func liveAsNode(o nodeOrder) error {
	cfg := remote.Config{Listen: o.Listen, Capacity: o.Capacity, Heartbeat: o.Beat}
	if o.Trust != nil {
		trust, err := child.ParseCredentials(o.Trust)
		if err != nil {
			return err
		}
		cfg.TLS = trust
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := remote.Start(cfg)
	if err != nil {
		return err
	}
	hostNode = n
	fmt.Println(n.Addr())
	if err := n.Serve(ctx); err != nil {
		return err
	}
	return n.Stop(context.Background())
}

// hostNode is the node of a process that is one.
var hostNode *remote.Node

// process is another life of this program.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Reader
	in  io.Closer
	end chan error // what Wait has returned
}

// begin starts another life. It is over with the test, however that ends.
func begin(t *testing.T, life string, o any) *process {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), otherLife+"="+life, lifeOrder+"="+string(text))
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, diesWithParent()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe() // not StdoutPipe: Wait would close it before all is read
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, out: bufio.NewReader(r), in: in, end: make(chan error, 1)}
	go func() { p.end <- cmd.Wait() }()
	t.Cleanup(func() {
		p.kill()
		r.Close()
	})
	return p
}

// line reads what the process prints.
func (p *process) line() string {
	p.t.Helper()
	text, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("process %d: %v", p.pid(), err)
	}
	return strings.TrimSpace(text)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%v for process %d: %v", s, p.pid(), err)
	}
}

// kill is kill -9, and waits. It may be called again.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // or it has ended
	p.wait()
}

// wait returns how the process has ended.
func (p *process) wait() error {
	p.t.Helper()
	select {
	case err := <-p.end:
		p.end <- err
		return err
	case <-time.After(patience):
		p.t.Fatalf("process %d did not end", p.pid())
		return nil
	}
}

// nodeProcess is a node in a process of its own.
type nodeProcess struct {
	*process
	addr string
}

// beginNodes starts some at once and waits until they listen.
func beginNodes(t *testing.T, orders ...nodeOrder) []*nodeProcess {
	t.Helper()
	var all []*nodeProcess
	for _, o := range orders {
		all = append(all, &nodeProcess{process: begin(t, "node", o)})
	}
	for _, p := range all {
		p.addr = p.line()
	}
	return all
}

// owner is who places errands on nodes.
type owner struct {
	t    *testing.T
	node *remote.Node
	sys  *actor.System
}

// newOwner starts one. At the end of the test nothing of it may be left; call it
// before anything else.
func newOwner(t *testing.T, cfg remote.Config) *owner {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	s := newSite(t, cfg)
	return &owner{t: t, node: s.node, sys: s.sys}
}

// sends makes the pool that has errands run at addrs.
func (o *owner) sends(addrs []string, opts ...task.Option) *task.Task[errand, report] {
	far := errands.On(remote.Nodes(o.node, addrs...), append([]task.Option{task.System(o.sys), task.Workers(64)}, opts...)...)
	o.t.Cleanup(func() { far.Stop() })
	return far
}

// at returns what the owner knows of a node.
func (o *owner) at(addr string) remote.Member {
	for _, m := range o.node.Members() {
		if m.Addr == addr {
			return m
		}
	}
	return remote.Member{}
}

// reaches waits until a node is in a state.
func (o *owner) reaches(addr, state string) {
	o.t.Helper()
	until(o.t, "node "+addr+" "+state, func() bool { return o.at(addr).State == state })
}

// until waits for what nobody tells.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}
