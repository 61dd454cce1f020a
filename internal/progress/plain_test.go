package progress_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/internal/progress"
)

// plain runs fn with a plain Output in a bubble and returns what was written.
func plain(t *testing.T, fn func(*progress.Output)) string {
	t.Helper()
	var out recorder
	synctest.Test(t, func(t *testing.T) { fn(progress.NewOutput(&out, false)) })
	return out.String()
}

func TestPlainOutputIsALineEveryFiveSecondsAndAClosingLine(t *testing.T) {
	got := plain(t, func(o *progress.Output) {
		b := o.Start("hashing", 1000)
		for i := range 900 { // 60 a second
			time.Sleep(time.Second / 60)
			b.Add(1, i%300/299)
		}
		time.Sleep(500 * time.Millisecond)
		b.Add(100, 0)
		b.Finish(nil)
	})
	want := `hashing: 300/1000 (30%), 60/s, ETA 12s, 1 failed
hashing: 600/1000 (60%), 60/s, ETA 7s, 2 failed
hashing: 900/1000 (90%), 60/s, ETA 2s, 3 failed
hashing: 1000/1000 (100%), 65/s, 3 failed, done in 15s
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestPlainOutputWithoutTitleOrTotal(t *testing.T) {
	got := plain(t, func(o *progress.Output) {
		b := o.Start("", progress.Unknown)
		time.Sleep(6 * time.Second)
		b.Add(12, 0)
		b.SetTotal(24)
		time.Sleep(6 * time.Second)
		b.SetTotal(progress.Unknown)
		b.Finish(nil)
	})
	want := `0, 0.0/s
12/24 (50%), 1.2/s, ETA 10s
12, 1.0/s, done in 12s
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestPlainOutputShowsWhyARunFailed(t *testing.T) {
	got := plain(t, func(o *progress.Output) {
		b := o.Start("fetching", 3)
		b.Add(1, 1)
		time.Sleep(2 * time.Second)
		b.Finish(context.DeadlineExceeded)
		b.Finish(errors.New("later calls change nothing"))
	})
	want := "fetching: 1/3 (33%), 30.0/min, 1 failed, failed after 2s: context deadline exceeded\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTextsCannotBreakTheLine(t *testing.T) {
	got := plain(t, func(o *progress.Output) {
		b := o.Start(" a\x1b[2J\nb"+strings.Repeat("é", 99), 0)
		b.Finish(errors.New("bad\r\xff" + strings.Repeat("x", 200)))
	})
	want := "a [2J b" + strings.Repeat("é", 32) + "…: 0/0 (100%), 0.0/s, failed after 0s: bad ?" + strings.Repeat("x", 94) + "…\n"
	if got != want {
		t.Errorf("got\n%qwant\n%q", got, want)
	}
}

func TestBarsInSeveralBubblesShareAnOutput(t *testing.T) {
	var out recorder
	o := progress.NewOutput(&out, false)
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			b := o.Start("bubble", 1)
			time.Sleep(12 * time.Second)
			b.Finish(nil)
		})
	}
	if got, want := strings.Count(out.String(), "bubble: "), 9; got != want {
		t.Errorf("%d lines, want %d:\n%s", got, want, out.String())
	}
}

func TestABlockedWriterDelaysOneFinishByASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		o := progress.NewOutput(out, false)
		first, second := o.Start("first", 1), o.Start("second", 1)
		time.Sleep(6 * time.Second) // both have a line that the writer does not take
		start := time.Now()
		first.Finish(nil)
		if got, want := time.Since(start), time.Second; got != want {
			t.Errorf("the first Finish took %v, want %v", got, want)
		}
		second.Finish(nil)
		third := o.Start("third", 1)
		third.Finish(nil)
		if got, want := time.Since(start), time.Second; got != want {
			t.Errorf("three calls of Finish took %v, want %v", got, want)
		}

		close(out.open)
		synctest.Wait()
		fourth := o.Start("fourth", 1)
		fourth.Finish(nil)
		if got := out.String(); !strings.Contains(got, "first: 0/1 (0%), 0.0/s, done in 6s\n") {
			t.Errorf("the line that Finish gave up on was not written afterwards:\n%s", got)
		}
		if got := out.String(); !strings.Contains(got, "fourth: ") {
			t.Errorf("no line after the writer came back:\n%s", got)
		}
	})
}
