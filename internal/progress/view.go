package progress

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
)

const (
	maxTitle = 40  // runes
	maxError = 100 // runes
)

// view is a bar at one moment: what is to be shown, apart from how.
type view struct {
	title               string
	done, failed, total int64
	rate                float64 // items a second
	elapsed             time.Duration
	closed              bool
	err                 error
}

// line is the view as one plain line:
//
//	hashing: 120/500 (24%), 60/s, ETA 6s, 3 failed
//	hashing: 500/500 (100%), 61/s, 3 failed, done in 8.2s
//	hashing: 130/500 (26%), 60/s, failed after 2.1s: context canceled
func (v view) line() string {
	var b strings.Builder
	if v.title != "" {
		b.WriteString(v.title + ": ")
	}
	b.WriteString(v.count())
	if v.total >= 0 {
		b.WriteString(" (" + v.share() + ")")
	}
	b.WriteString(", " + v.status() + "\n")
	return b.String()
}

// status is what stands right of a bar: "60/s, ETA 6s, 3 failed".
func (v view) status() string {
	s := v.speed()
	for _, part := range []string{v.left(), v.failures(), v.ending()} {
		if part != "" {
			s += ", " + part
		}
	}
	return s
}

// count is "120/500", or "120" without a total.
func (v view) count() string {
	if v.total < 0 {
		return fmt.Sprint(v.done)
	}
	return fmt.Sprintf("%d/%d", v.done, v.total)
}

// share is the part that is done, rounded down: 100% means all.
func (v view) share() string {
	switch {
	case v.total < 0:
		return ""
	case v.total == 0:
		return "100%"
	}
	return fmt.Sprintf("%d%%", int64(float64(v.done)/float64(v.total)*100))
}

func (v view) speed() string {
	switch r := v.rate; {
	case r >= 999.5e3:
		return fmt.Sprintf("%.1fM/s", r/1e6)
	case r >= 9999.5:
		return fmt.Sprintf("%.1fk/s", r/1e3)
	case r >= 9.95:
		return fmt.Sprintf("%.0f/s", r)
	case r >= 0.995 || r == 0:
		return fmt.Sprintf("%.1f/s", r)
	default:
		return fmt.Sprintf("%.1f/min", r*60)
	}
}

// left is the time left at the present rate; empty where there is no telling.
func (v view) left() string {
	if v.closed || v.total < 0 || v.done >= v.total {
		return ""
	}
	seconds := float64(v.total-v.done) / v.rate // +Inf at rate 0
	if seconds > math.MaxInt64/float64(time.Second) {
		return "ETA -"
	}
	d := time.Duration(seconds * float64(time.Second))
	return "ETA " + brief(max(d, time.Second).Round(time.Second))
}

func (v view) failures() string {
	if v.failed == 0 {
		return ""
	}
	return fmt.Sprintf("%d failed", v.failed)
}

func (v view) ending() string {
	switch {
	case !v.closed:
		return ""
	case v.err == nil:
		return "done in " + brief(v.elapsed)
	default:
		return fmt.Sprintf("failed after %s: %s", brief(v.elapsed), oneLine(v.err.Error(), maxError))
	}
}

// brief is d with two units at most: 12ms, 8.2s, 42s, 3m20s, 2h5m, 50h.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d.Round(time.Second) < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%.0fh", d.Hours())
	}
}

// oneLine makes s fit for one line of a terminal: no control characters, no
// broken encoding, at most limit runes.
func oneLine(s string, limit int) string {
	clean := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))))
	if len(clean) > limit {
		clean = append(clean[:limit-1], '…')
	}
	return string(clean)
}
