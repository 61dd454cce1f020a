package main

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestEverySemaphoreHoldsItsSize(t *testing.T) {
	for _, l := range limiters() {
		if l.semaphore == nil {
			continue
		}
		const size = 2
		s := l.semaphore(size)
		var now, most atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 200 {
					release, err := s.Acquire(t.Context())
					if err != nil {
						t.Errorf("%s: %v", l.name, err)
						return
					}
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					work()
					now.Add(-1)
					release()
					if err := s.Use(t.Context()); err != nil {
						t.Errorf("%s: %v", l.name, err)
					}
				}
			})
		}
		all.Wait()
		if most.Load() > size {
			t.Errorf("%s: held %d times at once, want at most %d", l.name, most.Load(), size)
		}
	}
}

func TestEveryRateGrantsAllKeys(t *testing.T) {
	for _, l := range limiters() {
		if l.rates == nil {
			continue
		}
		for _, keys := range []int{1, 3} {
			grant := l.rates(keys)
			for range 1000 {
				if err := grant(t.Context()); err != nil {
					t.Fatalf("%s: %v", l.name, err)
				}
			}
		}
	}
}
