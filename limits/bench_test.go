package limits_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/troupe-go/troupe/limits"
)

// plenty is a capacity that no benchmark exhausts.
const plenty = 1_000_000_000

// goroutines is how many contend in the parallel benchmarks.
const goroutines = 64

// crowd runs body on 64 goroutines at once.
func crowd(b *testing.B, body func(pb *testing.PB)) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(max(1, goroutines/procs()))
	b.RunParallel(body)
}

// mustAcquire does without tb.Helper, which costs more than the grant.
func mustAcquire(tb testing.TB, l limits.Limiter, r limits.Request) *limits.Permit {
	p, err := l.Acquire(context.Background(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// BenchmarkRate is one grant of one key, of three, and of what they replace.
func BenchmarkRate(b *testing.B) {
	type shape struct {
		name string
		set  *limits.Set
		req  limits.Request
	}
	var shapes []shape
	for _, a := range algorithms {
		shapes = append(shapes, shape{
			name: a.String(),
			set:  limits.MustNew(limits.Rate("k", plenty, time.Second, a)),
			req:  limits.Request{"k": 1},
		})
	}
	for _, a := range []limits.Algorithm{limits.TokenBucket, limits.GCRA} {
		shapes = append(shapes, shape{
			name: "three-" + a.String(),
			set: limits.MustNew(limits.Calls(plenty, time.Second, a),
				limits.Rate("in", plenty, time.Second, a), limits.Rate("out", plenty, time.Second, a)),
			req: limits.Request{"in": 1, "out": 1},
		})
	}
	for _, s := range shapes {
		if s.name == limits.LeakyBucket.String() {
			s.set = limits.MustNew(limits.Rate("k", plenty, 1, limits.LeakyBucket))
		}
		b.Run(s.name+"/1", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustAcquire(b, s.set, s.req).Release()
			}
		})
		b.Run(fmt.Sprintf("%s/%d", s.name, goroutines), func(b *testing.B) {
			crowd(b, func(pb *testing.PB) {
				for pb.Next() {
					mustAcquire(b, s.set, s.req).Release()
				}
			})
		})
	}
	b.Run("x-time-rate/1", func(b *testing.B) {
		l := rate.NewLimiter(plenty, plenty)
		b.ReportAllocs()
		for b.Loop() {
			l.Allow()
		}
	})
	b.Run(fmt.Sprintf("x-time-rate/%d", goroutines), func(b *testing.B) {
		l := rate.NewLimiter(plenty, plenty)
		crowd(b, func(pb *testing.PB) {
			for pb.Next() {
				l.Allow()
			}
		})
	})
}

// BenchmarkSemaphore is acquire and release of one of four.
func BenchmarkSemaphore(b *testing.B) {
	set := limits.MustNew(limits.Resource("r", 4))
	b.Run("1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustAcquire(b, set, nil).Release()
		}
	})
	b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
		crowd(b, func(pb *testing.PB) {
			for pb.Next() {
				mustAcquire(b, set, nil).Release()
			}
		})
	})
	b.Run(fmt.Sprintf("channel/%d", goroutines), func(b *testing.B) {
		slots := make(chan struct{}, 4)
		crowd(b, func(pb *testing.PB) {
			for pb.Next() {
				slots <- struct{}{}
				<-slots
			}
		})
	})
}

// BenchmarkHandOver is the time from the release of a permit to the return of
// the Acquire that waited for it; it reports the median.
func BenchmarkHandOver(b *testing.B) {
	set := limits.MustNew(limits.Resource("r", 1))
	var took []time.Duration
	for b.Loop() {
		held := mustAcquire(b, set, nil)
		var released, granted time.Time
		var done sync.WaitGroup
		done.Go(func() {
			p := mustAcquire(b, set, nil)
			granted = time.Now()
			p.Release()
		})
		for set.Stats()[0].Waiting == 0 {
			yield()
		}
		released = time.Now()
		held.Release()
		done.Wait()
		took = append(took, granted.Sub(released))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "median-ns")
}
