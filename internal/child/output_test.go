package child

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// collected reads chunks as stderr and returns the lines and the report.
func collected(chunks ...string) (got []Line, report string) {
	q := newLines(1, nil)
	o := output{pid: 1, stream: Stderr, lines: q}
	q.flood()
	for _, c := range chunks {
		o.write([]byte(c))
	}
	o.flush()
	return q.waiting, o.report()
}

func TestLinesAreCutAtBreaksAndAtTheBound(t *testing.T) {
	full := strings.Repeat("f", maxLine)
	for name, test := range map[string]struct {
		chunks []string
		want   []string // with + behind what goes on
	}{
		"none":                       {nil, nil},
		"one":                        {[]string{"a\n"}, []string{"a"}},
		"empty ones":                 {[]string{"\n\r\n\n"}, []string{"", "", ""}},
		"not ended":                  {[]string{"a\nb"}, []string{"a", "b"}},
		"in pieces":                  {[]string{"a", "b", "c\nd", "\n"}, []string{"abc", "d"}},
		"as long as may be":          {[]string{full + "\n"}, []string{full}},
		"ended by the next chunk":    {[]string{full, "\nx"}, []string{full, "x"}},
		"full at the end":            {[]string{full}, []string{full}},
		"longer by one":              {[]string{full + "x\n"}, []string{full + "+", "x"}},
		"longer in the next chunk":   {[]string{full, "x\n"}, []string{full + "+", "x"}},
		"three times as long":        {[]string{full + full + full, "\n"}, []string{full + "+", full + "+", full}},
		"a carriage return inside":   {[]string{"a\rb\r\n"}, []string{"a\rb"}},
		"a carriage return at bound": {[]string{full[1:] + "\r" + "x\n"}, []string{full[1:] + "\r+", "x"}},
	} {
		lines, _ := collected(test.chunks...)
		var got []string
		for _, l := range lines {
			if l.Partial {
				l.Text += "+"
			}
			got = append(got, l.Text)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %.60q, want %.60q", name, got, test.want)
		}
	}
}

func TestReportIsTheEndOfStderr(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var all strings.Builder
		var chunks []string
		for range random.IntN(8) {
			chunk := strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(2*maxTail))
			chunks = append(chunks, chunk)
			all.WriteString(chunk)
		}
		_, got := collected(chunks...)
		if want := all.String(); got != want[max(0, len(want)-maxTail):] {
			t.Fatalf("got %d bytes, not the end of %d", len(got), len(want))
		}
	}
}

func TestReportKeepsItsHeadline(t *testing.T) {
	trace := strings.Repeat("trace\n", 1000)
	for name, test := range map[string]struct{ stderr, want string }{
		"short":            {"panic: a\ntrace\n", "panic: a\ntrace\n"},
		"pushed out":       {"panic: a\n" + trace, "panic: a\n...\n" + trace[len(trace)-maxTail+13:]},
		"the last counts":  {"panic: a\nfatal error: b\n" + trace, "fatal error: b\n...\n" + trace[len(trace)-maxTail+19:]},
		"not inside lines": {"no panic: a\n" + trace, trace[len(trace)-maxTail:]},
		"not inside long lines": {strings.Repeat("x", maxLine) + "panic: a\n" + trace,
			trace[len(trace)-maxTail:]},
		"long": {"panic: " + strings.Repeat("a", 1000) + "\n" + trace,
			"panic: " + strings.Repeat("a", maxHeadline-7) + "\n...\n" + trace[len(trace)-maxTail+maxHeadline+5:]},
	} {
		_, got := collected(test.stderr)
		if got != test.want {
			t.Errorf("%s: got %.40q of %d bytes, want %.40q of %d", name, got, len(got), test.want, len(test.want))
		}
	}
}

// FuzzOutput writes the same bytes in different chunks.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("a\r\nb\n\npanic: x\n"), uint64(3))
	f.Add(bytes.Repeat([]byte("long "), maxLine), uint64(4))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		whole, report := collected(string(text))
		random := rand.New(rand.NewPCG(seed, 0))
		var chunks []string
		for rest := text; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			chunks, rest = append(chunks, string(rest[:n])), rest[n:]
		}
		pieces, report2 := collected(chunks...)
		if !slices.Equal(whole, pieces) || report != report2 {
			t.Errorf("chunks of seed %d give other lines", seed)
		}
		var back strings.Builder
		for _, l := range pieces {
			if len(l.Text) > maxLine {
				t.Errorf("a line of %d bytes", len(l.Text))
			}
			back.WriteString(l.Text)
			if !l.Partial {
				back.WriteString("\n")
			}
		}
		want := strings.ReplaceAll(string(text), "\r\n", "\n")
		want = strings.TrimSuffix(want, "\n")
		if got := strings.TrimSuffix(back.String(), "\n"); !bytes.Contains(text, []byte("\r")) && got != want {
			t.Errorf("got %d bytes, want %d", len(got), len(want))
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, frameClaimed, nil), frameReady, []byte("addr")))
	f.Add(append(bootstrapHead(3), "abc"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if kind, payload, err := readFrame(bytes.NewReader(b)); err == nil && !bytes.HasPrefix(b, appendFrame(nil, kind, payload)) {
			t.Errorf("frame %q %q is not what it was read from", kind, payload)
		}
		if got, err := readBootstrap(bytes.NewReader(b)); err == nil && !bytes.HasPrefix(b, append(bootstrapHead(len(got)), got...)) {
			t.Errorf("bootstrap of %d bytes is not what it was read from", len(got))
		}
	})
}

// delivering runs the queue until the returned function is called.
func delivering(log func(Line)) (q *lines, end func()) {
	q = newLines(7, log)
	var wg sync.WaitGroup
	wg.Go(q.deliver)
	return q, func() { q.close(); wg.Wait() }
}

var block = Line{PID: 7, Stream: Stdout, Text: strings.Repeat("b", maxLine)}

const fits = maxWaiting / (maxLine + lineOverhead)

func TestSlowLogLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := 0
		q, end := delivering(func(l Line) {
			time.Sleep(stuckAfter * 9 / 10)
			if l == block {
				got++
			}
		})
		const n = 4 * fits
		var wg sync.WaitGroup
		for range 2 { // stdout and stderr
			wg.Go(func() {
				for range n / 2 {
					q.put(block)
				}
			})
		}
		wg.Wait()
		end()
		if got != n {
			t.Errorf("got %d lines, want %d", got, n)
		}
	})
}

func TestStuckLogLosesWhatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Line
		resume := make(chan struct{})
		q, end := delivering(func(l Line) { <-resume; got = append(got, l) })
		begin := time.Now()
		for range fits + 100 {
			q.put(block)
		}
		if took := time.Since(begin); took != stuckAfter {
			t.Errorf("the child was blocked for %v", took)
		}
		close(resume)
		synctest.Wait()
		if len(got) != fits+1 || got[fits] != (Line{PID: 7, Lost: 100}) {
			t.Fatalf("got %d lines, the last is %.100v", len(got), got[len(got)-1])
		}
		q.put(block)
		synctest.Wait()
		if len(got) != fits+2 || got[fits+1] != block {
			t.Errorf("then got %.100v", got[fits+1:])
		}
		end()
	})
}

func TestFloodLetsEverythingIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume, got := make(chan struct{}), 0
		q, end := delivering(func(Line) { <-resume; got++ })
		go func() { time.Sleep(stuckAfter / 2); q.flood() }()
		begin := time.Now()
		for range fits + 100 {
			q.put(block)
		}
		if took := time.Since(begin); took != stuckAfter/2 {
			t.Errorf("blocked for %v", took)
		}
		close(resume)
		end()
		if got != fits+100 {
			t.Errorf("got %d", got)
		}
	})
}

func TestPanicInLogIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		defer slog.SetDefault(slog.Default())
		slog.SetDefault(slog.New(slog.NewTextHandler(&told, nil)))
		got := 0
		q, end := delivering(func(Line) { got++; panic("oops") })
		q.put(block)
		q.put(block)
		end()
		if got != 2 || strings.Count(told.String(), "panic=oops") != 2 {
			t.Errorf("got %d, %s", got, told.String())
		}
	})
}

func TestLogThatEndsItsGoroutineBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, end := delivering(func(Line) { runtime.Goexit() })
		for range 2 * fits {
			q.put(block)
		}
		q.flood()
		q.put(block)
		end()
	})
}

func TestLogTo(t *testing.T) {
	var b bytes.Buffer
	log := LogTo(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	log(Line{PID: 5, Stream: Stdout, Text: "hello"})
	log(Line{PID: 5, Stream: Stderr, Text: "a\x1b[2J"})
	log(Line{PID: 5, Lost: 3})
	want := "level=INFO msg=hello pid=5 stream=stdout\n" +
		`level=INFO msg="a\x1b[2J" pid=5 stream=stderr` + "\n" +
		`level=WARN msg="output of the child was lost: the log took nothing for a second" pid=5 lines=3` + "\n"
	if b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

func TestReasonOfAnEnd(t *testing.T) {
	for name, test := range map[string]struct {
		end  ending
		want Reason
	}{
		"by itself":                    {ending{claimed: true, code: 1}, Crashed},
		"exit 0 unasked":               {ending{claimed: true}, Crashed},
		"signal from outside":          {ending{claimed: true, signaled: true, byKill: true}, Crashed},
		"killed":                       {ending{claimed: true, signaled: true, byKill: true, killed: true, why: Memory}, Memory},
		"kill came too late":           {ending{claimed: true, code: 2, killed: true, why: Memory}, Crashed},
		"stopped":                      {ending{claimed: true, stopping: true}, Stopped},
		"panic while stopping":         {ending{claimed: true, stopping: true, code: 2}, Stopped},
		"killed while stopping":        {ending{claimed: true, stopping: true, signaled: true, byKill: true, killed: true, why: Grace}, Grace},
		"ended before the grace's end": {ending{claimed: true, stopping: true, killed: true, why: Grace}, Stopped},
		"forgot":                       {ending{}, MainMissing},
		"failed before it claimed":     {ending{code: 1}, Crashed},
		"crashed before it claimed":    {ending{signaled: true}, Crashed},
		"refused":                      {ending{refused: true, code: 1}, MainMissing},
		"stopped before it claimed":    {ending{stopping: true, signaled: true, byKill: true, killed: true, why: Stopped}, Stopped},
	} {
		if got := test.end.reason(); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestEveryReasonHasAText(t *testing.T) {
	seen := make(map[string]bool)
	for r := Crashed; r <= MainMissing; r++ {
		if text := r.String(); seen[text] || strings.HasPrefix(text, "Reason(") {
			t.Errorf("%d: %q", int(r), text)
		} else {
			seen[text] = true
		}
	}
	if got := fmt.Sprint(Reason(99), Stream(0), Stdout, Stderr); got != "Reason(99) Stream(0) stdout stderr" {
		t.Errorf("got %q", got)
	}
}
