package limits

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMetersAgreeWithTheReference(t *testing.T) {
	for _, a := range []Algorithm{GCRA, SlidingWindow, FixedWindow, LeakyBucket} {
		t.Run(a.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := newModel(t, a)
				t.Repeat(map[string]func(*rapid.T){
					"wait": m.wait, "acquire": m.acquire, "when": m.when, "report": m.report,
				})
			})
		})
	}
}

// TestTokenBucketAgreesWithGCRA holds the one in float64 against the one in
// integers, which the reference has checked. They may differ by a rounding
// error of the tokens.
func TestTokenBucketAgreesWithGCRA(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Rate("k", rapid.IntRange(1, 1_000_000).Draw(t, "capacity"),
			time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "per")))
		l.burst, l.hasBurst = rapid.IntRange(1, 1_000_000).Draw(t, "burst"), true
		fills := float64(l.burst) / float64(l.capacity) * float64(l.per) // the time of the burst
		tolerance := 2 + time.Duration(math.Ldexp(fills, -46))
		float, exact, now := newTokenBucket(&l), newGCRA(&l), time.Duration(0)
		var at []time.Duration
		var asked []int64
		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				n := rapid.Int64Range(1, int64(l.burst)).Draw(t, "n")
				when, want := float.when(now, n), exact.when(now, n)
				if d := when - want; d < -tolerance || d > tolerance {
					t.Fatalf("at %d: %d is there at %d, want %d", now, n, when, want)
				}
				now = max(now, when, want)
				if !float.can(now, n) || !exact.can(now, n) {
					t.Fatalf("at %d: %d is not there as announced", now, n)
				}
				float.take(now, n)
				exact.take(now, n)
				at, asked = append(at, now), append(asked, n)
			},
			"report": func(t *rapid.T) {
				if len(at) == 0 {
					return
				}
				i := len(at) - 1
				used := rapid.Int64Range(0, 2*asked[i]).Draw(t, "used")
				if more := used - asked[i]; more >= 0 {
					float.owe(now, more)
					exact.owe(now, more)
				} else {
					got, want := float.giveBack(now, at[i], -more), exact.giveBack(now, at[i], -more)
					if d := got - want; d < -1 || d > 1 {
						t.Fatalf("at %d: gave back %d, want %d", now, got, want)
					}
				}
				at, asked = at[:i], asked[:i]
			},
			"mirror": func(t *rapid.T) {
				if got, want := float.holds(now), float.bucket.TokensAt(float.clock(now)); math.Abs(got-want) > math.Ldexp(float64(l.burst), -46) {
					t.Fatalf("at %d: counted %v tokens, but the bucket holds %v", now, got, want)
				}
			},
			"wait": func(t *rapid.T) {
				now += time.Duration(rapid.Int64Range(0, int64(l.per)).Draw(t, "d"))
			},
		})
	})
}

func TestGivingBackIsAsIfItHadNeverBeenTaken(t *testing.T) {
	for _, a := range []Algorithm{TokenBucket, GCRA} {
		t.Run(a.String(), func(t *testing.T) {
			l := Rate("k", 10, 10*time.Second, a)
			m := newMeter(&l)
			take := func(now time.Duration, n int64) {
				t.Helper()
				if !m.can(now, n) {
					t.Fatalf("at %v: %d not granted", now, n)
				}
				m.take(now, n)
			}
			take(0, 10)
			take(10*time.Second, 10) // full again by then
			if got := m.giveBack(10*time.Second, 0, 10); got != 0 {
				t.Errorf("gave back %d that would have overflowed", got)
			}
			if m.can(10*time.Second, 1) {
				t.Error("granted 21 within a window that may have 20")
			}
			take(15*time.Second, 5)
			// With 4 instead of 10, one token would have overflowed before 15 s.
			if got := m.giveBack(16*time.Second, 10*time.Second, 6); got != 5 {
				t.Errorf("gave back %d, want 5", got)
			}
			if available, used := m.level(16 * time.Second); available != 6 || used != 4 {
				t.Errorf("got %d available and %d used, want 6 and 4", available, used)
			}
		})
	}
}

func TestSlidingWindowForgetsNothingAndStaysSmall(t *testing.T) {
	l := Rate("k", 1_000_000, time.Minute, SlidingWindow)
	s := newSlidingWindow(&l)
	step := time.Minute / 200_000
	var now time.Duration
	for range 500_000 {
		if now += step; s.can(now, 1) {
			s.take(now, 1)
		}
	}
	if got, want := s.used(), int64(200_000); got < want || got > want+want/exactGrants+1 {
		t.Errorf("got %d used, want %d or little more", got, want)
	}
	if got, most := len(s.log), 2*exactGrants; got > most {
		t.Errorf("got a log of %d records, want at most %d", got, most)
	}
}

func TestSlidingWindowCostsTheSameForAnyAmount(t *testing.T) {
	l := Rate("k", 1_000_000, time.Minute, SlidingWindow)
	s := newSlidingWindow(&l)
	start := time.Now()
	for i := range time.Duration(1000) {
		if !s.can(i, 1000) {
			t.Fatalf("grant %d refused", i)
		}
		s.take(i, 1000)
	}
	if s.can(1000, 1) {
		t.Error("granted more than the capacity")
	}
	if got := time.Since(start); got > 50*time.Millisecond {
		t.Errorf("took %v, want less than 50 ms", got)
	}
	if got, most := len(s.log)*16, 16<<10; got > most {
		t.Errorf("takes %d bytes, want at most %d", got, most)
	}
}

func TestLowsStaySmallAndGiveBackNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var exact, merged lows
		now := time.Duration(0)
		t.Repeat(map[string]func(*rapid.T){
			"note": func(t *rapid.T) {
				now++
				backlog := wide{lo: rapid.Uint64Range(0, 1e6).Draw(t, "backlog")}
				exact.note(now, backlog)
				merged.note(now, backlog)
				if len(merged.records) > 8 {
					merged.mergeTo(8)
				}
			},
			"giveBack": func(t *rapid.T) {
				if now == 0 {
					return
				}
				at := time.Duration(rapid.Int64Range(0, int64(now)-1).Draw(t, "at"))
				n := wide{lo: rapid.Uint64Range(1, 1e6).Draw(t, "n")}
				a, b := exact, merged // on copies, as the two would drift apart
				a.records, b.records = append([]low(nil), a.records...), append([]low(nil), b.records...)
				if got, most := b.giveBack(at, n), a.giveBack(at, n); got.exceeds(most) {
					t.Fatalf("gave back %d, want at most %d", got, most)
				}
			},
		})
	})
	var l lows
	for i := range 10_000 {
		l.note(time.Duration(i), wide{lo: uint64(i)})
	}
	if len(l.records) > maxLows {
		t.Errorf("got %d records, want at most %d", len(l.records), maxLows)
	}
}
