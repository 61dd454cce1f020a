package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// process is a node in a process of its own: this program again, with -serve. It could as well be on another machine.
type process struct {
	name, addr string
	journals   []string // the file of each life

	cmd   *exec.Cmd
	stdin io.Closer
}

// start begins a life, at the address of the one before, and waits until the node serves. It ends with this process too,
// which holds its stdin.
func (p *process) start(dir string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(p.name, " ", "-"), len(p.journals)+1))
	p.journals = append(p.journals, file)
	p.cmd = exec.Command(program, "-serve", p.addr, file)
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.stdin = stdin
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.kill()
		return fmt.Errorf("%s did not say its address: %w", p.name, err)
	}
	p.addr = strings.TrimSpace(line)
	return nil
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// stop lets the node drain and end.
func (p *process) stop() error {
	_ = p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// begun counts what one life has begun, of the inputs from first on.
func (p *process) begun(life, first int, into map[int]int) (n int, err error) {
	text, err := os.ReadFile(p.journals[life])
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		var x int
		if _, err := fmt.Sscan(string(line), &x); err != nil {
			return 0, fmt.Errorf("%s: %q: %w", p.journals[life], line, err)
		}
		if x >= first {
			into[x]++
			n++
		}
	}
	return n, nil
}
