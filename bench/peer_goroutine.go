package main

import "context"

// goroutines starts one per call. With a limit, a semaphore holds the
// submitter back; without, as many run as there are calls.
type goroutines struct {
	fn    function
	limit chan struct{}
}

func goroutinePeer() peer {
	unlimited := func(fn function) *goroutines { return &goroutines{fn: fn} }
	return peer{
		name:  "goroutine each",
		call:  func(fn function, _ int) caller { return unlimited(fn) },
		batch: func(fn function, _ int) batcher { return unlimited(fn) },
		queue: func(fn function, _, _ int) batcher { return unlimited(fn) },
	}
}

// limitedGoroutinePeer takes goroutinePeer's column in rows where the number
// of workers is the point.
func limitedGoroutinePeer() peer {
	return peer{
		name: "goroutine each",
		batch: func(fn function, workers int) batcher {
			return &goroutines{fn: fn, limit: make(chan struct{}, workers)}
		},
	}
}

func (g *goroutines) Call(ctx context.Context, x int) (int, error) {
	reply := make(chan outcome, 1)
	go func() { reply <- run(ctx, g.fn, x) }()
	o := <-reply
	return o.value, o.err
}

func (g *goroutines) Submit(ctx context.Context, in []int) func() ([]int, error) {
	s := newSlots(ctx, len(in))
	for i, x := range in {
		if g.limit == nil {
			go s.fill(g.fn, i, x)
			continue
		}
		g.limit <- struct{}{}
		go func() {
			s.fill(g.fn, i, x)
			<-g.limit
		}()
	}
	return s.collect
}

func (g *goroutines) Stop() {}
