package remote

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// Codec turns arguments and results into bytes and back; see [wire.Codec].
type Codec = wire.Codec

var codecs struct {
	mu    sync.Mutex
	known []Codec
}

// RegisterCodec makes the nodes and child processes of this program understand
// c, so that it can be used with [WithCodec]. Call it in init, on both sides; for
// a node, Config.Codec does the same. It panics if c is nil, has an empty ID or
// one that is taken.
func RegisterCodec(c Codec) {
	codecs.mu.Lock()
	defer codecs.mu.Unlock()
	known := append(slices.Clone(codecs.known), c)
	if _, err := standardAnd(known); err != nil {
		panic(fmt.Errorf("remote: RegisterCodec: %w", err))
	}
	codecs.known = known
}

// knownCodecs returns the standard codecs and those that are registered.
func knownCodecs() (*wire.Codecs, error) {
	codecs.mu.Lock()
	defer codecs.mu.Unlock()
	return standardAnd(codecs.known)
}

func standardAnd(more []Codec) (*wire.Codecs, error) {
	standard, err := wire.NewCodecs()
	if err != nil {
		return nil, err
	}
	return standard.Know(more...)
}

// WithCodec places as p does, with arguments encoded by c; results come back in
// it, too. The other side has to know c, by [RegisterCodec] or [Config.Codec]: if
// it does not, calls fail with an error that says so.
//
//	far := render.On(remote.WithCodec(remote.Nodes(node, addrs...), jsonCodec))
func WithCodec(p task.Placement, c Codec) task.Placement { return encoded{inner: p, codec: c} }

type encoded struct {
	inner task.Placement
	codec Codec
}

// speaker is a Site whose codec can be chosen.
type speaker interface{ speak(c Codec) error }

func (e encoded) String() string {
	if e.inner == nil {
		return "nowhere"
	}
	return e.inner.String()
}

// Members is how many members a worker has by default; 0 if that is not said.
func (e encoded) Members() int {
	if p, ok := e.inner.(interface{ Members() int }); ok {
		return p.Members()
	}
	return 0
}

// Place implements place.Placement.
func (e encoded) Place(job place.Job) (place.Site, error) {
	if e.inner == nil || e.codec == nil {
		return nil, errors.New("remote: WithCodec: want a placement and a codec")
	}
	site, err := e.inner.Place(job)
	if err != nil {
		return nil, err
	}
	s, ok := site.(speaker)
	if !ok {
		return nil, fmt.Errorf("remote: WithCodec: %v are not a placement of this package", e.inner)
	}
	return site, s.speak(e.codec)
}

// speak makes the crew encode with m.
func (c *crew) speak(m Codec) (err error) {
	if c.codecs, err = c.codecs.Prefer(m); err != nil {
		return fmt.Errorf("remote: WithCodec: %w", err)
	}
	return nil
}
