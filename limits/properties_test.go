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
	Report  int           // percent of the amount that is reported as used; -1: none
	Try     bool
	Pause   time.Duration // of the rate, after the grant
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
		for range rapid.IntRange(1, 60).Draw(t, "moves") {
			s.Moves = append(s.Moves, move{
				Start:   ms(3000, "start"),
				Amount:  rapid.IntRange(0, s.Burst).Draw(t, "amount"),
				Hold:    rapid.IntRange(0, s.Places).Draw(t, "hold"),
				Lasts:   ms(400, "lasts"),
				Patient: ms(5000, "patient"),
				Report:  rapid.SampledFrom([]int{-1, -1, 0, 50, 100}).Draw(t, "report"),
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
	used          int // of the rate: the report, else the request
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
			*e = event{move: m, arrived: time.Since(begin), used: m.Amount}
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
			hold(m.Hold)
			time.Sleep(m.Lasts)
			p.Pause(m.Pause)
			if m.Report >= 0 {
				e.used = m.Amount * m.Report / 100
				e.err = p.Update("k", e.used)
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

// windows returns an error if some window admits more than most.
func windows(events []event, per time.Duration, most int, amount func(event) int) error {
	came := slices.Clone(events)
	came = slices.DeleteFunc(came, func(e event) bool { return !e.granted })
	slices.SortFunc(came, func(a, b event) int { return int(a.came - b.came) })
	for i, first := range came {
		sum := 0
		for _, e := range came[i:] {
			if e.came-first.came < per {
				sum += amount(e)
			}
		}
		if sum > most {
			return fmt.Errorf("%d admitted in the window from %v, want at most %d", sum, first.came, most)
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
	if err := windows(events, s.Per, s.most(largest), func(e event) int { return e.used }); err != nil {
		return fmt.Errorf("%v: %w", s.Algorithm, err)
	}
	if err := windows(events, s.Per, s.Calls, func(event) int { return 1 }); err != nil {
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
