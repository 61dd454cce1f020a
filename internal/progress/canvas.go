package progress

import (
	"strings"

	"github.com/vbauerster/mpb/v8"
)

// canvas is an mpb container and what is on it. It belongs to one goroutine.
type canvas struct {
	out       *Output
	container *mpb.Progress
	columns   columns
	bars      map[*Bar]*mpb.Bar
	lines     strings.Builder // closing lines of bars that were never drawn
}

func newCanvas(o *Output) *canvas {
	return &canvas{
		out: o,
		container: mpb.New(
			mpb.WithConsoleWriter(newConsole(o)),
			mpb.WithAutoRefresh(),
			mpb.WithRefreshRate(refresh),
			mpb.PopCompletedMode(), // closing lines scroll up and are forgotten
		),
		bars: make(map[*Bar]*mpb.Bar),
	}
}

func (c *canvas) show(bars []*Bar) {
	for _, b := range bars {
		// An error means that the container has ended because it could not
		// render; what is left then are the closing lines.
		if bar, err := c.container.Add(0, newFiller(b), c.columns.labels(b)...); err == nil {
			c.bars[b] = bar
		}
	}
}

// close completes bars and returns those that are about to be drawn for the
// last time.
func (c *canvas) close(bars []*Bar) []*mpb.Bar {
	var closing []*mpb.Bar
	for _, b := range bars {
		if bar := c.bars[b]; bar != nil {
			closing = append(closing, bar)
		} else {
			c.lines.WriteString(b.look(b.ended, new(meter)).line())
		}
	}
	if len(c.bars) > 0 {
		c.flush()
	}
	for _, b := range bars {
		delete(c.bars, b)
	}
	for _, bar := range closing {
		bar.SetTotal(-1, true) // complete, whatever the counts are
	}
	return closing
}

// flush prints the lines above the bars, with the next refresh. There must be
// bars that are still to be completed: mpb shuts down without a refresh, and
// drops what was printed since the last one.
func (c *canvas) flush() {
	if c.lines.Len() > 0 {
		_, _ = c.container.Write([]byte(c.lines.String()))
		c.lines.Reset()
	}
}

// end waits until everything is drawn.
func (c *canvas) end() {
	c.container.Wait()
	if c.lines.Len() > 0 {
		c.out.write(c.lines.String())
	}
}
