//go:build unix

package main

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// running is the program in a process of its own.
type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	addr  string
	lines chan string // of its stderr, closed at its end
	tells chan string // what it says to the service manager
	env   []string
}

// command is a line of the deployment, run with the test binary in the place of the program.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(within(t), os.Args[0], args...)
	// The race detector would let every process sleep for a second at its exit.
	cmd.Env = append(append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0"), env...)
	return cmd
}

// launch starts a worker at a port of its own, and waits until it has said that it serves.
func launch(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	r := &running{t: t, lines: make(chan string, 1000), tells: make(chan string, 10)}
	dir, err := os.MkdirTemp("", "notify") // t.TempDir is too long for the name of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go r.listen(socket)

	r.env = append([]string{"NOTIFY_SOCKET=" + socket.LocalAddr().String()}, env...)
	r.cmd = command(t, append(r.env, "WORKER_LISTEN=127.0.0.1:0"), args...)
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	serving := regexp.MustCompile(`msg=serving address=(\S+)`)
	at := make(chan string, 1)
	go func() {
		defer close(r.lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			if m := serving.FindStringSubmatch(s.Text()); m != nil {
				at <- m[1]
			}
			r.lines <- s.Text()
		}
	}()
	if got := await(t, "the word that it serves", r.tells); got != "READY=1" {
		t.Fatalf("told the service manager %q, want READY=1", got)
	}
	r.addr = await(t, "the address", at)
	return r
}

func (r *running) listen(socket *net.UnixConn) {
	buf := make([]byte, 1000)
	for {
		n, err := socket.Read(buf)
		if err != nil {
			return
		}
		r.tells <- string(buf[:n])
	}
}

// probe runs a probe's arguments against the worker and returns its exit code and what it has printed.
func (r *running) probe(args ...string) (int, string) {
	r.t.Helper()
	out, err := command(r.t, append(r.env, "WORKER_LISTEN="+r.addr), args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, string(out)
	case errors.As(err, &exit):
		return exit.ExitCode(), string(out)
	}
	r.t.Fatal(err)
	return 0, ""
}

// passes fails the test unless the probe ends as wanted.
func (r *running) passes(want bool, args ...string) {
	r.t.Helper()
	if !want {
		args = append([]string{"-probe-within=300ms"}, args...) // it would wait for the whole time
	}
	if code, out := r.probe(args...); (code == 0) != want {
		r.t.Errorf("%q ended with %d, want success %v\n%s", args, code, want, out)
	}
}

func (r *running) terminate() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if got := await(r.t, "the word that it stops", r.tells); got != "STOPPING=1" {
		r.t.Errorf("told the service manager %q, want STOPPING=1", got)
	}
}

// end waits for the process and returns its exit code and all that it has logged.
func (r *running) end() (int, string) {
	r.t.Helper()
	var log strings.Builder
	for range cap(r.lines) {
		line := await(r.t, "the end of its log", r.lines)
		if line == "" {
			break
		}
		log.WriteString(line + "\n")
	}
	var exit *exec.ExitError
	if err := r.cmd.Wait(); errors.As(err, &exit) {
		return exit.ExitCode(), log.String()
	} else if err != nil {
		r.t.Fatal(err)
	}
	return 0, log.String()
}
