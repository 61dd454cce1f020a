//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

const secret = "a secret of the test"

// tokenFile is a token as it is mounted, and the variable that names it.
func tokenFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "WORKER_TOKEN_FILE=" + file
}

// drains is the life of a worker that every deployment has: it serves, is probed, is told to end while a call runs,
// finishes that, and ends with code 0.
func drains(t *testing.T, env, serve, readiness, liveness []string) {
	t.Helper()
	s := newSite(t)
	w := launch(t, env, serve...)
	w.passes(true, readiness...)
	w.passes(true, liveness...)
	far := caller(t, remote.Config{Token: secret}, w.addr)
	running := far.Submit(t.Context(), s.url+"/running")
	await(t, "the call", s.asked)
	w.terminate()
	waiting := far.Submit(t.Context(), s.url+"/waiting") // for a node that takes calls
	w.passes(false, readiness...)
	w.passes(true, liveness...)
	close(s.open)
	if got, err := running.Await(within(t)); err != nil || got != s.page("/running") {
		t.Errorf("the call under way: %+v, %v, want %+v", got, err, s.page("/running"))
	}
	if code, log := w.end(); code != 0 || !strings.Contains(log, "msg=drained") {
		t.Errorf("ended with %d\n%s", code, log)
	}
	w.passes(false, liveness...)
	if v, err, done := waiting.Poll(); done {
		t.Errorf("the call that came late: %+v, %v, want it to wait", v, err)
	}
	far.Stop()
	if len(s.asked) != 0 {
		t.Errorf("%s was asked for", <-s.asked)
	}
}

func TestManyCallsThatEndWithTheDrainAreAllAnswered(t *testing.T) {
	const calls = 100
	s := newSite(t)
	w := launch(t, []string{tokenFile(t), fmt.Sprintf("WORKER_CAPACITY=%d", calls)})
	far := caller(t, remote.Config{Token: secret}, w.addr)
	if err := far.Ready(within(t)); err != nil {
		t.Fatal(err)
	}
	var all []*task.Future[Page]
	for i := range calls {
		all = append(all, far.Submit(t.Context(), fmt.Sprintf("%s/%d", s.url, i)))
	}
	for range calls {
		await(t, "a call", s.asked)
	}
	w.terminate()
	close(s.open)
	for i, f := range all {
		if got, err := f.Await(within(t)); err != nil || got != s.page(fmt.Sprintf("/%d", i)) {
			t.Errorf("call %d: %+v, %v", i, got, err)
		}
	}
	if code, log := w.end(); code != 0 {
		t.Errorf("ended with %d\n%s", code, log)
	}
	far.Stop()
}

func TestADrainThatTakesTooLongIsCutOff(t *testing.T) {
	s := newSite(t)
	w := launch(t, []string{tokenFile(t)}, "-drain", "50ms")
	far := caller(t, remote.Config{Token: secret}, w.addr)
	f := far.Submit(t.Context(), s.url+"/slow")
	await(t, "the call", s.asked)
	w.terminate()
	if code, log := w.end(); code != 1 || !strings.Contains(log, "worker: cut off what still ran after 50ms of draining") {
		t.Errorf("ended with %d\n%s", code, log)
	}
	var lost *task.LostError
	if _, err := f.Await(within(t)); !errors.As(err, &lost) || !lost.Started {
		t.Errorf("got %v, want a *task.LostError", err)
	}
	far.Stop()
}

func TestAWrongTokenIsRefused(t *testing.T) {
	w := launch(t, []string{tokenFile(t)})
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-probe=ready", "-token-file", other}, {"-probe=alive", "-token-file", other}, {"-probe=ready", "-token-file", ""}} {
		if code, out := w.probe(args...); code != 1 || !strings.Contains(out, "refused") {
			t.Errorf("%q ended with %d\n%s", args, code, out)
		}
	}
	w.terminate()
	if code, log := w.end(); code != 0 {
		t.Errorf("ended with %d\n%s", code, log)
	}
}

func TestAWorkerServesIsProbedAndDrains(t *testing.T) {
	drains(t, []string{tokenFile(t)}, nil, []string{"-probe=ready"}, []string{"-probe=alive"})
}

func TestAFunctionThatDoesNotListenIsLeftBehind(t *testing.T) {
	began, release := make(chan int, 1), make(chan struct{})
	deaf := func(_ context.Context, x int) (int, error) {
		began <- x
		<-release
		return x, nil
	}
	here := task.MustNew(deaf, task.Name("deaf"))
	defer here.Stop()
	var log strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	ended, at := make(chan error, 1), freePort(t)
	go func() {
		ended <- serve(ctx, settings{drain: 10 * time.Millisecond}, remote.Config{Listen: at}, slog.New(slog.NewTextHandler(&log, nil)))
	}()
	far := place(t, remote.Config{}, "deaf", deaf, at)
	f := far.Submit(t.Context(), 1)
	await(t, "the call", began)
	cancel()
	if err := await(t, "the end of serve", ended); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("serve = %v", err)
	}
	if !strings.Contains(log.String(), `msg="left behind"`) {
		t.Errorf("the log does not tell:\n%s", &log)
	}
	if _, err := f.Await(within(t)); !errors.Is(err, task.ErrLost) {
		t.Errorf("got %v, want a lost call", err)
	}
	far.Stop()
	close(release)
}

// freePort is an address at which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
