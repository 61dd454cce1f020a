package faultnet

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// bufferSize bounds the bytes of one direction that wait to be read.
const bufferSize = 64 << 10

// A Mangle is damage to one direction of connections. Flip, Repeat and Truncate
// are probabilities, each drawn for each piece: what one Write sends, or for
// long ones the part that the buffer has room for.
type Mangle struct {
	Flip     float64 // one bit of the piece is turned
	Repeat   float64 // the piece comes twice
	Truncate float64 // the piece is cut at a byte that is drawn, perhaps the first, and the connection closed there

	// TruncateAfter, unless zero, closes each connection after exactly so many
	// bytes: of new ones, and of live ones counted from the call of Mangle.
	TruncateAfter int
}

func (m Mangle) check() error {
	for _, p := range []float64{m.Flip, m.Repeat, m.Truncate} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("faultnet: Mangle: probability %v is not within 0 and 1", p)
		}
	}
	if m.TruncateAfter < 0 {
		return fmt.Errorf("faultnet: Mangle: TruncateAfter is %d, want 0 or more", m.TruncateAfter)
	}
	return nil
}

// pipe is one direction of a connection.
type pipe struct {
	net    *Network
	way    way
	from   *host
	draws  *rand.Rand
	mangle Mangle // TruncateAfter counts down
	pieces []piece
	size   int       // bytes in pieces
	last   time.Time // when the last of them arrives: none may arrive before another
}

// piece is bytes, or the end of the pipe, which is always the last one and is
// never taken out. Those that are held come after those that are not.
type piece struct {
	data []byte
	end  error // what a Read gets
	at   time.Time
	held bool // at is not known
}

func (p *piece) arrived(now time.Time) bool { return !p.held && !p.at.After(now) }

func (n *Network) newPipe(from, to *host, draws *rand.Rand) *pipe {
	w := way{from: from.name, to: to.name}
	return &pipe{net: n, way: w, from: from, draws: draws, mangle: n.mangles[w]}
}

// send adds a copy of data, damaged as the Mangle wants it, and says whether
// it cuts the connection there.
func (p *pipe) send(data []byte) (cut bool) {
	data = bytes.Clone(data)
	if left := p.mangle.TruncateAfter; left > 0 {
		cut = len(data) >= left
		data = data[:min(len(data), left)]
		p.mangle.TruncateAfter -= len(data)
	}
	if !cut && p.chance(p.mangle.Truncate) {
		cut = true
		data = data[:p.draws.IntN(len(data))]
	}
	if len(data) > 0 && p.chance(p.mangle.Flip) {
		data[p.draws.IntN(len(data))] ^= 1 << p.draws.IntN(8)
	}
	p.add(piece{data: data})
	if cut {
		p.add(piece{end: io.EOF})
	} else if p.chance(p.mangle.Repeat) {
		p.add(piece{data: data})
	}
	return cut
}

func (p *pipe) chance(probability float64) bool {
	return probability > 0 && p.draws.Float64() < probability
}

// add puts a piece on its way. Behind an end it is lost.
func (p *pipe) add(c piece) {
	if p.end() != nil || c.end == nil && len(c.data) == 0 {
		return
	}
	p.size += len(c.data)
	if c.held = p.stalls(c); !c.held {
		c.at = p.arrival()
	}
	p.pieces = append(p.pieces, c)
}

// stalls reports whether a piece cannot travel now. A frozen host sends nothing,
// but what it had sent is not its own any more.
func (p *pipe) stalls(c piece) bool {
	return p.net.parted[pairOf(p.way.from, p.way.to)] || c.end == io.EOF && p.from.frozen
}

// arrival draws when a piece sent now arrives, not before those sent earlier.
func (p *pipe) arrival() time.Time {
	at := time.Now().Add(p.net.delay(p.draws))
	if at.Before(p.last) {
		at = p.last
	}
	p.last = at
	return at
}

// hold keeps what has not arrived from arriving.
func (p *pipe) hold() {
	now := time.Now()
	for i := range p.pieces {
		if c := &p.pieces[i]; !c.arrived(now) {
			c.held = true
		}
	}
	p.last = now
}

// release sends what was held and need not be any more.
func (p *pipe) release() {
	for i := range p.pieces {
		if c := &p.pieces[i]; c.held && !p.stalls(*c) {
			c.held, c.at = false, p.arrival()
		}
	}
}

// reset loses what has not arrived, an end too, and ends the pipe with
// ECONNRESET, at once unless it is held. Nobody sends into it any more, so that
// size does not matter.
func (p *pipe) reset(held bool) {
	now := time.Now()
	p.pieces = slices.DeleteFunc(p.pieces, func(c piece) bool { return !c.arrived(now) })
	if p.end() == nil {
		p.pieces = append(p.pieces, piece{end: syscall.ECONNRESET, at: now, held: held})
	}
}

// room is how many bytes may be sent now.
func (p *pipe) room() int { return max(0, bufferSize-p.size) }

// clear loses everything.
func (p *pipe) clear() { p.pieces, p.size = nil, 0 }

// take reads what has arrived: bytes or, where there are none, the end.
func (p *pipe) take(b []byte, now time.Time) (got int, err error) {
	for len(p.pieces) > 0 && p.pieces[0].arrived(now) && got < len(b) {
		c := &p.pieces[0]
		if c.end != nil {
			if got == 0 {
				err = c.end
			}
			break
		}
		k := copy(b[got:], c.data)
		got += k
		if c.data = c.data[k:]; len(c.data) == 0 {
			p.pieces = p.pieces[1:]
		}
	}
	p.size -= got
	return got, err
}

// nextAt returns when the first piece arrives; zero: nobody knows.
func (p *pipe) nextAt() time.Time {
	if len(p.pieces) == 0 || p.pieces[0].held {
		return time.Time{}
	}
	return p.pieces[0].at
}

// end returns the piece that ends the pipe, or nil.
func (p *pipe) end() *piece {
	if k := len(p.pieces) - 1; k >= 0 && p.pieces[k].end != nil {
		return &p.pieces[k]
	}
	return nil
}

// endAt returns when the end arrives; zero: nobody knows.
func (p *pipe) endAt() time.Time {
	if c := p.end(); c != nil && !c.held {
		return c.at
	}
	return time.Time{}
}

// ended returns the end if it has arrived.
func (p *pipe) ended(now time.Time) error {
	if c := p.end(); c != nil && c.arrived(now) {
		return c.end
	}
	return nil
}
