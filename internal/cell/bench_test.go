package cell_test

import (
	"context"
	"testing"

	"github.com/troupe-go/troupe/internal/cell"
)

func BenchmarkCompletion(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		c := &cell.Cell{}
		c.Start()
		c.ClaimRunning()
		c.Publish(nil)
	}
}

// Calls under one ctx, with others of it in flight.
func BenchmarkGroup(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	g := cell.NewGroup(ctx)
	flying := make([]*cell.Cell, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if c := flying[i%len(flying)]; c != nil {
			c.Ext.Load().Finish(nil)
		}
		c := &cell.Cell{}
		c.SetParent(ctx)
		g.Attach(c)
		flying[i%len(flying)] = c
	}
}
