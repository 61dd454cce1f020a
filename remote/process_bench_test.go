package remote_test

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// BenchmarkProcessReady is the time from nothing to a child that has answered a
// call.
func BenchmarkProcessReady(b *testing.B) {
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			sys := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
			for b.Loop() {
				far := deed.On(remote.Processes(n), task.System(sys))
				if err := far.Ready(b.Context()); err != nil {
					b.Fatal(err)
				}
				if _, err := far.Call(b.Context(), order{Do: "echo"}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				far.Stop()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkProcessReplaced kills a busy child: noticed is the time until its
// call has failed, replaced that until the next child has answered a call.
func BenchmarkProcessReplaced(b *testing.B) {
	j := newJournal()
	sys := actor.NewSystem(actor.Logger(slog.New(j)))
	far := deed.On(remote.Processes(1), task.System(sys), patient)
	defer far.Stop()
	var noticed, replaced time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		running := far.Submit(b.Context(), order{Do: "block", N: rounds})
		pid, err := strconv.Atoi(j.await(fmt.Sprint("begun ", rounds)).attrs["pid"])
		if err != nil {
			b.Fatal(err)
		}
		proc, err := os.FindProcess(pid)
		if err != nil {
			b.Fatal(err)
		}
		killed := time.Now()
		if err := proc.Kill(); err != nil {
			b.Fatal(err)
		}
		if _, err := running.Result(); err == nil {
			b.Fatal("the call has survived")
		}
		noticed += time.Since(killed)
		if _, err := far.Call(b.Context(), order{Do: "echo"}); err != nil {
			b.Fatal(err)
		}
		replaced += time.Since(killed)
	}
	b.ReportMetric(float64(noticed.Microseconds())/1e3/float64(rounds), "ms-noticed")
	b.ReportMetric(float64(replaced.Microseconds())/1e3/float64(rounds), "ms-replaced")
}

// BenchmarkProcessCalls has 64 calls in flight.
func BenchmarkProcessCalls(b *testing.B) {
	far := cube.On(remote.Processes(2))
	defer far.Stop()
	if err := far.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	window := make([]*task.Future[int], 64)
	n := 0
	for b.Loop() {
		i := n % len(window)
		if f := window[i]; f != nil {
			if _, err := f.Result(); err != nil {
				b.Fatal(err)
			}
		}
		window[i] = far.Submit(b.Context(), n)
		n++
	}
}
