package child

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What a child tells its parent.
const (
	frameClaimed byte = 'C' // Role was called
	frameRefused byte = 'R' // Start was called, and Role was not
	frameReady   byte = '!' // with the payload of Ready
)

// maxReady bounds the payload of [Child.Ready].
const maxReady = 1 << 20

var errFrame = errors.New("child: malformed frame")

// appendFrame appends kind, length and payload.
func appendFrame(b []byte, kind byte, payload []byte) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// readFrame returns io.EOF if there is none any more.
func readFrame(r io.Reader) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	switch kind = head[0]; {
	case kind != frameClaimed && kind != frameRefused && kind != frameReady:
		return 0, nil, fmt.Errorf("%w: kind %q", errFrame, kind)
	case size > maxReady, kind != frameReady && size > 0:
		return 0, nil, fmt.Errorf("%w: %d bytes of kind %q", errFrame, size, kind)
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return kind, payload, nil
}

// The bootstrap is its length and then itself, so that a parent that died in
// the middle of it is noticed.
func bootstrapHead(size int) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(size))
}

func readBootstrap(r io.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint64(head[:])
	const most = 1 << 40
	if size > most {
		return nil, fmt.Errorf("%w: a bootstrap of %d bytes", errFrame, size)
	}
	// ReadAll grows as bytes arrive: a wrong length allocates nothing.
	b, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err == nil && uint64(len(b)) < size {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}
