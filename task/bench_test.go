package task_test

import (
	"context"
	"testing"

	"github.com/troupe-go/troupe/task"
)

func BenchmarkOneAtATime(b *testing.B) {
	bg := context.Background()
	b.Run("Call", func(b *testing.B) {
		t := task.MustNew(sq, task.Workers(4))
		defer t.Stop()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := t.Call(bg, 3); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("SubmitAwait", func(b *testing.B) {
		t := task.MustNew(sq, task.Workers(4))
		defer t.Stop()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := t.Submit(bg, 3).Await(bg); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkBatch(b *testing.B) {
	bg := context.Background()
	t := task.MustNew(sq, task.Workers(4))
	defer t.Stop()
	const n = 1_000_000
	fs := make([]*task.Future[int], n)
	b.ReportAllocs()
	for b.Loop() {
		for i := range fs {
			fs[i] = t.Submit(bg, i)
		}
		for _, f := range fs {
			if _, err := f.Await(bg); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/call")
}

func BenchmarkMap(b *testing.B) {
	bg := context.Background()
	t := task.MustNew(sq, task.Workers(4))
	defer t.Stop()
	const n = 1_000_000
	in := func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range t.Map(bg, in) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/call")
}
