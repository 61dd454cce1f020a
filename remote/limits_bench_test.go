package remote_test

import (
	"testing"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/remote"
)

// BenchmarkLimitsAt is a permit taken and released: of a Set here, and of one
// that a node on the loopback interface shares.
func BenchmarkLimitsAt(b *testing.B) {
	set := limits.MustNew(limits.Resource("db", 1<<20))
	b.Run("here", func(b *testing.B) { benchmarkPermits(b, set) })
	var nodes [2]*remote.Node
	for i := range nodes {
		sys := actor.NewSystem()
		n, err := remote.Start(remote.Config{System: sys})
		if err != nil {
			b.Fatal(err)
		}
		defer sys.Stop(b.Context())
		defer n.Stop(b.Context())
		nodes[i] = n
	}
	if err := remote.ShareLimits(nodes[0], "db", set); err != nil {
		b.Fatal(err)
	}
	b.Run("far", func(b *testing.B) { benchmarkPermits(b, remote.LimitsAt(nodes[1], nodes[0].Addr(), "db")) })
}

func benchmarkPermits(b *testing.B, l limits.Limiter) {
	take := func(b *testing.B) {
		p, err := l.Acquire(b.Context(), nil)
		if err != nil {
			b.Error(err)
			return
		}
		p.Release()
	}
	b.Run("1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			take(b)
		}
	})
	b.Run("64", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				take(b)
			}
		})
	})
}
