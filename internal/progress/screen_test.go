package progress_test

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/progress"
)

// shown is what a terminal that got text has on its screen. It knows what the
// bars use: line feeds, cursor up and erase below.
func shown(text string) []string {
	var lines []string
	row := 0
	for text != "" {
		if m := regexp.MustCompile(`^\x1b\[(\d+)A\x1b\[J`).FindStringSubmatch(text); m != nil {
			up, _ := strconv.Atoi(m[1])
			row = max(row-up, 0)
			lines, text = lines[:row], text[len(m[0]):]
			continue
		}
		line, rest, _ := strings.Cut(text, "\n")
		lines, text = append(lines[:row], line), rest
		row++
	}
	return lines
}

func TestTerminalKeepsOneClosingLineForEachBar(t *testing.T) {
	var out recorder
	o := progress.NewOutput(&out, true)
	hashing, fetching, failing := o.Start("hashing", 100), o.Start("fetching", progress.Unknown), o.Start("failing", 10)
	eventually(t, func() bool { return strings.Contains(out.String(), "⠙") })
	hashing.Add(100, 3)
	hashing.Finish(nil)
	eventually(t, func() bool { return strings.Contains(out.String(), "3 failed, done in") })
	failing.Add(5, 0)
	failing.Finish(errors.New("disk on fire"))
	fetching.Add(7, 0)
	fetching.Finish(nil)

	got := shown(out.String())
	want := []string{
		`^hashing  100/100 100% \[=+\] [\d.]+k?/s, 3 failed, done in [\d.]+m?s\s*$`,
		`^fetching\s+7 .* [\d.]+/s, done in [\d.]+m?s\s*$`,
		`^failing\s+5/10 +50% \[=+-+\] [\d.]+/s, failed after [\d.]+m?s: disk on fire\s*$`,
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines on the screen, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for _, pattern := range want {
		if !slices.ContainsFunc(got, regexp.MustCompile(pattern).MatchString) {
			t.Errorf("no line on the screen matches %s:\n%s", pattern, strings.Join(got, "\n"))
		}
	}
}

func TestTerminalShowsRateAndTimeLeftOfALiveBar(t *testing.T) {
	var out recorder
	o := progress.NewOutput(&out, true)
	b := o.Start("hashing", 1_000_000)
	b.Add(250_000, 0)
	live := regexp.MustCompile(`hashing 250000/1000000 25% \[=+>-+\] [\d.]+[kM]?/s, ETA \d+s`)
	eventually(t, func() bool { return live.MatchString(out.String()) })
	b.Finish(nil)
}

func TestBarsOneAfterAnotherDoNotOverwriteEachOther(t *testing.T) {
	var out recorder
	o := progress.NewOutput(&out, true)
	for i := range 20 {
		b := o.Start("run-"+strconv.Itoa(i), 1)
		b.Add(1, 0)
		b.Finish(nil)
	}
	got := shown(out.String())
	if len(got) != 20 {
		t.Fatalf("%d lines, want 20:\n%s", len(got), strings.Join(got, "\n"))
	}
	for i, line := range got {
		if want := "run-" + strconv.Itoa(i) + " 1/1 100%"; !strings.HasPrefix(line, want) {
			t.Errorf("line %d is %q, want it to begin with %q", i, line, want)
		}
	}
}

func TestBarsThatFinishBesideOthersDoNotWait(t *testing.T) {
	out := newGate()
	o := progress.NewOutput(out, true)
	long := o.Start("long", 1)
	<-out.blocked
	began := time.Now()
	for range 3000 { // more than a blocked terminal keeps
		b := o.Start("short", 1)
		b.Finish(nil)
	}
	if got, limit := time.Since(began), time.Second; got >= limit {
		t.Errorf("3000 bars beside a live one took %v, want less than %v", got, limit)
	}
	close(out.open)
	long.Finish(nil)
	got := strings.Join(shown(out.String()), "\n")
	if n := strings.Count(got, "short"); n < 1000 || n > 2000 {
		t.Errorf("%d closing lines were kept, want about 1000", n)
	}
	if !strings.Contains(got, "long") {
		t.Errorf("no closing line of the long bar")
	}
}

func TestEveryOneOfManyBarsHasItsClosingLine(t *testing.T) {
	var out recorder
	o := progress.NewOutput(&out, true)
	bars := make([]*progress.Bar, 500)
	for i := range bars {
		bars[i] = o.Start("bar-"+strconv.Itoa(i)+"-", 1)
	}
	eventually(t, func() bool { return strings.Contains(out.String(), "bar-0-") })
	for _, b := range bars {
		b.Add(1, 0)
		b.Finish(nil)
	}
	got := strings.Join(shown(out.String()), "\n")
	for i := range bars {
		title := "bar-" + strconv.Itoa(i) + "-"
		if n := strings.Count(got, title); n != 1 {
			t.Errorf("%s is %d times on the screen, want once", title, n)
		}
	}
	if n := strings.Count(got, "1/1"); n != len(bars) {
		t.Errorf("%d closing lines, want %d", n, len(bars))
	}
}
