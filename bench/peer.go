package main

import (
	"context"
	"iter"
)

// function is what every competitor runs.
type function = func(ctx context.Context, x int) (int, error)

// tiny is the smallest useful function: what is measured with it is overhead.
func tiny(_ context.Context, x int) (int, error) { return x * x, nil }

// A caller makes one call and waits for its result. Safe for concurrent use.
type caller interface {
	Call(ctx context.Context, x int) (int, error)
	Stop()
}

// A batcher submits a call for each element of in, which may already run or
// end meanwhile; collect waits for all and returns the results in order.
type batcher interface {
	Submit(ctx context.Context, in []int) (collect func() ([]int, error))
	Stop()
}

// A streamer pulls its input as it goes, and visits the results in order.
type streamer interface {
	Stream(ctx context.Context, in iter.Seq[int], visit func(int)) error
	Stop()
}

// peer is one competitor: its name and what it can do. Each func opens a pool
// of so many workers around a function; nil where the peer has no such thing.
type peer struct {
	name   string
	call   func(fn function, workers int) caller
	batch  func(fn function, workers int) batcher
	stream func(fn function, workers int) streamer
	queue  func(fn function, workers, calls int) batcher // one whose Submit of that many calls waits for none
}

// baseline is the peer that counts as 1.00.
const baseline = "raw channel"

// subject is the competitor that the goals are about.
const subject = "troupe"

// peers returns all competitors but troupe, in the order of their columns.
func peers() []peer {
	return []peer{
		rawPeer(),
		bufferedPeer(),
		reusedPeer(),
		goroutinePeer(),
		errgroupPeer(),
		antsPeer(),
		pondPeer(),
		concPoolPeer(),
		concIterPeer(),
		concStreamPeer(),
		workerpoolPeer(),
		protoactorPeer(),
	}
}

// named returns those of peers that have one of the names, in their own order.
func named(names ...string) []peer {
	var found []peer
	for _, p := range peers() {
		for _, name := range names {
			if p.name == name {
				found = append(found, p)
			}
		}
	}
	return found
}
