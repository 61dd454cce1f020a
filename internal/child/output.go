package child

import (
	"bytes"
	"errors"
	"os"
	"time"
)

const (
	maxLine     = 16 << 10 // longer lines come in pieces
	maxTail     = 4 << 10  // of stderr, kept for the crash report
	maxHeadline = 256
)

// output reads one stream of a child. It is used by one goroutine, and by
// others once that has ended.
type output struct {
	pid    int
	stream Stream
	lines  *lines

	partial []byte // of the line that is not yet ended
	inside  bool   // a piece of it was delivered already

	tail     []byte // the last maxTail bytes and up to as many more; of stderr only
	headline string // the last line that looked like the beginning of a crash report
}

// read returns at the end of f, or if f is still open at the deadline that
// was set on it: then everything that was in the pipe has been taken.
func (o *output) read(f *os.File) {
	buf := make([]byte, 32<<10)
	for {
		n, err := f.Read(buf)
		o.write(buf[:n])
		if err == nil {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && f.SetReadDeadline(time.Time{}) == nil {
			takeRest(f, buf, o.write)
		}
		o.flush()
		return
	}
}

func (o *output) write(b []byte) {
	o.keep(b)
	for len(b) > 0 {
		piece, rest, ended := bytes.Cut(b, []byte{'\n'})
		if room := maxLine - len(o.partial); len(piece) > room {
			piece, rest, ended = b[:room], b[room:], false
		}
		b = rest
		o.partial = append(o.partial, piece...)
		if ended || len(o.partial) == maxLine && len(b) > 0 && b[0] != '\n' {
			o.emit(!ended)
		}
	}
}

// emit delivers what there is of a line.
func (o *output) emit(goesOn bool) {
	text := o.partial
	if !goesOn {
		text = bytes.TrimSuffix(text, []byte{'\r'})
	}
	line := Line{PID: o.pid, Stream: o.stream, Text: string(text), Partial: goesOn}
	if o.stream == Stderr && !o.inside && isHeadline(line.Text) {
		o.headline = line.Text[:min(len(line.Text), maxHeadline)]
	}
	o.partial, o.inside = o.partial[:0], goesOn
	o.lines.put(line)
}

// flush delivers a last line that was not ended.
func (o *output) flush() {
	if len(o.partial) > 0 {
		o.emit(false)
	}
}

// keep adds b to the tail.
func (o *output) keep(b []byte) {
	if o.stream != Stderr {
		return
	}
	if over := len(b) - maxTail; over > 0 {
		b = b[over:]
		o.tail = o.tail[:0]
	}
	o.tail = append(o.tail, b...)
	if over := len(o.tail) - maxTail; over > maxTail {
		o.tail = append(o.tail[:0], o.tail[over:]...)
	}
}

// report returns the end of the stream with the headline of a crash report,
// in at most maxTail bytes.
func (o *output) report() string {
	tail := o.tail[max(0, len(o.tail)-maxTail):]
	if o.headline == "" || bytes.Contains(tail, []byte(o.headline)) {
		return string(tail)
	}
	const between = "\n...\n"
	room := maxTail - len(o.headline) - len(between)
	return o.headline + between + string(tail[max(0, len(tail)-room):])
}
