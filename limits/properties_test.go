package limits_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/limits"
)

// A move is what one caller of a random stream does.
type move struct {
	Start   time.Duration
	Amount  int           // of the rate
	Hold    int           // of the resource
	Lasts   time.Duration // from the grant to the release
	Patient time.Duration // its context ends after that
	Reports []percent     // of the amount, reported as used one after another
	Try     bool
	Pause   time.Duration // of the rate, after the grant
}

// A percent is a report of so much of a request, some time after what came
// before.
type percent struct {
	After time.Duration
	Used  int
}

// A stream is a Set of a rate, calls and a resource, and callers of it.
type stream struct {
	Algorithm       limits.Algorithm
	Capacity, Burst int
	Per             time.Duration
	Calls, Places   int
	Moves           []move
	CloseAt         time.Duration
}

func streams(a limits.Algorithm) *rapid.Generator[stream] {
	return rapid.Custom(func(t *rapid.T) stream {
		ms := func(most int, label string) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, label)) * time.Millisecond
		}
		s := stream{
			Algorithm: a,
			Capacity:  rapid.IntRange(1, 20).Draw(t, "capacity"),
			Per:       time.Millisecond + ms(999, "per"),
			Calls:     rapid.IntRange(1, 10).Draw(t, "calls"),
			Places:    rapid.IntRange(1, 5).Draw(t, "places"),
			CloseAt:   ms(20_000, "close"),
		}
		s.Burst = s.Capacity
		if a == limits.TokenBucket || a == limits.GCRA {
			s.Burst = rapid.IntRange(1, 30).Draw(t, "burst")
		}
		reports := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) percent {
			used := rapid.SampledFrom([]int{0, 10, 50, 100, 100, 150, 250}).Draw(t, "used")
			return percent{After: ms(200, "after"), Used: used}
		}), 0, 4)
		for range rapid.IntRange(1, 60).Draw(t, "moves") {
			s.Moves = append(s.Moves, move{
				Start:   ms(3000, "start"),
				Amount:  rapid.IntRange(0, s.Burst).Draw(t, "amount"),
				Hold:    rapid.IntRange(0, s.Places).Draw(t, "hold"),
				Lasts:   ms(400, "lasts"),
				Patient: ms(5000, "patient"),
				Reports: reports.Draw(t, "reports"),
				Try:     rapid.Bool().Draw(t, "try"),
				Pause:   ms(rapid.SampledFrom([]int{0, 0, 0, 300}).Draw(t, "pauses"), "pause"),
			})
		}
		return s
	})
}

func (s stream) set() *limits.Set {
	opts := []limits.RateOption{s.Algorithm}
	if s.Burst != s.Capacity {
		opts = append(opts, limits.Burst(s.Burst))
	}
	return limits.MustNew(limits.Rate("k", s.Capacity, s.Per, opts...),
		limits.Calls(s.Calls, s.Per, limits.SlidingWindow), limits.Resource("r", s.Places))
}

// most is what the algorithm may admit in a window; largest is the largest
// amount of one request.
func (s stream) most(largest int) int {
	switch s.Algorithm {
	case limits.SlidingWindow:
		return s.Capacity
	case limits.FixedWindow:
		return 2 * s.Capacity
	case limits.LeakyBucket:
		return s.Capacity - 1 + largest
	default:
		return s.Burst + s.Capacity
	}
}

// An event is what a move came to.
type event struct {
	move
	granted       bool
	err           error
	arrived, came time.Duration
	uses          []use // of the rate; the first one is the grant
	peak          int   // the most that was granted or reported
}

// A use is a part of the rate that was really used: from the amount above to
// the amount upTo of its event, at an instant.
type use struct {
	at          time.Duration
	above, upTo int
}

// report changes what was used of e. What goes up again after it was reported
// as less is not held against the limiter: others may have got it meanwhile.
func (e *event) report(at time.Duration, used int) {
	for i := range e.uses {
		u := &e.uses[i]
		u.upTo = min(u.upTo, max(u.above, used))
	}
	if used > e.peak {
		e.uses = append(e.uses, use{at: at, above: e.peak, upTo: used})
		e.peak = used
	}
}

// play runs the stream on a Set and returns the events, by move, and the
// largest amount of the resource that was held at once.
func (s stream) play(set *limits.Set) (events []event, most int) {
	var mu sync.Mutex
	held := 0
	hold := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		held += n
		most = max(most, held)
	}
	begin := time.Now()
	events = make([]event, len(s.Moves))
	var all sync.WaitGroup
	for i, m := range s.Moves {
		all.Go(func() {
			time.Sleep(m.Start + time.Duration(i+1)) // at an instant of its own, which is not that of Close
			e := &events[i]
			*e = event{move: m, arrived: time.Since(begin)}
			ctx, cancel := context.WithTimeout(context.Background(), m.Patient)
			defer cancel()
			r := limits.Request{"k": m.Amount, "r": m.Hold}
			var p *limits.Permit
			if m.Try {
				p, e.err = set.TryAcquire(r)
			} else {
				p, e.err = set.Acquire(ctx, r)
			}
			e.came = time.Since(begin)
			if e.err != nil {
				return
			}
			e.granted = true
			e.uses, e.peak = []use{{at: e.came, upTo: m.Amount}}, m.Amount
			hold(m.Hold)
			time.Sleep(m.Lasts)
			p.Pause(m.Pause)
			for _, r := range m.Reports {
				time.Sleep(r.After)
				used := m.Amount * r.Used / 100
				e.report(time.Since(begin), used)
				if err := p.Update("k", used); err != nil {
					e.err = err
				}
			}
			hold(-m.Hold)
			p.Release()
		})
	}
	time.Sleep(s.CloseAt)
	set.Close()
	all.Wait()
	return events, most
}

// windows returns an error if some window admits more than most calls.
func windows(events []event, per time.Duration, most int) error {
	came := slices.Clone(events)
	came = slices.DeleteFunc(came, func(e event) bool { return !e.granted })
	slices.SortFunc(came, func(a, b event) int { return int(a.came - b.came) })
	for i, first := range came {
		sum := 0
		for _, e := range came[i:] {
			if e.came-first.came < per {
				sum++
			}
		}
		if sum > most {
			return fmt.Errorf("%d admitted in the window from %v, want at most %d", sum, first.came, most)
		}
	}
	return nil
}

// admitted returns an error if something was granted of the rate though in the
// window that ends with it more than most was used. Debts of the same instant
// do not count: they may have come later.
func admitted(events []event, per time.Duration, most int) error {
	for _, e := range events {
		if !e.granted || e.Amount == 0 {
			continue
		}
		sum := 0
		for _, other := range events {
			for i, u := range other.uses {
				if u.at < e.came && e.came-u.at < per || u.at == e.came && i == 0 {
					sum += u.upTo - u.above
				}
			}
		}
		if sum > most {
			return fmt.Errorf("%d used in the window up to %v, want at most %d", sum, e.came, most)
		}
	}
	return nil
}

// check returns what is wrong with the events of s.
func (s stream) check(set *limits.Set, events []event, held int) error {
	largest := 0
	for _, e := range events {
		largest = max(largest, e.Amount)
	}
	if err := admitted(events, s.Per, s.most(largest)); err != nil {
		return fmt.Errorf("%v: %w", s.Algorithm, err)
	}
	if err := windows(events, s.Per, s.Calls); err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	if held > s.Places {
		return fmt.Errorf("%d held of a resource of %d", held, s.Places)
	}
	if err := s.order(events); err != nil {
		return err
	}
	granted := uint64(0)
	for _, e := range events {
		if e.granted {
			granted++
		}
	}
	stats := set.Stats()
	if r := stats[2]; r.Used != 0 || r.Waiting != 0 || set.TimerPending() {
		return fmt.Errorf("something is left: %+v, timer %v", r, set.TimerPending())
	}
	if c := stats[1]; c.Granted != granted || c.Refused != s.refused(events) {
		return fmt.Errorf("counted %+v, want %d granted and %d refused", c, granted, s.refused(events))
	}
	return nil
}

// refused counts those who ended without a permit while the Set was open.
func (s stream) refused(events []event) (n uint64) {
	for _, e := range events {
		if !e.granted && e.arrived < s.CloseAt && (e.Try || e.Patient > 0) {
			n++
		}
	}
	return n
}

// order returns an error if somebody was overtaken: all share the key of the
// calls, so that grants must come in the order of arrival.
func (s stream) order(events []event) error {
	arrived := slices.Clone(events)
	slices.SortFunc(arrived, func(a, b event) int { return int(a.arrived - b.arrived) })
	last := event{}
	for _, e := range arrived {
		if !e.granted {
			continue
		}
		if e.came < last.came {
			return fmt.Errorf("arrived at %v, granted at %v, before %v who arrived at %v", e.arrived, e.came, last.came, last.arrived)
		}
		last = e
	}
	return nil
}

// TestStreamsOfRequestsKeepEveryPromise plays random streams. Each runs in a
// bubble of its own, what it came to is checked outside, where rapid can shrink
// a failing one.
func TestStreamsOfRequestsKeepEveryPromise(t *testing.T) {
	for _, a := range algorithms {
		t.Run(a.String(), func(t *testing.T) {
			t.Parallel()
			gen := streams(a)
			rapid.Check(t, func(rt *rapid.T) {
				s := gen.Draw(rt, "stream")
				var fault error
				synctest.Test(t, func(*testing.T) {
					set := s.set()
					events, held := s.play(set)
					fault = s.check(set, events, held)
				})
				if fault != nil {
					rt.Fatal(fault)
				}
			})
		})
	}
}
