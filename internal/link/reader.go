package link

import (
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
)

const (
	lengthBytes = 4       // before each frame
	firstBuffer = 4 << 10 // of a reader
	usualBuffer = 64 << 10
)

// A reader takes frames from a stream. Its memory grows with what has arrived,
// never with what a length announces.
type reader struct {
	src  io.Reader
	most int // bytes of a frame

	buf      []byte
	from, to int  // buf[from:to] is not taken yet
	eager    bool // the last read could have been larger
	keep     keeper

	reading atomic.Bool   // in src.Read
	bytes   atomic.Uint64 // that arrived
}

// frame returns the next frame, valid until the next call of any method. The
// error is io.EOF at the end of the stream between frames, and
// io.ErrUnexpectedEOF within one.
func (r *reader) frame() ([]byte, error) {
	head, err := r.take(lengthBytes)
	if errors.Is(err, io.ErrUnexpectedEOF) && r.from == r.to {
		err = io.EOF // of TLS, that ended without a last word
	}
	if err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(head))
	if size == 0 || size > int64(r.most) {
		return nil, &FrameError{Bytes: size, Most: int64(r.most)}
	}
	frame, err := r.take(int(size))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return frame, err
}

// ready tells whether the next frame is here as a whole.
func (r *reader) ready() bool {
	unread := r.buf[r.from:r.to]
	return len(unread) >= lengthBytes && int64(len(unread)-lengthBytes) >= int64(binary.BigEndian.Uint32(unread))
}

// take returns the next n bytes, valid until the next call.
func (r *reader) take(n int) ([]byte, error) {
	r.shrink(n)
	for r.to-r.from < n {
		if err := r.fill(n); err != nil {
			return nil, r.within(err)
		}
	}
	b := r.buf[r.from : r.from+n]
	r.from += n
	return b, nil
}

// peek returns at least n bytes that come next, and leaves them there; fewer
// only with an error.
func (r *reader) peek(n int) ([]byte, error) {
	for r.to-r.from < n {
		if err := r.fill(n); err != nil {
			return r.buf[r.from:r.to], r.within(err)
		}
	}
	return r.buf[r.from:r.to], nil
}

// within is err, after bytes that want more.
func (r *reader) within(err error) error {
	if errors.Is(err, io.EOF) && r.to > r.from {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fill reads once, on the way to n bytes.
func (r *reader) fill(n int) error {
	r.room(n)
	r.reading.Store(true)
	got, err := r.src.Read(r.buf[r.to:])
	r.reading.Store(false)
	r.eager = got == len(r.buf)-r.to
	r.to += got
	r.bytes.Add(uint64(got))
	if got > 0 {
		return nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// room makes some, by moving what is there to the front and, if that is not
// enough or there is a lot to read, by doubling the buffer.
func (r *reader) room(n int) {
	unread := r.to - r.from
	size := len(r.buf)
	switch {
	case size == 0:
		size = firstBuffer
	case unread == size:
		size = min(2*size, max(n, usualBuffer))
	case r.eager && size < usualBuffer:
		size *= 2
	}
	r.eager = false
	if size > len(r.buf) {
		buf := make([]byte, size)
		copy(buf, r.buf[r.from:r.to])
		r.buf, r.from, r.to = buf, 0, unread
		return
	}
	if r.from > 0 {
		copy(r.buf, r.buf[r.from:r.to])
		r.from, r.to = 0, unread
	}
}

// shrink lets go of a buffer that has been too large for long.
func (r *reader) shrink(n int) {
	unread := r.to - r.from
	if !r.keep.tooLarge(max(n, unread), len(r.buf)) {
		return
	}
	buf := make([]byte, usualBuffer)
	copy(buf, r.buf[r.from:r.to])
	r.buf, r.from, r.to = buf, 0, unread
}

// A keeper decides when a reused buffer is let go: at once if it is huge, and
// if it is large after many small uses.
type keeper struct {
	small int // uses in a row
}

const (
	hugeBuffer = 2 << 20
	smallUses  = 256
)

// tooLarge counts a use of used bytes in a buffer of size.
func (k *keeper) tooLarge(used, size int) bool {
	if size <= usualBuffer || used > usualBuffer/2 {
		k.small = 0
		return false
	}
	k.small++
	if size > hugeBuffer || k.small > smallUses {
		k.small = 0
		return true
	}
	return false
}
