package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// farFunction is what competitors run in another process.
type farFunction = func(ctx context.Context, in []byte) ([]byte, error)

// A far makes calls to other processes. Safe for concurrent use; Close may be
// called often, also while calls are under way, which then fail.
type far interface {
	Call(ctx context.Context, in []byte) ([]byte, error)
	Close()
}

// A piper keeps many calls in flight without a goroutine each: it makes n calls
// with payloads of a size, never more than inFlight at once, and checks each.
type piper interface {
	far
	Pipe(ctx context.Context, inFlight, n, size int) error
}

// farOrder is what is asked of a competitor.
type farOrder struct {
	Servers  int    // other processes
	Function string // of farFunctions
	InFlight int    // calls at once, at most
}

// farPeer is one competitor with its work in other processes. open returns when
// those are there and take calls.
type farPeer struct {
	name  string
	open  func(ctx context.Context, o farOrder) (far, error)
	pipes bool             // what is opened is a piper, and measured as that
	heals bool             // it replaces a process by itself
	lost  func(error) bool // whether an error says that the other process was lost; nil: any does
}

// patience bounds all that is waited for: what is lost must not look like what
// is slow.
const patience = 2 * time.Minute

// within does work, and closes f if that takes too long, which ends it.
func within(limit time.Duration, f far, work func() error) error {
	var late atomic.Bool
	t := time.AfterFunc(limit, func() {
		late.Store(true)
		f.Close()
	})
	defer t.Stop()
	err := work()
	if late.Load() {
		return fmt.Errorf("calls without an answer after %v: %w", limit, err)
	}
	return err
}

// echo makes n calls, or so many as can be shared evenly, with inFlight of them
// at once, and checks that each brings back its own payload.
func (p farPeer) echo(ctx context.Context, f far, inFlight, n, size int) error {
	return within(patience, f, func() error {
		if p.pipes {
			return f.(piper).Pipe(ctx, inFlight, n, size)
		}
		return echoEach(ctx, f, inFlight, n/inFlight, size)
	})
}

// echoEach makes n calls from each of so many goroutines.
func echoEach(ctx context.Context, f far, goroutines, n, size int) error {
	var wg sync.WaitGroup
	failed := make(chan error, goroutines)
	for g := range goroutines {
		wg.Go(func() {
			payload := newPayload(size)
			for i := range n {
				payload.number(g*n + i)
				out, err := f.Call(ctx, payload)
				if err == nil {
					err = payload.check(out)
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// payload is an argument that no other call under way has.
type payload []byte

func newPayload(size int) payload {
	p := make(payload, size)
	for i := range p {
		p[i] = byte(i * 7)
	}
	return p
}

func newPayloads(n, size int) []payload {
	all := make([]payload, n)
	for i := range all {
		all[i] = newPayload(size)
	}
	return all
}

func (p payload) number(n int) { binary.BigEndian.PutUint64(p, uint64(n)) }

// check fails unless out is this very payload.
func (p payload) check(out []byte) error {
	if !bytes.Equal(p, out) {
		return fmt.Errorf("%w: %d bytes came back for %d, and not the same", errWrong, len(out), len(p))
	}
	return nil
}

// spread calls several others in turn.
type spread struct {
	fars []far
	next atomic.Uint64
}

// openSpread opens one for each server; closed are all if one fails.
func openSpread(o farOrder, open func() (far, error)) (far, error) {
	if o.Servers == 1 {
		return open()
	}
	s := &spread{}
	for range o.Servers {
		f, err := open()
		if err != nil {
			s.Close()
			return nil, err
		}
		s.fars = append(s.fars, f)
	}
	return s, nil
}

func (s *spread) Call(ctx context.Context, in []byte) ([]byte, error) {
	return s.fars[s.next.Add(1)%uint64(len(s.fars))].Call(ctx, in)
}

func (s *spread) Close() {
	for _, f := range s.fars {
		f.Close()
	}
}

var errOneServer = errors.New("want exactly one server")
