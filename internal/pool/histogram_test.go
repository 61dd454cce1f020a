package pool

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestBucketsCoverAllDurationsWithoutGap(t *testing.T) {
	t.Parallel()
	last := bucketOf(math.MaxInt64)
	if n := octaves * perOctave; last >= n {
		t.Fatalf("the longest duration belongs to bucket %d of %d", last, n)
	}
	for b := range last {
		end := top(b)
		if got := bucketOf(end); got != b {
			t.Fatalf("top of bucket %d is %d, which belongs to bucket %d", b, end, got)
		}
		if got := bucketOf(end + 1); got != b+1 {
			t.Fatalf("%d, the one after the top of bucket %d, belongs to bucket %d", end+1, b, got)
		}
	}
	if got := top(last); got != math.MaxInt64 {
		t.Errorf("top of the last bucket: got %d", got)
	}
	for _, ns := range []int64{-1, math.MinInt64} {
		if got := bucketOf(ns); got != 0 {
			t.Errorf("bucket of %d: got %d, want 0", ns, got)
		}
	}
}

func TestBucketsAreExactToSixPercent(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		ns := random.Int64() >> random.IntN(63)
		if got := top(bucketOf(ns)); got < ns || float64(got-ns) > float64(ns)/16 {
			t.Fatalf("%d is counted as %d", ns, got)
		}
	}
}

func TestQuantilesAreThoseOfTheSample(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, 3, 10, 99, 100, 101, 5000} {
		var h histogram
		sample := make([]int64, n)
		for i := range sample {
			sample[i] = random.Int64N(1 << (5 + random.IntN(40)))
			h.add(sample[i], 1)
		}
		slices.Sort(sample)
		q := h.quantiles()
		for what, tt := range map[string]struct {
			got  time.Duration
			part float64
		}{"P50": {q.P50, 0.5}, "P90": {q.P90, 0.9}, "P99": {q.P99, 0.99}} {
			want := sample[int(tt.part*float64(n-1))]
			if diff := int64(tt.got) - want; diff < 0 || float64(diff) > float64(want)/16 {
				t.Errorf("%s of %d: got %v, want %v", what, n, tt.got, time.Duration(want))
			}
		}
		if got, want := q.Max, time.Duration(sample[n-1]); got != want {
			t.Errorf("Max of %d: got %v, want %v", n, got, want)
		}
		if q.P50 > q.P90 || q.P90 > q.P99 || q.P99 > q.Max {
			t.Errorf("quantiles of %d do not rise: %v", n, q)
		}
	}
}

func TestQuantilesOfNothingAreZero(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.quantiles(); got != (Quantiles{}) {
		t.Errorf("got %v", got)
	}
}

func TestHistogramLosesNothingUnderConcurrency(t *testing.T) {
	t.Parallel()
	var h histogram
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 1000 {
				h.add(int64(1+k%10), 2)
				h.raise(int64(i*1000 + k))
				h.quantiles()
			}
		})
	}
	all.Wait()
	if _, total := h.counts(); total != 16_000 {
		t.Errorf("counted %d, want 16000", total)
	}
	if got := h.max.Load(); got != 7999 {
		t.Errorf("max: got %d, want 7999", got)
	}
}
