package child

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// drainTime is how long after the end of a child its pipes are still read if
// somebody else holds them open.
const drainTime = 50 * time.Millisecond

// A Process is a child, seen from its parent. It is safe for concurrent use.
//
// Its goroutines belong to run, which waits for them and ends with the
// process; that is what Stop and Wait wait for.
type Process struct {
	cfg   Config
	proc  *os.Process
	pid   int
	pipes ends
	lines *lines

	ready    chan struct{} // closed when payload is there
	done     chan struct{} // closed when exit is there
	finished chan struct{} // closed when nothing is left

	readyTimer *time.Timer

	mu         sync.Mutex
	ending     ending      // what is known so far
	exited     bool        // it must not be signalled any more
	graceTimer *time.Timer // after Stop
	payload    []byte
	exit       *ExitError
}

func newProcess(cfg Config, proc *os.Process, pipes ends) *Process {
	p := &Process{
		cfg:      cfg,
		proc:     proc,
		pid:      proc.Pid,
		pipes:    pipes,
		lines:    newLines(proc.Pid, cfg.Log),
		ready:    make(chan struct{}),
		done:     make(chan struct{}),
		finished: make(chan struct{}),
	}
	p.readyTimer = time.AfterFunc(cfg.ReadyTimeout, p.notReady)
	watching.add(p)
	go p.run()
	return p
}

// PID is the number of the process. Once it has ended, it may be that of
// another one.
func (p *Process) PID() int { return p.pid }

// Ready waits until the child has called [Child.Ready], and returns what it
// said, also after its end. The error is an *[ExitError] if it ended before
// that, and context.Cause(ctx) if ctx ended, which does nothing to the child.
func (p *Process) Ready(ctx context.Context) ([]byte, error) {
	select {
	case <-p.ready:
	case <-p.done:
	case <-ctx.Done():
	}
	// What came first counts, not what select has picked.
	select {
	case <-p.ready:
		return p.payload, nil
	default:
	}
	select {
	case <-p.done:
		return nil, p.exit
	default:
		return nil, context.Cause(ctx)
	}
}

// Done is closed as soon as the process has ended; [Process.Err] then says
// how. Lines that it printed may still be on their way to Log.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns nil while the process lives and if it ended with exit code 0
// after [Process.Stop]; else the *[ExitError] that says how it ended.
func (p *Process) Err() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	if p.exit.Reason == Stopped && p.exit.Signal == nil && p.exit.ExitCode == 0 {
		return nil
	}
	return p.exit
}

// Wait waits until the process has ended, all it printed has gone to Log, and
// no goroutine or file of this Process is left. Its error is
// context.Cause(ctx), with the process named, if ctx ends before.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.finished:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-p.finished:
		return nil
	case <-p.done:
		return fmt.Errorf("child: output of process %d is still being logged: %w", p.pid, context.Cause(ctx))
	default:
		return fmt.Errorf("child: process %d still runs: %w", p.pid, context.Cause(ctx))
	}
}

// Stop closes the child's stdin, which closes [Child.Orphaned] there, and
// waits as [Process.Wait] does. A child that has not ended KillGrace later is
// killed, with Reason [Grace]; one that has not called [Role] yet is killed
// at once, with Reason [Stopped]. Both go on if ctx ends. No other signal is
// sent: SIGTERM would end a Go program that is still busy ending. Stop may be
// called more than once, also after the end.
func (p *Process) Stop(ctx context.Context) error {
	p.beginStop()
	return p.Wait(ctx)
}

func (p *Process) beginStop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited || p.ending.stopping {
		return
	}
	p.ending.stopping = true
	_ = p.pipes.stdin.Close() // nothing is buffered that could fail
	if !p.ending.claimed {
		p.kill(Stopped)
		return
	}
	p.graceTimer = time.AfterFunc(p.cfg.KillGrace, func() { p.Kill(Grace) })
}

// Kill ends the process now, suspended or not, and returns without waiting
// for the end; why becomes the Reason of its [ExitError]. Of several calls
// the first one counts. After the end it does nothing.
func (p *Process) Kill(why Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kill(why)
}

// kill is called with mu held.
func (p *Process) kill(why Reason) {
	if p.exited || p.ending.killed {
		return
	}
	p.ending.killed, p.ending.why = true, why
	kill(p.proc)
}

// notReady is called when ReadyTimeout is over.
func (p *Process) notReady() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ending.ready:
	case p.ending.claimed:
		p.kill(NotReady)
	default:
		p.kill(MainMissing)
	}
}

// run is the life of the process.
func (p *Process) run() {
	defer close(p.finished)
	stdout := &output{pid: p.pid, stream: Stdout, lines: p.lines}
	stderr := &output{pid: p.pid, stream: Stderr, lines: p.lines}
	var pipes, log sync.WaitGroup
	pipes.Go(func() { stdout.read(p.pipes.stdout) })
	pipes.Go(func() { stderr.read(p.pipes.stderr) })
	pipes.Go(p.readFrames)
	pipes.Go(p.sendBootstrap)
	log.Go(p.lines.deliver)

	state, err := p.await()

	watching.remove(p)
	p.readyTimer.Stop()
	p.lines.flood()
	p.bound()
	pipes.Wait()
	p.pipes.close()
	spawning.release()
	p.conclude(state, err, stderr.report())
	close(p.done)

	p.lines.close()
	log.Wait()
}

// await waits for the process itself, so that it is no zombie, and for
// nothing else.
func (p *Process) await() (*os.ProcessState, error) {
	if awaitEnd(p.pid) {
		p.over()
		killGroup(p.pid) // nobody else can have the number before Wait
	}
	state, err := p.proc.Wait()
	p.over()
	if err != nil {
		_ = p.proc.Release() // Wait gives its handle up only if it succeeds
	}
	return state, err
}

// over makes it untouchable.
func (p *Process) over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exited = true
	if p.graceTimer != nil {
		p.graceTimer.Stop()
	}
}

// bound makes sure that the pipes are not read for ever if something that the
// child has started holds them open.
func (p *Process) bound() {
	_ = p.pipes.in.Close() // ends sendBootstrap
	deadline := time.Now().Add(drainTime)
	for _, f := range []*os.File{p.pipes.stdout, p.pipes.stderr, p.pipes.out} {
		if err := f.SetReadDeadline(deadline); err != nil {
			time.AfterFunc(drainTime, func() { _ = f.Close() })
		}
	}
}

func (p *Process) sendBootstrap() {
	// Errors mean that the child has ended or closed the pipe: its own.
	if _, err := p.pipes.in.Write(bootstrapHead(len(p.cfg.Bootstrap))); err == nil {
		_, _ = p.pipes.in.Write(p.cfg.Bootstrap)
	}
	_ = p.pipes.in.Close()
}

// readFrames returns when the child is ready, at its end, and at nonsense,
// which leaves it to be killed when it was not ready in time.
func (p *Process) readFrames() {
	for {
		kind, payload, err := readFrame(p.pipes.out)
		if err != nil || !p.told(kind, payload) {
			return
		}
	}
}

// told reports whether more may come.
func (p *Process) told(kind byte, payload []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch kind {
	case frameClaimed:
		p.ending.claimed = true
	case frameRefused:
		p.ending.refused = true
		p.kill(MainMissing)
	case frameReady:
		p.ending.ready = true
		p.payload = payload
		p.readyTimer.Stop()
		close(p.ready)
		return false
	}
	return true
}

// conclude says how it ended.
func (p *Process) conclude(state *os.ProcessState, err error, stderr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exit = &ExitError{PID: p.pid, ExitCode: -1, Stderr: stderr}
	end := p.ending
	if err == nil {
		p.exit.Signal, p.exit.ExitCode, end.byKill = endOf(state)
		end.signaled, end.code = p.exit.Signal != nil, p.exit.ExitCode
	} else {
		// Somebody else has waited for it: how it ended is unknown.
		end.byKill, end.code = end.killed, -1
	}
	p.exit.Reason, p.exit.Claimed, p.exit.Ready = end.reason(), end.claimed, end.ready
}
