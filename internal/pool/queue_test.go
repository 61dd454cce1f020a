package pool

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/internal/cell"
)

// model is a queue in the plainest form.
type model struct {
	cells  []*cell.Cell
	ranked bool
	levels map[*cell.Cell]int
	order  map[*cell.Cell]int // of arrival; those that were given back are below zero
	next   int
}

func (m *model) push(c *cell.Cell, level int) {
	m.next++
	m.levels[c], m.order[c] = level, m.next
	m.cells = append(m.cells, c)
}

func (m *model) unpop(c *cell.Cell) {
	m.next++
	m.order[c] = -m.next
	m.cells = append([]*cell.Cell{c}, m.cells...)
}

// first returns the cell that has to come out next, or nil.
func (m *model) first() *cell.Cell {
	if len(m.cells) == 0 {
		return nil
	}
	if !m.ranked {
		return m.cells[0]
	}
	return slices.MinFunc(m.cells, func(a, b *cell.Cell) int {
		return cmp.Or(cmp.Compare(rank(a.Stamp, m.levels[a]), rank(b.Stamp, m.levels[b])), cmp.Compare(m.order[a], m.order[b]))
	})
}

func (m *model) remove(c *cell.Cell) {
	i := slices.Index(m.cells, c)
	m.cells = slices.Delete(m.cells, i, i+1)
}

func TestQueueActsAsItsModel(t *testing.T) {
	t.Parallel()
	for name, ranks := range map[string]func() *ranking{"fifo": func() *ranking { return nil }, "ranked": func() *ranking { return &ranking{} }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				q := &queue{ranks: ranks()}
				m := &model{ranked: q.ranks != nil, levels: map[*cell.Cell]int{}, order: map[*cell.Cell]int{}}
				var out []*cell.Cell    // popped, and may be given back
				most := 2 * segmentSize // pushed at once
				if m.ranked {
					most = 130
				}
				push := func(n int) {
					for range n {
						c, level := &cell.Cell{}, 0
						if m.ranked {
							c.Stamp = int64(rapid.IntRange(0, 5).Draw(t, "stamp")) * int64(time.Second)
							level = rapid.IntRange(-3, 3).Draw(t, "level")
						}
						q.push(c, level)
						m.push(c, level)
					}
				}
				t.Repeat(map[string]func(*rapid.T){
					"push":      func(*rapid.T) { push(1) },
					"push many": func(t *rapid.T) { push(rapid.IntRange(1, most).Draw(t, "n")) },
					"pop": func(t *rapid.T) {
						for range rapid.IntRange(1, most/2).Draw(t, "n") {
							got, want := q.pop(), m.first()
							if got != want {
								t.Fatalf("pop: got %p, want %p", got, want)
							}
							if got == nil {
								return
							}
							if got.Queued() {
								t.Fatal("a popped cell is marked as queued")
							}
							m.remove(got)
							out = append(out, got)
						}
					},
					"unpop": func(t *rapid.T) { // as a worker does with what it has not begun: the last first
						n := rapid.IntRange(0, min(len(out), 70)).Draw(t, "n")
						for _, c := range slices.Backward(out[len(out)-n:]) {
							q.unpop(c, m.levels[c])
							m.unpop(c)
						}
						out = out[:len(out)-n]
					},
					"drop": func(t *rapid.T) {
						for range rapid.IntRange(1, most/4).Draw(t, "n") {
							if len(m.cells) == 0 {
								return
							}
							c := m.cells[rapid.IntRange(0, len(m.cells)-1).Draw(t, "which")]
							q.drop(c)
							m.remove(c)
							if q.husks >= sweepAt && q.husks > q.size()/2 {
								t.Fatalf("%d of %d are husks", q.husks, q.size())
							}
						}
					},
					"": func(t *rapid.T) {
						if got := q.size() - q.husks; got != len(m.cells) {
							t.Fatalf("%d cells wait, want %d", got, len(m.cells))
						}
						if got, want := q.head(), m.first(); got != want {
							t.Fatalf("head: got %p, want %p", got, want)
						}
					},
				})
			})
		})
	}
}

func TestFifoGivesMemoryBackAsItShrinks(t *testing.T) {
	t.Parallel()
	var f fifo
	segments := func() (n int) {
		for s := f.first; s != nil; s = s.next {
			n++
		}
		if f.spare != nil {
			n++
		}
		return n
	}
	const cells = 100 * segmentSize
	for range cells {
		f.push(&cell.Cell{})
	}
	if got := segments(); got < 100 || got > 105 { // the first few are small
		t.Errorf("%d cells take %d segments, want 100 to 105", cells, got)
	}
	for range cells - 1 {
		f.pop()
	}
	if got := segments(); got > 2 {
		t.Errorf("one cell takes %d segments", got)
	}
	f.pop()
	for range 10 * segmentSize { // a queue that goes up and down by one needs no more
		f.push(&cell.Cell{})
		f.pop()
	}
	if got := segments(); got > 2 {
		t.Errorf("an empty queue holds %d segments", got)
	}
}

func TestFifoForgetsWhatItGaveAway(t *testing.T) {
	t.Parallel()
	var f fifo
	for range 3 {
		f.push(&cell.Cell{})
	}
	first := f.first
	f.pop()
	f.pop()
	for i, c := range first.cells[:2] {
		if c != nil {
			t.Errorf("slot %d still holds the cell", i)
		}
	}
}

func TestRankRisesOneLevelASecond(t *testing.T) {
	t.Parallel()
	s := int64(time.Second)
	for _, tt := range []struct {
		stampA int64
		levelA int
		stampB int64
		levelB int
		want   int // of comparing A with B: -1 if A goes first
	}{
		{0, 0, 0, 0, 0},
		{0, 1, 0, 0, -1},
		{0, 0, 0, 1, 1},
		{0, 0, 1, 0, -1},
		{0, 0, s, 1, 0},
		{0, 0, s - 1, 1, 1},
		{0, 0, s + 1, 1, -1},
		{0, -5, 4 * s, 0, 1},
		{0, -5, 6 * s, 0, -1},
		{0, math.MaxInt, 0, math.MaxInt - 1, 0}, // beyond what can be told apart
		{0, math.MaxInt, 0, 1_000_000, -1},
		{0, math.MinInt, 0, -1_000_000, 1},
		{1 << 60, math.MinInt, 0, math.MaxInt, 1},
		{1 << 60, math.MaxInt, 0, math.MinInt, -1},
	} {
		a, b := rank(tt.stampA, tt.levelA), rank(tt.stampB, tt.levelB)
		if got := cmp.Compare(a, b); got != tt.want {
			t.Errorf("level %d at %v against level %d at %v: got %d, want %d",
				tt.levelA, time.Duration(tt.stampA), tt.levelB, time.Duration(tt.stampB), got, tt.want)
		}
	}
}
