package progress

import (
	"os"

	"github.com/vbauerster/cupwriter"
)

// console is mpb's way to the terminal. It never reports an error: a container
// that meets one stops drawing for good.
type console struct{ *cupwriter.Writer }

func newConsole(o *Output) console {
	c := console{cupwriter.New(lossy{o}, true)}
	if f, ok := o.writer.(*os.File); ok {
		c.SetTermFd(int(f.Fd()))
	}
	return c
}

// GetTermSize falls back to 80x24, also for terminals that claim no size at
// all, as those made by script(1) and some container runtimes do.
func (c console) GetTermSize() (width, height int, err error) {
	width, height, err = c.Writer.GetTermSize()
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24, nil
	}
	return width, height, nil
}

// Flush drops the error of a console that is gone, and what it did not take.
func (c console) Flush(lines int) error {
	if err := c.Writer.Flush(lines); err != nil {
		c.Reset()
	}
	return nil
}

// lossy is a writer that takes everything.
type lossy struct{ out *Output }

func (l lossy) Write(text []byte) (int, error) {
	l.out.write(string(text))
	return len(text), nil
}
