package task

import (
	"github.com/troupe-go/troupe/internal/cell"
	"github.com/troupe-go/troupe/internal/pool"
)

const (
	claimTime = 512       // ns of work that one claim may hold
	mostClaim = 16        // items of one claim
	fairEvery = 1_000_000 // ns after which a loop lets other calls go first
)

// claimSize is how many items of ns each go into one claim.
func claimSize(ns int64) uint64 {
	if ns <= 0 {
		return 1
	}
	return uint64(max(1, min(claimTime/ns, mostClaim)))
}

// run implements pool.Spec.Run.
func (b *belt[In, Out]) run(c *cell.Cell, w pool.Settler) {
	b.coming.Store(false)
	l := loopOf[In, Out](c)
	l.engage(w)
	if l.work() && b.waiting() > 0 {
		if c := b.start(); c != nil {
			c.Expect() // the iterating goroutine may not look again for long
		}
	}
	w.Mark(l.mark)
	l.end()
}

func (l *loop[In, Out]) engage(w pool.Settler) {
	l.worker, l.mark, l.each = w, w.Begun(), l.belt.task.core.pool.Pace()
	l.ctx.begin(l.cell(), &l.belt.asks)
}

// end completes the loop's call.
func (l *loop[In, Out]) end() {
	if c := l.cell(); l.worker.Settle(c, nil) {
		c.Publish(nil)
	}
}

// work takes items until there are none, or until the loop has to end. It
// reports whether another loop may have to go on.
func (l *loop[In, Out]) work() (more bool) {
	b, c, began := l.belt, l.cell(), l.mark
	for !c.Aborted() { // else bereaved sees to the rest
		from, n := b.claim(claimSize(l.each))
		if n == 0 {
			if b.retire(l) {
				return false
			}
			continue
		}
		if !l.worker.Begin(int(n)) {
			b.giveBack(from, from+n)
			return b.drop(l)
		}
		// The ring has to be that of before the hold: if an item is lost from
		// it, its slot will be replaced, and we may still come to run it.
		l.slots = b.ring.Load()
		l.hold.set(from, n)
		// Whoever ends the loop says so and then looks for its hold; we have
		// set the hold and now look whether it was ended.
		if c.Aborted() {
			if from, to := l.hold.release(); from < to {
				b.task.core.pool.Retract(int(to - from))
				b.giveBack(from, to)
			}
			return false
		}
		b.invite(l.each)
		l.runAll(from, from+n)
		if l.mark-began > fairEvery {
			if l.worker.Crowded() {
				return b.drop(l)
			}
			began = l.mark
		}
	}
	return false
}

// retire ends a loop that found nothing to take, unless something came
// meanwhile: whoever brought it may have seen this loop still at work.
func (b *belt[In, Out]) retire(l *loop[In, Out]) bool {
	b.active.Add(-1)
	if b.waiting() > 0 {
		b.active.Add(1)
		return false
	}
	b.drop(l)
	b.active.Add(1) // drop has counted it, or bereaved has
	return true
}

// invite starts another loop if there is work enough for one.
func (b *belt[In, Out]) invite(each int64) {
	if n := b.waiting(); n > 0 && (each <= 0 || n*uint64(each) >= wakeWorth) {
		b.start()
	}
}

// runHere runs items on the iterating goroutine, which would have to wait, in
// an idle worker's place. It reports whether it did.
func (b *belt[In, Out]) runHere() (ran bool) {
	if b.ctx.Done() != nil {
		return false // the end of ctx could not end the wait
	}
	l := b.own
	if l == nil {
		l = b.newLoop()
		l.here = true
		l.cell().Start()
		b.own = l
	}
	ours := 0
	if b.coming.Load() {
		ours = 1
	}
	w := b.task.core.pool.LendBulk(l.cell(), ours)
	if w == nil {
		return false
	}
	defer w.ReturnBulk() // also on runtime.Goexit
	l.engage(w)
	for began := l.mark; l.mark-began < wakeWorth; ran = true {
		from, n := b.claim(claimSize(l.each))
		if n == 0 {
			return ran
		}
		to := from + n
		if !w.Begin(int(n)) {
			b.giveBack(from, to)
			return ran
		}
		b.invite(l.each)
		l.slots = b.slots
		l.silent = from == max(b.tail, b.here)
		next := l.runAll(from, to)
		if l.silent {
			b.here = next
		}
		if next < to { // the pool stops
			b.task.core.pool.Retract(int(to - next))
			b.giveBack(next, to)
		}
	}
	return true
}

// runAll runs the items of a claim, and returns the first that it has not run:
// to, unless the call has ended.
func (l *loop[In, Out]) runAll(from, to uint64) (next uint64) {
	for next = from; next < to && !l.cell().Aborted(); {
		next = l.stretch(next, to)
	}
	return next
}

// stretch runs items from i on until the end of the claim, or a panic, or the
// end of the call, and returns the next.
func (l *loop[In, Out]) stretch(i, to uint64) (next uint64) {
	b, c := l.belt, l.cell()
	slots, fn, returned := l.slots, b.task.core.fn, false
	defer func() {
		if !returned {
			next = l.crash(recover(), slots.at(i), i, to)
		}
	}()
	for ; i < to; i++ {
		s := slots.at(i)
		v, err := fn(l.ctx.now, s.in)
		stirred := c.Stirred()
		if stirred {
			l.ctx.next(c, &b.asks)
		}
		if err == nil {
			l.good++
		} else {
			err = bare(err)
			l.failed++
		}
		s.out, s.err = v, err
		if i+1 == to {
			l.account() // before the result can be seen
		}
		if !l.silent {
			l.show(s, i, false)
		}
		if stirred && c.Aborted() {
			l.account()
			i++
			break
		}
	}
	returned = true
	return i
}

// account counts what was done of the claim, and when that ended.
func (l *loop[In, Out]) account() {
	now := l.worker.Clock()
	if n := int64(l.good + l.failed); n > 0 {
		l.worker.Done(l.good, l.failed, now-l.mark)
		took := max(1, (now-l.mark)/n)
		l.each += (took - l.each) / 2
	}
	l.mark, l.good, l.failed = now, 0, 0
}

// show makes the result of item i visible.
func (l *loop[In, Out]) show(s *slot[In, Out], i uint64, panicked bool) {
	err := s.err // the slot may be used again at once
	if s.mark.Swap(markOf(i)) == markOf(i)+1 {
		l.worker.Revoke(err, panicked) // too late
		return
	}
	if l.belt.wanted.Load() == i+1 {
		l.belt.rouse()
	}
}

// crash ends item i, whose function panicked with reason, or called
// runtime.Goexit if that is nil. It returns the next item to run.
func (l *loop[In, Out]) crash(reason any, s *slot[In, Out], i, to uint64) (next uint64) {
	b, c := l.belt, l.cell()
	if c.Stirred() {
		l.ctx.next(c, &b.asks)
	}
	var zero Out
	s.out, s.err = zero, l.worker.Contain(reason)
	l.account()
	if !l.silent {
		l.show(s, i, reason != nil)
	}
	if reason == nil && !l.here { // the goroutine ends, and the loop with it
		if from, to := l.hold.release(); from < to {
			b.task.core.pool.Retract(int(to - i - 1))
			b.giveBack(i+1, to)
		}
		if b.drop(l) && b.waiting() > 0 {
			b.start()
		}
		l.end()
	}
	return i + 1
}
