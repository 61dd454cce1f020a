package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Start runs this program again, with the arguments of this process, as a
// child. It returns once the process exists; [Process.Ready] waits for it to
// be ready.
//
// ctx bounds the call only: a child that was started lives on. The child must
// be ended with [Process.Stop] or [Process.Kill]. Errors are those of the
// Config, all joined, of the operating system, and [ErrMainMissing] in a child that
// has not called [Role]: there, nothing is started. Safe for concurrent use.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	if err := unclaimed(); err != nil {
		return nil, err
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	path, err := self.executable()
	if err != nil {
		return nil, err
	}
	pipes, err := openPipes()
	if err != nil {
		return nil, fmt.Errorf("child: start: %w", err)
	}
	cmd, err := command(path, cfg, pipes)
	if err != nil {
		pipes.close()
		return nil, err
	}
	if err := begin(ctx, cmd); err != nil {
		pipes.close()
		return nil, fmt.Errorf("child: start: %w", err)
	}
	pipes.closeTheirs()
	return newProcess(cfg, cmd.Process, pipes.ours), nil
}

// begin starts cmd and keeps the spawner for it if that works.
func begin(ctx context.Context, cmd *exec.Cmd) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	spawning.acquire()
	var failed error
	if err := spawning.run(ctx, func() { failed = cmd.Start() }); err != nil {
		failed = err
	}
	if failed != nil {
		spawning.release()
	}
	return failed
}

func command(path string, cfg Config, p *pipes) (*exec.Cmd, error) {
	cmd := exec.Command(path)
	cmd.Args = append([]string(nil), os.Args...)
	if len(cmd.Args) == 0 {
		cmd.Args = []string{path}
	}
	cmd.Dir = cfg.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.theirs.stdin, p.theirs.stdout, p.theirs.stderr
	isolate(cmd, !cfg.orphansByStdinAlone)
	in, out, err := attach(cmd, p.theirs.in, p.theirs.out)
	if err != nil {
		return nil, err
	}
	m := mark{
		depth:       ours.depth + 1,
		in:          in,
		out:         out,
		grace:       cfg.KillGrace,
		memoryLimit: cfg.collectorLimit(),
	}
	cmd.Env = append(os.Environ(), cfg.Env...)
	cmd.Env = append(cmd.Env, markKey+"="+m.String())
	return cmd, nil
}

// ends are one side of the five pipes between parent and child: its three
// standard streams, in for the bootstrap and out for frames.
type ends struct {
	stdin, stdout, stderr, in, out *os.File
}

func (e *ends) close() {
	for _, f := range []*os.File{e.stdin, e.stdout, e.stderr, e.in, e.out} {
		if f != nil {
			_ = f.Close() // of a pipe: nothing is buffered that could fail
		}
	}
}

type pipes struct{ ours, theirs ends }

// openPipes makes all pipes or none. Both sides of each are closed in every
// process that is executed meanwhile.
func openPipes() (*pipes, error) {
	p := new(pipes)
	err := errors.Join(
		pipe(&p.theirs.stdin, &p.ours.stdin),
		pipe(&p.ours.stdout, &p.theirs.stdout),
		pipe(&p.ours.stderr, &p.theirs.stderr),
		pipe(&p.theirs.in, &p.ours.in),
		pipe(&p.ours.out, &p.theirs.out),
	)
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func pipe(r, w **os.File) (err error) {
	*r, *w, err = os.Pipe()
	return err
}

func (p *pipes) close() {
	p.ours.close()
	p.theirs.close()
}

func (p *pipes) closeTheirs() { p.theirs.close() }
