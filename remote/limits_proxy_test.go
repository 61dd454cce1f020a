package remote

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// withProxy runs test against a proxy whose owner says what the test says. The
// Limiter asks for the Set "s".
func withProxy(t *testing.T, test func(t *testing.T, o *fakeOwner, l limits.Limiter)) {
	t.Helper()
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		conn, mine := w.pair()
		o := &fakeOwner{conn: conn, asked: make(chan *wire.Limits, 64)}
		p := newLimitsProxy(mine)
		var both sync.WaitGroup
		both.Go(func() { p.close(mine.Serve(func(e *wire.Envelope) { p.receive(e.GetLimits()) })) })
		both.Go(func() { _ = conn.Serve(func(e *wire.Envelope) { o.take(e.GetLimits()) }) })
		test(t, o, &distantLimits{from: p, set: "s"})
		mine.Close(nil)
		conn.Close(nil)
		both.Wait()
	})
}

// fakeOwner is the other side of a proxy.
type fakeOwner struct {
	conn  *link.Conn
	asked chan *wire.Limits
}

func (o *fakeOwner) take(l *wire.Limits) {
	if l != nil {
		o.asked <- l
	}
}

func (o *fakeOwner) say(l *wire.Limits) {
	o.conn.AddLimits(l)
	o.conn.Flush()
	synctest.Wait()
}

func TestTheProxyIgnoresAnswersToNothing(t *testing.T) {
	withProxy(t, func(t *testing.T, o *fakeOwner, l limits.Limiter) {
		refusal := wire.EncodeError(limits.ErrClosed)
		o.say(&wire.Limits{
			Grants:  []*wire.Grant{{Id: 1, Permit: 1}, {Id: 1, Permit: 1}, {Id: 9, Failure: refusal}},
			Updated: []*wire.Updated{{Id: 1}, {Id: 2, Failure: refusal}}, Stats: []*wire.Stats{{Id: 1}, {Id: 7, Failure: refusal}},
			Acquires: []*wire.Acquire{acquireOf(1)}, Releases: []uint64{1}, // it is no desk
		})
		select {
		case got := <-o.asked:
			t.Errorf("got %v, want nothing said", got)
		default:
		}
		waiting := acquiring(t.Context(), l, nil)
		id := (<-o.asked).GetAcquires()[0].GetId()
		o.say(&wire.Limits{Updated: []*wire.Updated{{Id: id}}, Stats: []*wire.Stats{{Id: id}}}) // of the wrong kind
		o.say(&wire.Limits{Grants: []*wire.Grant{{Id: id, Permit: 5}, {Id: id, Permit: 6}}})
		g := <-waiting
		if g.err != nil {
			t.Fatal(g.err)
		}
		g.permit.Release()
		if got := (<-o.asked).GetReleases(); len(got) != 1 || got[0] != 5 {
			t.Errorf("got releases of %v, want of 5", got)
		}
	})
}

func TestAGrantThatCrossesTheWithdrawalIsReleased(t *testing.T) {
	withProxy(t, func(t *testing.T, o *fakeOwner, l limits.Limiter) {
		ctx, cancel := context.WithCancel(t.Context())
		waiting := acquiring(ctx, l, nil)
		id := (<-o.asked).GetAcquires()[0].GetId()
		cancel()
		if g := <-waiting; !errors.Is(g.err, context.Canceled) {
			t.Errorf("got %v, want the end of ctx", g.err)
		}
		if got := (<-o.asked).GetWithdrawals(); len(got) != 1 || got[0] != id {
			t.Errorf("got withdrawals of %v, want of %d", got, id)
		}
		o.say(&wire.Limits{Grants: []*wire.Grant{{Id: id, Permit: 8}}})
		if got := (<-o.asked).GetReleases(); len(got) != 1 || got[0] != 8 {
			t.Errorf("got releases of %v, want of 8", got)
		}
	})
}

func TestAnAnswerThatIsHereWhenCtxEndsCounts(t *testing.T) {
	withProxy(t, func(t *testing.T, o *fakeOwner, l limits.Limiter) {
		to := newLimitsWaiter()
		ticket, err := l.(*distantLimits).from.ask("s", nil, to)
		if err != nil {
			t.Fatal(err)
		}
		<-o.asked
		o.say(&wire.Limits{Grants: []*wire.Grant{{Id: ticket.(*limitsAsk).id, Permit: 1}}})
		if ticket.Cancel() || to.permit == nil {
			t.Errorf("Cancel took back permit %v, which had come", to.permit)
		}
		if ticket.Cancel() {
			t.Error("a second Cancel reported true")
		}
	})
}

func TestAllThatWaitsEndsWithTheConnection(t *testing.T) {
	withProxy(t, func(t *testing.T, o *fakeOwner, l limits.Limiter) {
		first := acquiring(t.Context(), l, nil)
		o.say(&wire.Limits{Grants: []*wire.Grant{{Id: (<-o.asked).GetAcquires()[0].GetId(), Permit: 1}}})
		held := (<-first).permit
		ctx, cancel := context.WithCancel(t.Context())
		withdrawn, waiting := acquiring(ctx, l, nil), acquiring(t.Context(), l, nil)
		errs := make(chan error, 2)
		go func() { _, err := l.TryAcquire(nil); errs <- err }()
		go func() { errs <- held.Update("k", 1) }()
		stats := make(chan []limits.Stat)
		go func() { stats <- l.Stats() }()
		synctest.Wait()
		cancel()
		<-withdrawn
		synctest.Wait()
		o.conn.Close(nil)
		for _, err := range []error{(<-waiting).err, <-errs, <-errs} {
			if !errors.Is(err, task.ErrLost) || !strings.Contains(err.Error(), "owner") || !strings.Contains(err.Error(), "peer") {
				t.Errorf("got %v, want ErrLost and both sides", err)
			}
		}
		if got := <-stats; got != nil {
			t.Errorf("got %v, want no stats", got)
		}
		synctest.Wait()
		if _, err := l.Acquire(t.Context(), nil); !errors.Is(err, task.ErrLost) {
			t.Errorf("Acquire later: got %v, want ErrLost", err)
		}
		if err := held.Update("k", 1); !errors.Is(err, task.ErrLost) {
			t.Errorf("Update later: got %v, want ErrLost", err)
		}
		held.Release()
		if err := held.Update("k", 1); !errors.Is(err, limits.ErrReleased) {
			t.Errorf("Update after Release: got %v, want ErrReleased", err)
		}
	})
}

func TestTheProxyBoundsWhatItAsksFor(t *testing.T) {
	withProxy(t, func(t *testing.T, o *fakeOwner, l limits.Limiter) {
		go func() {
			for range o.asked {
			}
		}()
		from := l.(*distantLimits).from
		for range mostAsks {
			if _, err := from.ask("s", nil, newLimitsWaiter()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Acquire(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "16384") {
			t.Errorf("got %v, want that there are too many", err)
		}
		o.conn.Close(nil)
		synctest.Wait()
		close(o.asked)
	})
}

func TestAGrantThatMeetsTheCancelAcrossConnectionsIsReleased(t *testing.T) {
	withProxy(t, func(t *testing.T, o *fakeOwner, l limits.Limiter) {
		first := acquiring(t.Context(), l, nil)
		o.say(&wire.Limits{Grants: []*wire.Grant{{Id: (<-o.asked).GetAcquires()[0].GetId(), Permit: 3}}})
		a := &farAsk{far: &farNode{}, to: newLimitsWaiter()}
		if !a.Cancel() || a.Cancel() {
			t.Error("want one Cancel that reports true")
		}
		a.answered((<-first).permit, nil)
		if got := (<-o.asked).GetReleases(); len(got) != 1 || got[0] != 3 {
			t.Errorf("got releases of %v, want of 3", got)
		}
		a.answered(nil, &lostLimits{node: "x", cause: context.Canceled})
		if n := len(a.far.waiting); n != 0 {
			t.Errorf("got %d waiting after the Cancel, want 0", n)
		}
	})
}
