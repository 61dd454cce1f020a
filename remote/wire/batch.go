package wire

import (
	"google.golang.org/protobuf/proto"
)

// Head is what all envelopes to one peer begin with.
type Head struct {
	Version  uint32
	From, To uint64 // incarnations
}

// Names are what a call refers to by name.
type Names struct {
	Task, Method, Codec string
}

// A Batcher gathers what goes to one peer into envelopes within the bounds of
// the receiver and of the transport. Every Add returns the envelope that was
// full before, to be sent now, or nil. What is above the bounds by itself goes
// alone.
//
// A Batcher is plain data: it has no timer and is not safe for concurrent use.
// What was added belongs to the envelope and is not to be changed after.
type Batcher struct {
	head   Head
	bounds Bounds

	seq   uint64
	next  *Envelope // nil: empty
	size  int       // upper bound of its encoded size
	items int       // upper bound of what Check counts
	added int
	names map[string]uint32
	last  Names     // of the call before, if it is in next: most have the same
	place [3]uint32 // of last
}

// NewBatcher returns a Batcher of envelopes within the Bytes and Items of b,
// the Bounds that the receiver reads with or lower ones. A call counts for about
// 4 items and 3 more for each header.
func NewBatcher(head Head, b Bounds) *Batcher {
	return &Batcher{head: head, bounds: b.filled(), names: make(map[string]uint32)}
}

// Upper bounds of encoded sizes, without what has a length of its own.
const (
	headBytes   = 64 // version, incarnations, seq and the three length bytes
	nameBytes   = 6
	callBytes   = 135
	leaseBytes  = 18
	entryBytes  = 18 // a header: two tags, three lengths
	answerBytes = 58
	idBytes     = 16
	itemBytes   = 12 // tag and length
)

// Items that Check counts in what is sent most. Of anything else it is known
// that an item takes two bytes.
const (
	callItems   = 4
	headerItems = 3
	answerItems = 2
)

// AddCall adds c and sets its Task, Method and Codec.
func (b *Batcher) AddCall(c *Call, n Names) *Envelope {
	size, items := callBytes+len(c.GetPayload())+len(c.GetLimits()), callItems
	for k, v := range c.GetHeaders() {
		size += entryBytes + len(k) + len(v)
		items += headerItems
	}
	if l := c.GetLease(); l != nil {
		size += leaseBytes
		items++
		for k, v := range l.GetConfig() {
			size += entryBytes + len(k) + len(v)
			items += headerItems
		}
	}
	full := b.fit(size, items, n)
	if n != b.last {
		b.last, b.place = n, [3]uint32{b.name(n.Task), b.name(n.Method), b.name(n.Codec)}
	}
	c.Task, c.Method, c.Codec = b.place[0], b.place[1], b.place[2]
	b.next.Calls = append(b.next.Calls, c)
	return full
}

// AddAnswer adds a and sets its Codec.
func (b *Batcher) AddAnswer(a *Answer, codec string) *Envelope {
	size, items := answerBytes+len(a.GetPayload()), answerItems
	if f := a.GetFailure(); f != nil {
		size += proto.Size(f)
		items += failureItems(f)
	}
	full := b.fit(size, items, Names{Codec: codec})
	a.Codec = b.name(codec)
	b.next.Answers = append(b.next.Answers, a)
	return full
}

// failureItems is what Check counts in f, and f itself.
func failureItems(f *Failure) int {
	n := 3 + len(f.GetCodes()) // itself, text and details
	if f.GetPanic() != nil {
		n += 4
	}
	for _, c := range f.GetCauses() {
		n += failureItems(c)
	}
	return n
}

// AddStarted says that a call was begun.
func (b *Batcher) AddStarted(id uint64) *Envelope {
	full := b.fit(idBytes, 0, Names{})
	b.next.Started = append(b.next.Started, id)
	return full
}

// AddCancel adds c.
func (b *Batcher) AddCancel(c *Cancel) *Envelope {
	full := b.fitMessage(c)
	b.next.Cancels = append(b.next.Cancels, c)
	return full
}

// AddLimits adds all that is in l.
func (b *Batcher) AddLimits(l *Limits) *Envelope {
	full := b.fitMessage(l)
	if b.next.Limits == nil {
		b.next.Limits = &Limits{}
	}
	proto.Merge(b.next.Limits, l)
	return full
}

// SetStatus puts s in the next envelope, in place of an earlier one there.
func (b *Batcher) SetStatus(s *Status) *Envelope {
	full := b.fitMessage(s)
	b.next.Status = s
	return full
}

// SetPulse puts p in the next envelope, in place of an earlier one there.
func (b *Batcher) SetPulse(p *Pulse) *Envelope {
	full := b.fitMessage(p)
	b.next.Pulse = p
	return full
}

// SetHello puts h in the next envelope, in place of an earlier one there.
func (b *Batcher) SetHello(h *Hello) *Envelope {
	full := b.fitMessage(h)
	b.next.Hello = h
	return full
}

// SetWelcome puts w in the next envelope, in place of an earlier one there.
func (b *Batcher) SetWelcome(w *Welcome) *Envelope {
	full := b.fitMessage(w)
	b.next.Welcome = w
	return full
}

// Len returns how often something was added since the last envelope.
func (b *Batcher) Len() int { return b.added }

// Flush returns what was gathered, or nil if that is nothing.
func (b *Batcher) Flush() *Envelope {
	e := b.next
	if e == nil {
		return nil
	}
	b.seq++
	e.Version, e.From, e.To, e.Seq = b.head.Version, b.head.From, b.head.To, b.seq
	b.next, b.size, b.items, b.added = nil, 0, 0, 0
	b.last, b.place = Names{}, [3]uint32{}
	clear(b.names)
	return e
}

func (b *Batcher) fitMessage(m proto.Message) (full *Envelope) {
	size := proto.Size(m)
	return b.fit(itemBytes+size, 1+size/2, Names{})
}

// fit makes room for something of a size that refers to names, and counts it.
func (b *Batcher) fit(size, items int, n Names) (full *Envelope) {
	named, names := b.unnamed(n)
	if b.next != nil && (b.items+items+names > b.bounds.Items || b.size+size+named > b.bounds.Bytes) {
		full = b.Flush()
		named, names = b.unnamed(n)
	}
	if b.next == nil {
		b.next = &Envelope{}
		b.size = headBytes
	}
	b.size += size + named
	b.items += items + names
	b.added++
	return full
}

// unnamed returns size and number of those names that the envelope does not
// have yet.
func (b *Batcher) unnamed(n Names) (size, items int) {
	if n == b.last {
		return 0, 0
	}
	for _, s := range [...]string{n.Task, n.Method, n.Codec} {
		if s != "" && b.names[s] == 0 {
			size += nameBytes + len(s)
			items++
		}
	}
	return size, items
}

// name returns the place of s in the names of the next envelope.
func (b *Batcher) name(s string) uint32 {
	if s == "" {
		return 0
	}
	place, known := b.names[s]
	if !known {
		b.next.Names = append(b.next.Names, s)
		place = uint32(len(b.next.Names))
		b.names[s] = place
	}
	return place
}
