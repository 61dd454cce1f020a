package link

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/remote/wire"
)

const beat = 500 * time.Millisecond

func TestWatchCountsTicks(t *testing.T) {
	quiet := sight{since: beat, reading: true}
	heard := uint64(0)
	unread := func(sent uint64) sight { // it speaks
		heard++
		return sight{since: beat, reading: true, received: heard, sent: sent, writing: true}
	}
	for name, c := range map[string]struct {
		sights []sight
		lost   bool
	}{
		"three ticks unread":           {[]sight{unread(1), unread(1), unread(1), unread(1)}, true},
		"two ticks unread":             {[]sight{unread(1), unread(1), unread(1), unread(2), unread(2)}, false},
		"unread, and suspended":        {[]sight{unread(1), unread(1), {since: time.Hour, received: 999, sent: 1, writing: true, reading: true}, {since: beat, received: 1000, sent: 1, reading: true}}, false},
		"nothing to write but a pulse": {[]sight{unread(1), unread(1), {since: beat, reading: true, received: 998, sent: 1}, unread(1), unread(1)}, false},
		"two silent ticks":             {[]sight{quiet, quiet}, false},
		"three silent ticks":           {[]sight{quiet, quiet, quiet}, true},
		"a byte in between":            {[]sight{quiet, quiet, {since: beat, reading: true, received: 1}, {since: beat, reading: true, received: 1}, {since: beat, reading: true, received: 1}}, false},
		"suspended":                    {[]sight{quiet, quiet, {since: time.Hour, reading: true}}, false},
		"suspended, and then silence":  {[]sight{quiet, quiet, {since: time.Hour, reading: true}, quiet}, true},
		"always late":                  {[]sight{{since: time.Hour, reading: true}, {since: time.Hour, reading: true}, {since: time.Hour, reading: true}, {since: time.Hour, reading: true}, {since: time.Hour, reading: true}, {since: time.Hour, reading: true}}, true},
		"nobody reads":                 {[]sight{quiet, quiet, {since: beat}, quiet, quiet}, false},
	} {
		w, lost := newWatch(beat, beat), error(nil)
		for _, s := range c.sights {
			_, lost = w.tick(s)
		}
		if (lost != nil) != c.lost {
			t.Errorf("%s: lost %v, want %v", name, lost, c.lost)
		}
	}
}

func TestWatchSendsAPulseAfterATickWithoutABetterSign(t *testing.T) {
	w := newWatch(beat, beat)
	for i, c := range []struct {
		sent  uint64
		pulse bool
	}{{0, true}, {20, false}, {20, true}, {40, false}, {90, false}} {
		if pulse, _ := w.tick(sight{since: beat, received: uint64(i + 1), sent: c.sent, reading: true}); pulse != c.pulse {
			t.Errorf("tick %d: pulse %v, want %v", i, pulse, c.pulse)
		}
	}
}

func TestWatchTicksAsOftenAsTheOtherSideWants(t *testing.T) {
	for _, c := range []struct {
		ours, theirs, interval time.Duration
		most                   int
	}{
		{beat, beat, beat, 3},
		{beat, 0, beat, 3},
		{beat, time.Hour, beat, 3},
		{10 * time.Second, 50 * time.Millisecond, 50 * time.Millisecond, 600},
		{beat, time.Nanosecond, leastHeartbeat, 150},
	} {
		if w := newWatch(c.ours, c.theirs); w.interval != c.interval || w.most != c.most {
			t.Errorf("%v and %v: got %v, %d", c.ours, c.theirs, w.interval, w.most)
		}
	}
}

func TestIdleConnectionsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, theirs := range []time.Duration{0, 50 * time.Millisecond, time.Minute} {
			p := connect(t, "pipe", Config{}, Config{Heartbeat: theirs})
			p.serve(func(*wire.Envelope) {}, func(*wire.Envelope) {})
			time.Sleep(5 * time.Minute)
			if a, b := p.client.Err(), p.server.Err(); a != nil || b != nil {
				t.Errorf("%v: client %v, server %v", theirs, a, b)
			}
			p.close()
		}
	})
}

func TestPulsesAreLeftOutWhileThereIsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		pulses := 0
		p.serve(func(*wire.Envelope) {}, func(e *wire.Envelope) {
			if e.GetPulse() != nil {
				pulses++
			}
		})
		for range 100 {
			p.client.AddStarted(1)
			p.client.Flush()
			time.Sleep(beat / 3)
		}
		if pulses != 0 {
			t.Errorf("%d pulses", pulses)
		}
		p.close()
	})
}

func TestASilentPeerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		go func() { _, _ = io.Copy(io.Discard, p.server.nc) }() // reads, and says nothing
		start := time.Now()
		err := p.client.Serve(func(*wire.Envelope) {})
		if !errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), "no sign of life for 1.5s") || time.Since(start) != 3*beat {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		p.server.Close(nil)
	})
}

// What is stuck in a write when the other side freezes comes free.
func TestAFrozenPeerIsLostWhileWeWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		go func() { p.clientEnded <- p.client.Serve(func(*wire.Envelope) {}) }()
		p.client.AddCall(&wire.Call{Id: 1, Payload: make([]byte, 10<<20)}, wire.Names{Task: "t", Codec: "c"})
		start := time.Now()
		err := p.client.FlushWait()
		if !errors.Is(err, ErrSilent) || time.Since(start) != 3*beat {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		<-p.clientEnded
		p.server.Close(nil)
	})
}

func TestALargeFrameThatComesSlowlyIsASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		go func() { _, _ = io.Copy(io.Discard, p.client.nc) }()
		frame, err := appendFrame(nil, p.envelope(2))
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan struct{}, 1)
		go func() { p.serverEnd <- p.server.Serve(func(*wire.Envelope) { got <- struct{}{} }) }()
		for _, b := range frame { // takes 27 seconds and more
			time.Sleep(2*beat + beat/2)
			if _, err := p.client.nc.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		<-got
		p.client.Close(nil)
		<-p.serverEnd
	})
}

// While receive runs, nobody can hear the other side; but it must hear us.
func TestAReceiveThatTakesLongLosesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, "pipe", Config{}, Config{})
		busy := make(chan struct{})
		p.serve(func(*wire.Envelope) {}, func(e *wire.Envelope) {
			if len(e.GetStarted()) > 0 {
				time.Sleep(time.Minute)
				close(busy)
			}
		})
		p.client.AddStarted(1)
		p.client.Flush()
		<-busy
		time.Sleep(time.Second)
		if a, b := p.client.Err(), p.server.Err(); a != nil || b != nil {
			t.Errorf("client %v, server %v", a, b)
		}
		p.close()
	})
}
