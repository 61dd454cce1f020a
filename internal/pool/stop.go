package pool

import (
	"context"
	"fmt"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/place"
)

// calm tells Drain and Stop that nothing is left to wait for; under mu.
func (p *Pool) calm() {
	if p.settled == nil || p.busy > 0 || p.gated > 0 || p.opening > 0 && p.phase >= stopping {
		return
	}
	if p.phase == draining && (p.waiting > 0 || len(p.retries) > 0) {
		return
	}
	release(p.settled)
}

// release closes c if it is there and open; under mu, or by the last to use it.
func release(c chan struct{}) {
	if c == nil {
		return
	}
	select {
	case <-c:
	default:
		close(c)
	}
}

// Drain refuses new calls and returns when all others are done; when ctx ends,
// it stops the pool instead and returns the cause.
func (p *Pool) Drain(ctx context.Context) (Report, error) {
	if p.inside(ctx) {
		return Report{}, p.cfg.Faults.WouldDeadlock()
	}
	var err error
	if settled := p.beginDrain(); settled != nil {
		select {
		case <-settled:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	return p.Stop(), err
}

// beginDrain refuses new calls, and returns the channel that is closed when all
// others are done; nil if there is nothing to wait for.
func (p *Pool) beginDrain() chan struct{} {
	p.mu.Lock()
	if p.phase == running {
		p.phase = draining
		p.refusal = p.cfg.Faults.Stopped()
		p.settled = make(chan struct{})
		p.before = p.endedByThemselves()
		p.calm()
	}
	settled, crowd := p.settled, p.leaveOut()
	p.mu.Unlock()
	for _, c := range crowd {
		if c.Abort(cell.Stopped, p.cfg.Faults.Stopped()) {
			p.leftOut.Add(1)
		}
	}
	return settled
}

// leaveOut returns the submissions that wait for room; under mu.
func (p *Pool) leaveOut() []*cell.Cell {
	var cells []*cell.Cell
	for _, b := range p.blocked {
		cells = append(cells, b.cell)
	}
	p.blocked = nil
	return cells
}

// Stop ends the pool; see Task.Stop. Later and concurrent calls return the
// same report.
func (p *Pool) Stop() Report {
	p.mu.Lock()
	p.orphaned, p.finished = false, true
	p.mu.Unlock()
	p.shutdown(p.cfg.Faults.Stopped(), p.cfg.Faults.StopCause())
	if p.dispatchGone != nil && p.report.Abandoned == 0 {
		t := time.NewTimer(p.cfg.StopGrace)
		defer t.Stop()
		select {
		case <-p.dispatchGone:
		case <-t.C: // a callback on one of our goroutines takes its time
		}
	}
	return p.report
}

// fail ends the pool because its policy gave up on it.
func (p *Pool) fail(cause error) {
	p.mu.Lock()
	if p.phase < stopping && p.failed == nil {
		p.failed = p.cfg.Faults.Failed(cause)
		p.refusal = p.failed
	}
	if p.phase == running {
		p.phase = draining // takes no calls from now on
		p.before = p.endedByThemselves()
	}
	err := p.refusal
	p.mu.Unlock()
	p.system.Log().Error("troupe: a pool gave up", "task", p.name, "error", cause)
	p.dispatch.Schedule(func() { p.shutdown(err, err) })
}

// parentStops is called when the router's actor is told to stop.
func (p *Pool) parentStops() {
	p.mu.Lock()
	again := p.phase >= stopping
	if !again {
		p.orphaned = !p.finished && (p.phase == running || p.collapsed)
		p.over = make(chan struct{})
	}
	p.mu.Unlock()
	if !again {
		p.dispatch.Schedule(func() { p.shutdown(p.cfg.Faults.Stopped(), p.cfg.Faults.StopCause()) })
	}
}

// shutdown carries a stop through: waiting calls end with refusal, running
// ones with cause.
func (p *Pool) shutdown(refusal, cause error) {
	p.mu.Lock()
	if p.phase >= stopping {
		over := p.over
		p.mu.Unlock()
		<-over
		return
	}
	if p.over == nil { // its parent has made it
		p.over = make(chan struct{})
	}
	over := p.over
	if p.failed != nil {
		refusal, cause = p.failed, p.failed
	}
	started := p.phase != idle
	if p.phase != draining {
		p.before = p.endedByThemselves()
	}
	p.phase, p.refusal = stopping, refusal
	draining := p.settled
	p.settled = make(chan struct{})
	waiting, inHand := p.everything()
	lent := p.lendings()
	ready := p.ready
	p.ready = nil
	if p.stopRun != nil {
		p.stopRun(cause)
	}
	if p.shrink != nil {
		p.shrink.Stop()
	}
	for t := range p.backoffs {
		t.Stop()
	}
	clear(p.backoffs)
	p.calm()
	p.mu.Unlock()

	for _, r := range ready {
		r <- refusal
	}
	release(draining)
	if lent > 0 && p.cfg.Site != nil {
		p.cfg.Site.Halt(cause)
	}
	p.group.Swap(nil).Retire()
	report := p.end(waiting, inHand, refusal, cause)
	report.Cancelled += lent
	report.NeverStarted += int(p.leftOut.Load())
	if started {
		p.await(&report)
		if p.cfg.Site != nil {
			p.cfg.Site.Stop()
		}
	}
	if p.solo != nil && report.Abandoned == 0 {
		p.closeSolo()
	}
	p.mu.Lock()
	report.Finished = int(p.endedByThemselves() - p.before)
	p.report = report
	p.phase = stopped
	p.dispatchGone = p.dispatch.Close()
	p.mu.Unlock()
	p.system.Units().Remove(p.key, Unit{Pool: p})
	close(over)
}

// everything takes all calls out of the pool's hands: those that wait, and
// those that workers hold, begun or not. Under mu.
func (p *Pool) everything() (waiting, inHand []*cell.Cell) {
	queues := []*queue{&p.queue}
	for _, q := range p.lines {
		if q != nil {
			queues = append(queues, q)
		}
	}
	for _, w := range p.members {
		if w == nil {
			continue
		}
		inHand = append(inHand, w.batch...)
		if c := w.current.Load(); c != nil {
			inHand = append(inHand, c)
		}
		if w.queue != nil {
			queues = append(queues, w.queue)
		}
		if w.member != nil {
			for _, v := range w.member.queue {
				waiting = append(waiting, v.call)
			}
			w.member.queue = nil
		}
	}
	for w := range p.spares {
		inHand = append(inHand, w.batch...)
	}
	for _, q := range queues {
		for c := q.pop(); c != nil; c = q.pop() {
			p.popped(c)
			waiting = append(waiting, c)
		}
	}
	p.waiting = 0
	for c, t := range p.retries {
		t.Stop()
		waiting = append(waiting, c)
	}
	clear(p.retries)
	return append(waiting, p.leaveOut()...), inHand
}

// lendings counts the lent calls, which have no cell; under mu.
func (p *Pool) lendings() (n int) {
	for _, w := range p.members {
		if w != nil && w.lending.Load() {
			n++
		}
	}
	return n
}

// end completes the calls.
func (p *Pool) end(waiting, inHand []*cell.Cell, refusal, cause error) (r Report) {
	if len(waiting)+len(inHand) == 0 {
		return r
	}
	// On a goroutine of its own: a callback that calls runtime.Goexit ends that,
	// and not the stop.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.endEach(append(waiting, inHand...), refusal, cause, &r)
	}()
	<-ended
	return r
}

func (p *Pool) endEach(cells []*cell.Cell, refusal, cause error, r *Report) {
	i := 0
	defer func() {
		if i < len(cells) { // a callback has called runtime.Goexit; the others still end
			p.endEach(cells[i+1:], refusal, cause, r)
		}
	}()
	for ; i < len(cells); i++ {
		p.endOne(cells[i], refusal, cause, r)
	}
}

func (p *Pool) endOne(c *cell.Cell, refusal, cause error, r *Report) {
	record := recordIf(c)
	begun := record != nil && record.begun.Load()
	switch {
	case c.AbortOpen(cell.Stopped, refusal):
		if begun {
			r.Cancelled++
		} else {
			r.NeverStarted++
		}
	case c.Abort(cell.Stopped, cause):
		r.Cancelled++
	}
}

// await waits for the functions to return, within the grace, and then for the
// actors to go. States may take what is left of the grace to close.
func (p *Pool) await(r *Report) {
	begun := time.Now()
	grace := time.NewTimer(p.cfg.StopGrace)
	defer grace.Stop()
	select {
	case <-p.settled:
	case <-grace.C:
	}
	p.system.ActorSystem().Root.Stop(p.pid)
	p.mu.Lock()
	r.Abandoned = p.busy
	p.mu.Unlock()
	if n := p.giveUpOn(func(w *worker) bool { return w.state == active || w.state == lent }); n > 0 {
		p.logger().Warn("troupe: stopped without waiting for functions that ignore their ctx",
			"abandoned", n, "grace", p.cfg.StopGrace)
	}
	if p.cfg.State == nil {
		<-p.ended
		return
	}
	closing := time.NewTimer(max(leastToClose, p.cfg.StopGrace-time.Since(begun)))
	defer closing.Stop()
	select {
	case <-p.ended:
		return
	case <-closing.C:
	}
	if n := p.giveUpOn(func(w *worker) bool { return w.tied || w.state == active }); n > 0 {
		p.logger().Warn("troupe: stopped without waiting for states that do not open or close", "members", n)
	}
	<-p.ended
}

// leastToClose is the time that states get to close even if functions have used
// the grace up.
const leastToClose = 100 * time.Millisecond

// giveUpOn tells the router that the workers which are stuck have gone, so that
// nobody above waits for them: the engine cannot stop an actor that is at work.
func (p *Pool) giveUpOn(stuck func(*worker) bool) (n int) {
	as := p.system.ActorSystem()
	p.mu.Lock()
	var pids []*proto.PID
	for _, w := range p.members {
		if w != nil && w.pid != nil && stuck(w) {
			w.stray = true
			pids = append(pids, w.pid)
		}
	}
	p.mu.Unlock()
	for _, pid := range pids {
		if ref, ok := as.ProcessRegistry.Get(pid); ok && p.cfg.State != nil {
			ref.SendSystemMessage(pid, &proto.Stop{}) // nobody else will, and its state has to be closed in the end
		}
		if ref, ok := as.ProcessRegistry.Get(p.pid); ok {
			ref.SendSystemMessage(p.pid, &proto.Terminated{Who: pid})
		}
		as.ProcessRegistry.Remove(pid)
	}
	return len(pids)
}

// endedByThemselves counts the calls that their functions have ended; under mu.
func (p *Pool) endedByThemselves() (n uint64) {
	for _, k := range p.tallied() {
		n += k
	}
	return n
}

// Unit is the pool as the System sees it.
type Unit struct{ *Pool }

// Function implements place.Host.
func (u Unit) Function() *place.Function {
	if u.cfg.Function == nil {
		return nil
	}
	return u.cfg.Function(u.name)
}

// Stop implements host.Unit.
func (u Unit) Stop(ctx context.Context) error {
	done := make(chan Report, 1)
	go func() { done <- u.Pool.Stop() }() // ends within StopGrace
	select {
	case r := <-done:
		if r.Abandoned > 0 {
			return fmt.Errorf("task %q: %d functions still run", u.name, r.Abandoned)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("task %q: %w", u.name, context.Cause(ctx))
	}
}
