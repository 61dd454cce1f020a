package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// poolSize is how many workers a row has unless it says otherwise.
const poolSize = 4

// warmUp is how many calls each pool makes before it is measured.
const warmUp = 1000

// rows returns the whole table. A new family appends its rows here.
func rows() []harness.Row {
	return slices.Concat(
		callRows(),
		batchRows(),
		sleepRows(),
		skewRows(),
		poolRows(),
		memoryRows(),
		limitRows(),
		stateRows(),
		crowdRows(),
		restartRows(),
		remoteRows(),
		childRows(),
		lossRows(),
	)
}

// competitors gives each peer that can do a row's work its run; run returns
// nil for those that cannot.
func competitors(peers []peer, run func(peer) harness.Run) []harness.Competitor {
	var found []harness.Competitor
	for _, p := range peers {
		if r := run(p); r != nil {
			found = append(found, harness.Competitor{Name: p.name, Run: r})
		}
	}
	return found
}

// inputs returns 0, 1, ... n-1.
func inputs(n int) []int {
	in := make([]int, n)
	for i := range in {
		in[i] = i
	}
	return in
}

// submit runs one batch and waits for it.
func submit(ctx context.Context, b batcher, in []int) ([]int, error) {
	return b.Submit(ctx, in)()
}

// checkSquares fails unless out holds the squares of in, in order: no figure
// counts for work that was not done.
func checkSquares(in, out []int) error {
	if len(out) != len(in) {
		return fmt.Errorf("%d results for %d calls", len(out), len(in))
	}
	for i, x := range in {
		if out[i] != x*x {
			return fmt.Errorf("result %d of %d is %d", i, x, out[i])
		}
	}
	return nil
}

var errWrong = errors.New("wrong result")
