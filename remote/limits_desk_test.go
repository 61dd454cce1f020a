package remote

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote/wire"
)

// ends are both sides of a connection: a desk, and somebody who may say to it
// whatever he likes.
type ends struct {
	t     *testing.T
	desk  *limitsDesk
	conn  *link.Conn // of the desk
	peer  *link.Conn
	close func() // returns when both have ended

	mu     sync.Mutex
	grants []*wire.Grant // that came to the peer
	other  wire.Limits
}

// withDesk runs test against a desk of l, under the name "s".
func withDesk(t *testing.T, l limits.Limiter, test func(t *testing.T, e *ends)) {
	t.Helper()
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		e := &ends{t: t}
		e.conn, e.peer = w.pair()
		e.desk = newLimitsDesk(e.conn, func(set string) limits.Limiter {
			if set == "s" || set == limitsOfPool {
				return l
			}
			return nil
		})
		var both sync.WaitGroup
		both.Go(func() {
			_ = e.conn.Serve(func(m *wire.Envelope) { e.desk.receive(m.GetLimits()) })
			e.desk.close()
		})
		both.Go(func() { _ = e.peer.Serve(func(m *wire.Envelope) { e.take(m.GetLimits()) }) })
		e.close = func() {
			e.peer.Close(nil)
			e.conn.Close(nil)
			both.Wait()
		}
		defer e.close()
		test(t, e)
	})
}

// pair connects two hosts. The first conn has accepted.
func (w *limitsWorld) pair() (accepted, dialled *link.Conn) {
	w.t.Helper()
	l, err := w.net.Listen("x:1")
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	done := make(chan *link.Conn, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			w.t.Error(err)
		}
		c, _, err := link.Accept(w.t.Context(), nc, link.Config{Name: "owner"}, func(*wire.Hello) *wire.Welcome { return nil })
		if err != nil {
			w.t.Error(err)
		}
		done <- c
	}()
	nc, err := w.net.Dial(w.t.Context(), "y", "x:1")
	if err != nil {
		w.t.Fatal(err)
	}
	dialled, _, err = link.Dial(w.t.Context(), nc, link.Config{Name: "peer"}, &wire.Hello{})
	if err != nil {
		w.t.Fatal(err)
	}
	return <-done, dialled
}

func (e *ends) take(l *wire.Limits) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.grants = append(e.grants, l.GetGrants()...)
	e.other.Updated = append(e.other.Updated, l.GetUpdated()...)
	e.other.Stats = append(e.other.Stats, l.GetStats()...)
}

// say sends l and returns the grants that came by the time at which all is quiet.
func (e *ends) say(l *wire.Limits) []*wire.Grant {
	e.t.Helper()
	e.peer.AddLimits(l)
	if err := e.peer.FlushWait(); err != nil {
		e.t.Fatal(err)
	}
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	grants := e.grants
	e.grants = nil
	return grants
}

func acquireOf(id uint64) *wire.Acquire { return &wire.Acquire{Id: id, Set: "s"} }

func TestTheDeskIgnoresWhatItDoesNotKnow(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 2), limits.Calls(10, time.Second))
	withDesk(t, set, func(t *testing.T, e *ends) {
		e.desk.receive(&wire.Limits{ // past the wire, which refuses what is 0
			Releases: []uint64{0}, Withdrawals: []uint64{0}, Updates: []*wire.Update{{}}, Pauses: []*wire.Pause{{}},
		})
		e.say(&wire.Limits{})
		if got := e.say(&wire.Limits{
			Releases: []uint64{1, 7, math.MaxUint64}, Withdrawals: []uint64{3, 3},
			Pauses:  []*wire.Pause{{Permit: 9, Duration: 1}, {Set: "none", Key: "db", Duration: 1}, {Set: "s", Key: "none", Duration: 1}},
			Updates: []*wire.Update{{Permit: 5, Key: "calls"}},
			Grants:  []*wire.Grant{{Id: 1, Permit: 1}}, Updated: []*wire.Updated{{Id: 1}}, Stats: []*wire.Stats{{Id: 1}},
		}); len(got) != 0 {
			t.Errorf("got %v, want no answer", got)
		}
		wantIdle(t, set)
		grants := e.say(&wire.Limits{Acquires: []*wire.Acquire{acquireOf(1), acquireOf(2)}})
		if len(grants) != 2 || grants[0].GetPermit() == 0 || grants[1].GetPermit() == 0 {
			t.Fatalf("got %v, want two permits", grants)
		}
		p := grants[0].GetPermit()
		e.say(&wire.Limits{Releases: []uint64{p, p, p}})
		e.say(&wire.Limits{Releases: []uint64{p}})
		wantStat(t, set, 1, 0)
		e.say(&wire.Limits{Withdrawals: []uint64{2}}) // is granted: only its release counts
		wantStat(t, set, 1, 0)
	})
	wantFree(t, set)
}

// wantFree fails the test unless nothing of the first limit is used.
func wantFree(t *testing.T, set *limits.Set) {
	t.Helper()
	wantStat(t, set, 0, 0)
}

func TestTheDeskRefusesWrongRequests(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 2), limits.Rate("r", 10, time.Second))
	long := strings.Repeat("k", mostName+1)
	many := make(map[string]int64)
	for i := range mostKeys + 1 {
		many[strings.Repeat("k", i%1000)+string(rune('a'+i/1000))] = 0
	}
	withDesk(t, set, func(t *testing.T, e *ends) {
		for text, a := range map[string]*wire.Acquire{
			"negative":    {Id: 1, Set: "s", Request: map[string]int64{"db": -5, "r": 0}},
			"capacity":    {Id: 2, Set: "s", Request: map[string]int64{"db": math.MaxInt64, "r": 0}},
			"unknown key": {Id: 3, Set: "s", Request: map[string]int64{"x": math.MinInt64, "r": 0}},
			"1025 bytes":  {Id: 4, Set: "s", Request: map[string]int64{long: 0}},
			"1025 keys":   {Id: 5, Set: "s", Request: many},
			`"none"`:      {Id: 6, Set: "none"},
			"kkkk":        {Id: 7, Set: long},
			"missing":     {Id: 8, Set: "s", Try: true},
		} {
			grants := e.say(&wire.Limits{Acquires: []*wire.Acquire{a}})
			if len(grants) != 1 || grants[0].GetId() != a.GetId() || grants[0].GetPermit() != 0 {
				t.Fatalf("%s: got %v, want a refusal", text, grants)
			}
			if err := wire.DecodeError(grants[0].GetFailure()); err == nil || !strings.Contains(err.Error(), text) || len(err.Error()) > 500 {
				t.Errorf("got %v, want an error with %q", err, text)
			}
		}
		wantIdle(t, set)
		g := e.say(&wire.Limits{Acquires: []*wire.Acquire{{Id: 1, Set: "s", Request: map[string]int64{"r": 4}}}})[0]
		e.say(&wire.Limits{Updates: []*wire.Update{
			{Id: 1, Permit: g.GetPermit(), Key: "r", Used: -1}, {Id: 2, Permit: g.GetPermit(), Key: long}, {Id: 3, Permit: 99, Key: "r"},
			{Id: 4, Permit: g.GetPermit(), Key: "r", Used: 6}, {Permit: g.GetPermit(), Key: "r", Used: 7},
		}})
		if len(e.other.Updated) != 4 || e.other.Updated[0].GetFailure() == nil || e.other.Updated[1].GetFailure() == nil || e.other.Updated[3].GetFailure() != nil {
			t.Errorf("got %v, want two refusals, ErrReleased and no failure", e.other.Updated)
		}
		if err := wire.DecodeError(e.other.Updated[2].GetFailure()); !errors.Is(err, limits.ErrReleased) {
			t.Errorf("an unknown permit: got %v, want ErrReleased", err)
		}
		if got := set.Stats()[1].Used; got != 7 {
			t.Errorf("got %d used, want the last report, 7", got)
		}
		e.say(&wire.Limits{Queries: []*wire.Query{{Id: 9, Set: "none"}, {Id: 10, Set: "s"}}})
		if s := e.other.Stats; len(s) != 2 || s[0].GetFailure() == nil || len(s[1].GetStats()) != 2 {
			t.Errorf("got %v, want a failure and two stats", s)
		}
	})
}

func TestTheDeskTakesOneAcquireForEachID(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 1))
	held, _ := set.TryAcquire(nil)
	withDesk(t, set, func(t *testing.T, e *ends) {
		e.say(&wire.Limits{Acquires: []*wire.Acquire{acquireOf(1), acquireOf(1), acquireOf(1)}})
		wantStat(t, set, 1, 1)
		// With its Acquire in one message, in whatever order they were added.
		grants := e.say(&wire.Limits{Acquires: []*wire.Acquire{acquireOf(2)}, Withdrawals: []uint64{2, 1, 1}})
		if len(grants) != 2 || grants[0].GetPermit() != 0 || grants[1].GetPermit() != 0 {
			t.Errorf("got %v, want both withdrawn", grants)
		}
		wantStat(t, set, 1, 0)
		held.Release()
	})
	wantFree(t, set)
}

func TestTheDeskBoundsWhatIsAskedForAndHeld(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 10))
	withDesk(t, set, func(t *testing.T, e *ends) {
		for from := uint64(1); from <= mostAsks; from += 1024 {
			l := &wire.Limits{}
			for id := from; id < from+1024; id++ {
				l.Acquires = append(l.Acquires, acquireOf(id))
			}
			e.say(l)
		}
		wantStat(t, set, 10, mostAsks-10)
		grants := e.say(&wire.Limits{Acquires: []*wire.Acquire{acquireOf(mostAsks + 1)}})
		if len(grants) != 1 || grants[0].GetFailure() == nil {
			t.Errorf("got %v, want a refusal", grants)
		}
		e.close()
		wantFree(t, set)
	})
}

func TestTheDeskEndsTheConnectionOfWhoDoesNotRead(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 1))
	inLimitsWorld(t, 1, func(t *testing.T, w *limitsWorld) {
		conn, peer := w.pair()
		desk := newLimitsDesk(conn, func(string) limits.Limiter { return set })
		desk.out.most = 128 << 10
		served, hang := make(chan error, 1), make(chan struct{})
		go func() { served <- conn.Serve(func(m *wire.Envelope) { desk.receive(m.GetLimits()) }) }()
		both := make(chan error, 1)
		go func() { both <- peer.Serve(func(*wire.Envelope) { <-hang }) }()
		flood := &wire.Limits{}
		for i := range uint64(1000) {
			flood.Queries = append(flood.Queries, &wire.Query{Id: i + 1, Set: "s"})
		}
		for conn.Err() == nil {
			peer.AddLimits(flood)
			if peer.FlushWait() != nil {
				break
			}
			synctest.Wait()
		}
		if err := <-served; err == nil || !strings.Contains(err.Error(), "does not read") {
			t.Errorf("got %v, want that the peer does not read", err)
		}
		desk.close()
		close(hang)
		peer.Close(nil)
		<-both
	})
}

func TestThePermitOfACallIsItsOwnersToRelease(t *testing.T) {
	set := limits.MustNew(limits.Rate("r", 10, time.Second), limits.Resource("db", 1))
	withDesk(t, set, func(t *testing.T, e *ends) {
		p, err := set.Acquire(t.Context(), limits.Request{"r": 1})
		if err != nil {
			t.Fatal(err)
		}
		lease := &wire.Lease{}
		e.desk.lend(lease, p)
		e.say(&wire.Limits{Releases: []uint64{lease.GetPermit()}, Updates: []*wire.Update{{Permit: lease.GetPermit(), Key: "r", Used: 4}}})
		if s := set.Stats(); s[0].Used != 4 || s[1].Used != 1 {
			t.Errorf("got %+v, want the update and the permit held", s)
		}
		e.desk.takeBack(lease)
		e.desk.takeBack(lease)
		e.desk.takeBack(&wire.Lease{Permit: 99})
		e.say(&wire.Limits{
			Updates: []*wire.Update{{Id: 1, Permit: lease.GetPermit(), Key: "r", Used: 9}},
			Pauses:  []*wire.Pause{{Permit: lease.GetPermit(), Duration: int64(time.Hour)}},
		})
		if s := set.Stats(); s[0].Used != 4 || !s[0].PausedUntil.IsZero() {
			t.Errorf("got %+v, want no effect after takeBack", s)
		}
		e.desk.lend(lease, p)
		e.close()
		if s := set.Stats(); s[1].Used != 1 {
			t.Error("the end of the connection has released the permit of a call")
		}
		p.Release()
	})
}

func TestAGrantThatComesAfterTheEndGoesBack(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 1))
	withDesk(t, set, func(t *testing.T, e *ends) {
		o := &limitsOrder{desk: e.desk, id: 1}
		e.close()
		p, err := set.Acquire(context.Background(), nil)
		o.Granted(p, err)
		wantFree(t, set)
	})
}

func TestTheLimitsOfAPoolHaveOneName(t *testing.T) {
	set := limits.MustNew(limits.Resource("db", 1))
	find := poolLimits(set)
	if find(limitsOfPool) != limits.Limiter(set) || find("other") != nil || find("") != nil || poolLimits(nil)(limitsOfPool) != nil {
		t.Error("want the Set under its name only")
	}
}
