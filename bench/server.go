package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// serverVariable tells a process of this program that it is the server of a
// competitor, and which.
const serverVariable = "TROUPE_BENCH_SERVER"

// service is what a server is asked to be.
type service struct {
	Peer     string // of farServers
	Function string // of farFunctions
	InFlight int
}

// farServers begin to serve a function and return the address. They go on for
// as long as the process lives.
var farServers = map[string]func(fn farFunction, inFlight int) (addr string, err error){
	"gRPC":       serveGRPC,
	"net/rpc":    serveNetRPC,
	"protoactor": serveProtoactor,
	"troupe":     serveTroupe,
}

// isServer tells whether this process was started to be a server.
func isServer() bool { return os.Getenv(serverVariable) != "" }

// runServer serves until in ends, which it does at the latest with the process
// that has started this one. The address goes to out, one line.
func runServer(in io.Reader, out, complaints io.Writer) (status int) {
	addr, err := beginService(os.Getenv(serverVariable))
	if err != nil {
		fmt.Fprintln(complaints, err)
		return 1
	}
	fmt.Fprintln(out, addr)
	_, _ = io.Copy(io.Discard, in)
	return 0
}

func beginService(text string) (addr string, err error) {
	var s service
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return "", fmt.Errorf("%s: %w", serverVariable, err)
	}
	serve, fn := farServers[s.Peer], farFunctions[s.Function]
	if serve == nil || fn == nil {
		return "", fmt.Errorf("%s: no server of %q for %q", serverVariable, s.Peer, s.Function)
	}
	return serve(fn, s.InFlight)
}

// server is another process of this program that serves.
type server struct {
	addr string

	cmd        *exec.Cmd
	stdin      io.Closer // when it ends, so does the process
	complaints bytes.Buffer
	once       sync.Once
}

// startServer returns when the process serves.
func startServer(s service) (*server, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	started := &server{cmd: exec.Command(program)}
	started.cmd.Env = append(os.Environ(), serverVariable+"="+string(text))
	apart(started.cmd)
	started.cmd.Stderr = &started.complaints
	if started.stdin, err = started.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := started.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := started.cmd.Start(); err != nil {
		return nil, err
	}
	return started, started.awaitAddr(out)
}

// awaitAddr reads where the process serves. If it does not, nothing is left of it.
func (s *server) awaitAddr(out io.Reader) error {
	t := time.AfterFunc(patience, s.Kill)
	defer t.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Close()
		return errors.Join(fmt.Errorf("a server has not begun to serve: %w", err), errors.New(s.complaints.String()))
	}
	s.addr = strings.TrimSpace(line)
	return nil
}

// Kill ends the process without a word, as kill -9 does.
func (s *server) Kill() { _ = s.cmd.Process.Kill() }

// Close ends the process and waits until it is gone. It may be called often.
func (s *server) Close() {
	s.once.Do(func() {
		s.Kill()
		_ = s.stdin.Close()
		_ = s.cmd.Wait() // tells that it was killed
	})
}
