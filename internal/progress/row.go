package progress

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// columns holds the widths that the bars of one screen share, so that they
// line up. A column only grows.
//
// mpb's own width synchronization does the same with a rendezvous of all bars,
// and hangs for good if a bar is added at the wrong moment while 64 others
// are.
type columns struct{ title, count, share atomic.Int64 }

// labels puts the counts to the left of the bar and the rest to its right.
func (c *columns) labels(b *Bar) []mpb.BarOption {
	var m meter // the labels of a bar are asked by one goroutine at a time
	look := func() view { return b.look(time.Now(), &m) }
	return []mpb.BarOption{
		mpb.PrependDecorators(
			label{width: &c.title, align: decor.DindentRight, text: func() string { return look().title }},
			label{width: &c.count, text: func() string { return " " + look().count() }},
			label{width: &c.share, text: func() string { return " " + look().share() }},
			decor.Name(" "),
		),
		mpb.BarFillerTrim(), // the spaces are ours: on a narrow terminal there is no bar between them
		mpb.AppendDecorators(decor.Any(
			func(decor.Statistics) string { return look().status() },
			decor.WC{W: 24, C: decor.DindentRight},
		)),
	}
}

// label is a decorator that is as wide as its column.
type label struct {
	decor.WC
	text  func() string
	width *atomic.Int64
	align int
}

func (l label) Decor(decor.Statistics) (text string, width int) {
	plain := decor.WC{C: l.align}
	text, own := plain.Init().Format(l.text())
	widest := l.width.Load()
	for int64(own) > widest && !l.width.CompareAndSwap(widest, int64(own)) {
		widest = l.width.Load()
	}
	padded := decor.WC{W: int(max(widest, int64(own))), C: l.align}
	return padded.Init().Format(text)
}

// newFiller draws the bar proper, or a spinner while the total is unknown, and
// a space after it.
func newFiller(b *Bar) mpb.BarFiller {
	bar, spinner := mpb.BarStyle().Build(), mpb.SpinnerStyle().PositionLeft().Build()
	return mpb.BarFillerFunc(func(w io.Writer, st decor.Statistics) error {
		const minWidth = 3 // and the space
		if st.AvailableWidth -= 1; st.AvailableWidth < minWidth {
			return nil
		}
		filler := bar
		st.Total, st.Current = b.total.Load(), b.done.Load()
		switch {
		case st.Total < 0 && b.closed():
			return nil
		case st.Total < 0:
			filler, st.RequestedWidth = spinner, 1
		case st.Total == 0:
			st.Total, st.Current = 1, 1
		}
		st.Current = min(st.Current, st.Total)
		if err := filler.Fill(w, st); err != nil {
			return err
		}
		_, err := io.WriteString(w, " ")
		return err
	})
}
