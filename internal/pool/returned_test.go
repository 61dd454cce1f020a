package pool

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/internal/cell"
)

func numbered(id uint64) *cell.Cell {
	c := &cell.Cell{}
	c.SetID(id)
	return c
}

// popAll returns the numbers of all calls, in the order of the queue.
func popAll(q *queue) (ids []uint64) {
	for c := q.pop(); c != nil; c = q.pop() {
		ids = append(ids, c.ID())
	}
	return ids
}

// Whatever comes back, goes and ends meanwhile, the oldest call is the next.
func TestReturnedCallsGoByNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var waiting, out []*cell.Cell
		next := uint64(0)
		first := func() *cell.Cell {
			if len(waiting) == 0 {
				return nil
			}
			return slices.MinFunc(waiting, func(a, b *cell.Cell) int { return cmp.Compare(a.ID(), b.ID()) })
		}
		take := func(cells *[]*cell.Cell) *cell.Cell { // any of them
			i := rapid.IntRange(0, len(*cells)-1).Draw(t, "which")
			c := (*cells)[i]
			*cells = slices.Delete(*cells, i, i+1)
			return c
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					next++
					c := numbered(next)
					q.push(c, 0)
					waiting = append(waiting, c)
				}
			},
			"pop": func(t *rapid.T) {
				for range rapid.IntRange(1, 150).Draw(t, "n") {
					got, want := q.pop(), first()
					if got != want {
						t.Fatalf("pop: got %v, want %v", got, want)
					}
					if got == nil {
						return
					}
					waiting = slices.DeleteFunc(waiting, func(c *cell.Cell) bool { return c == got })
					out = append(out, got)
				}
			},
			"insert": func(t *rapid.T) {
				for range rapid.IntRange(0, len(out)).Draw(t, "n") {
					c := take(&out)
					q.insert(c, 0)
					waiting = append(waiting, c)
				}
			},
			"unpop": func(*rapid.T) { // of what was just popped
				if c := q.pop(); c != nil {
					q.unpop(c, 0)
				}
			},
			"drop": func(t *rapid.T) {
				for range rapid.IntRange(0, len(waiting)).Draw(t, "n") {
					q.drop(take(&waiting))
					if q.husks >= sweepAt && q.husks > q.size()/2 {
						t.Fatalf("%d of %d are husks", q.husks, q.size())
					}
				}
			},
			"": func(t *rapid.T) {
				if got := q.size() - q.husks; got != len(waiting) {
					t.Fatalf("%d calls wait, want %d", got, len(waiting))
				}
				if got, want := q.head(), first(); got != want {
					t.Fatalf("head: got %v, want %v", got, want)
				}
			},
		})
	})
}

// A retry is pushed with its old number; it waits behind all that were there.
func TestRetriesDoNotHoldUpReturnedCalls(t *testing.T) {
	t.Parallel()
	var q queue
	q.push(numbered(7), 0)
	q.insert(numbered(9), 0)
	q.insert(numbered(8), 0)
	q.push(numbered(2), 0)
	q.insert(numbered(5), 0)
	if got, want := popAll(&q), []uint64{5, 7, 8, 9, 2}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReturnedCallsOfOneRankGoByNumber(t *testing.T) {
	t.Parallel()
	q := queue{ranks: &ranking{}}
	q.push(numbered(4), 0)
	q.push(numbered(5), 1) // of a higher rank
	for _, id := range []uint64{2, 1, 3} {
		q.insert(numbered(id), 0)
	}
	if got, want := popAll(&q), []uint64{5, 1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// All calls of a place that is lost come back at once, under the pool's lock.
func TestManyCallsComeBackQuickly(t *testing.T) {
	t.Parallel()
	const calls, limit = 50_000, 10 * time.Second // far from both n log n and n²
	orders := map[string]func(i int) uint64{
		"oldest first": func(i int) uint64 { return uint64(i + 1) },
		"newest first": func(i int) uint64 { return uint64(calls - i) },
		"shuffled": func() func(i int) uint64 {
			p := rand.Perm(calls)
			return func(i int) uint64 { return uint64(p[i] + 1) }
		}(),
	}
	for name, id := range orders {
		t.Run(name, func(t *testing.T) {
			var q queue
			q.push(numbered(calls+1), 0)
			start := time.Now()
			for i := range calls {
				q.insert(numbered(id(i)), 0)
				if time.Since(start) > limit {
					t.Fatalf("%d of %d calls are back after %v", i, calls, limit)
				}
			}
			ids := popAll(&q)
			if len(ids) != calls+1 || !slices.IsSorted(ids) {
				t.Errorf("%d calls came out, in order: %v", len(ids), slices.IsSorted(ids))
			}
			if q.returned != nil {
				t.Error("the queue keeps the memory of the calls that came back")
			}
		})
	}
}
