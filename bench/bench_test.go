package main

import (
	"context"
	"slices"
	"testing"
)

// The main rows as ordinary benchmarks, for benchstat. Here all competitors
// share one process, one after another; the table's figures are the fairer ones.

func BenchmarkCall(b *testing.B)          { benchmarkCalls(b, 1, 1, append(peers(), troupeCall()...)) }
func BenchmarkSubmitAwait(b *testing.B)   { benchmarkCalls(b, 1, 1, troupeSubmit()) }
func BenchmarkShared(b *testing.B)        { benchmarkCalls(b, 64, 100, append(peers(), troupeSubmit()...)) }
func BenchmarkSharedCall(b *testing.B)    { benchmarkCalls(b, 64, 100, troupeCall()) }
func BenchmarkBatch(b *testing.B)         { benchmarkBatches(b, append(peers(), troupeSubmit()...)) }
func BenchmarkBatchMap(b *testing.B)      { benchmarkBatches(b, troupeMap()) }
func BenchmarkBatchMapSlice(b *testing.B) { benchmarkBatches(b, troupeMapSlice()) }
func BenchmarkStream(b *testing.B)        { benchmarkStreams(b, append(peers(), troupeMap()...)) }
func BenchmarkPoolOf1000Life(b *testing.B) {
	benchmarkLives(b, append(limitedPeers(), troupeSubmit()...))
}

func BenchmarkStateful(b *testing.B)       { benchmarkOwners(b, 1, 1, 1) }
func BenchmarkStatefulShared(b *testing.B) { benchmarkOwners(b, 4, 64, 100) }

// perCall reports the time per call where an iteration makes many.
func perCall(b *testing.B, calls int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*calls), "ns/call")
}

// benchmarkCalls makes, per iteration, each calls from each of so many goroutines.
func benchmarkCalls(b *testing.B, goroutines, each int, ps []peer) {
	for _, p := range ps {
		if p.call == nil {
			continue
		}
		b.Run(p.name, func(b *testing.B) {
			c := p.call(tiny, poolSize)
			defer c.Stop()
			b.ReportAllocs()
			for b.Loop() {
				if err := callEach(context.Background(), c, goroutines, each); err != nil {
					b.Fatal(err)
				}
			}
			perCall(b, goroutines*each)
		})
	}
}

// benchmarkOwners makes, per iteration, each calls from each of so many
// goroutines to so many members.
func benchmarkOwners(b *testing.B, members, goroutines, each int) {
	for _, o := range owners() {
		b.Run(o.name, func(b *testing.B) {
			own := o.open(members)
			defer own.Stop()
			b.ReportAllocs()
			for b.Loop() {
				if err := callEach(context.Background(), own, goroutines, each); err != nil {
					b.Fatal(err)
				}
			}
			perCall(b, goroutines*each)
		})
	}
}

func benchmarkBatches(b *testing.B, ps []peer) {
	in := inputs(10_000)
	for _, p := range ps {
		if p.batch == nil {
			continue
		}
		b.Run(p.name, func(b *testing.B) {
			pool := p.batch(tiny, poolSize)
			defer pool.Stop()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := submit(context.Background(), pool, in); err != nil {
					b.Fatal(err)
				}
			}
			perCall(b, len(in))
		})
	}
}

func benchmarkStreams(b *testing.B, ps []peer) {
	in := inputs(10_000)
	for _, p := range ps {
		if p.stream == nil {
			continue
		}
		b.Run(p.name, func(b *testing.B) {
			s := p.stream(tiny, poolSize)
			defer s.Stop()
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Stream(context.Background(), slices.Values(in), func(int) {}); err != nil {
					b.Fatal(err)
				}
			}
			perCall(b, len(in))
		})
	}
}

func benchmarkLives(b *testing.B, ps []peer) {
	in := inputs(bigPool)
	for _, p := range ps {
		if p.batch == nil {
			continue
		}
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := live(context.Background(), p, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
