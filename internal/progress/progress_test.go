package progress_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/internal/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a writer for concurrent use that keeps what it got.
type recorder struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// gate is a writer that blocks until it is opened.
type gate struct {
	recorder
	open    chan struct{}
	blocked chan struct{} // one value for each Write that began
}

func newGate() *gate {
	return &gate{open: make(chan struct{}), blocked: make(chan struct{}, 1000)}
}

func (g *gate) Write(p []byte) (int, error) {
	select {
	case g.blocked <- struct{}{}:
	default:
	}
	<-g.open
	return g.recorder.Write(p)
}

// broken is a writer that fails.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestNilBarDoesNothing(t *testing.T) {
	var b *progress.Bar
	b.Add(1, 1)
	b.SetTotal(3)
	b.Finish(nil)
}

func TestStartShowsPlainLinesOnStderrOfATestBinary(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = write
	b := progress.Start("hashing", 2)
	os.Stderr = stderr
	b.Add(2, 0)
	b.Finish(nil)
	write.Close()
	got, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(got), "hashing: 2/2 (100%), ") || strings.Count(string(got), "\n") != 1 {
		t.Errorf("stderr got %q", got)
	}
}

func TestManyGoroutinesMayUseABar(t *testing.T) {
	for name, terminal := range map[string]bool{"plain": false, "terminal": true} {
		t.Run(name, func(t *testing.T) {
			var out recorder
			o := progress.NewOutput(&out, terminal)
			var bars sync.WaitGroup
			for range 20 {
				bars.Go(func() {
					b := o.Start("", progress.Unknown)
					var workers sync.WaitGroup
					for range 4 {
						workers.Go(func() {
							for range 1000 {
								b.Add(1, 0)
							}
							b.SetTotal(4000)
						})
					}
					workers.Wait()
					for range 3 {
						workers.Go(func() { b.Finish(nil) })
					}
					workers.Wait()
				})
			}
			bars.Wait()
			if got := strings.Count(out.String(), "4000/4000"); got < 20 {
				t.Errorf("%d closing lines with the exact count, want 20:\n%s", got, out.String())
			}
		})
	}
}

func TestAFailingWriterIsIgnored(t *testing.T) {
	for name, terminal := range map[string]bool{"plain": false, "terminal": true} {
		t.Run(name, func(t *testing.T) {
			o := progress.NewOutput(broken{}, terminal)
			for range 3 {
				b := o.Start("hashing", 10)
				b.Add(10, 1)
				b.Finish(nil)
			}
		})
	}
}

func TestABlockedTerminalDelaysOneFinishAndLeavesNothingBehind(t *testing.T) {
	out := newGate()
	o := progress.NewOutput(out, true)
	first := o.Start("first", 10)
	<-out.blocked
	first.Add(10, 0)

	began := time.Now()
	first.Finish(nil)
	if got, limit := time.Since(began), 5*time.Second; got > limit {
		t.Errorf("Finish took %v on a blocked terminal, want less than %v", got, limit)
	}
	began = time.Now()
	for range 1000 {
		b := o.Start("later", 1)
		b.Add(1, 0)
		b.Finish(nil)
	}
	if got, limit := time.Since(began), 2*time.Second; got > limit {
		t.Errorf("1000 bars took %v on a terminal known to be stuck, want less than %v", got, limit)
	}

	close(out.open)
	eventually(t, func() bool { return strings.Contains(out.String(), "first 10/10 100%") })
	eventually(t, func() bool { // draws again: the stuck one is forgotten
		b := o.Start("recovered", 1)
		b.Finish(nil)
		return strings.Contains(out.String(), "recovered 0/1")
	})
}

// eventually fails the test if ok does not become true. Each call of ok is
// expected to do work, so that it does not spin on an idle processor for long.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("condition not met")
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	bar := progress.NewOutput(io.Discard, false).Start("", b.N)
	defer bar.Finish(nil)
	b.ReportAllocs()
	for b.Loop() {
		bar.Add(1, 0)
	}
}

func BenchmarkAddParallel(b *testing.B) {
	bar := progress.NewOutput(io.Discard, true).Start("", b.N)
	defer bar.Finish(nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			bar.Add(1, 0)
		}
	})
}
