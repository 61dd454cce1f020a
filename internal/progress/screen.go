package progress

import "time"

const (
	refresh = 100 * time.Millisecond
	// maxShown bounds the bars drawn at once. mpb gets slow, and in places
	// blocks, when more come than fit its queue of 64. Bars beyond that wait
	// for room; those that finish before get a plain closing line.
	maxShown = 50
	// maxWaiting bounds the closing lines kept for a terminal that blocks.
	maxWaiting = 1000
)

// screen draws the bars of one Output with one mpb container. It begins with
// the first bar and ends when the last one has left.
//
// Every call into mpb may block for as long as the terminal does. So only the
// goroutine of run makes them; join and leave put the bar on a list and go.
type screen struct {
	out    *Output
	before <-chan struct{} // the earlier screen has let go of the terminal; nil: there was none
	last   *handover       // of the closing lines of all bars
	wake   chan struct{}   // holds one; the lists have changed

	// guarded by out.mu
	joined, left []*Bar
	live         int               // bars that have not left
	shown        int               // of them, and of those just leaving: being drawn
	hidden       map[*Bar]struct{} // of them: waiting for room
}

// join puts b on the screen of o and makes one if there is none. It returns
// nil if the terminal is stuck: nobody would see the bar.
func (o *Output) join(b *Bar) *screen {
	if o.stuck() {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.screen == nil {
		o.screen = &screen{
			out:    o,
			before: o.off,
			last:   newHandover(o),
			wake:   make(chan struct{}, 1),
			hidden: make(map[*Bar]struct{}),
		}
		o.off = o.screen.last.done
		go o.screen.run()
	}
	s := o.screen
	s.live++
	s.hidden[b] = struct{}{}
	s.admit()
	return s
}

// admit moves hidden bars to joined as far as there is room.
func (s *screen) admit() {
	for b := range s.hidden {
		if s.shown == maxShown {
			return
		}
		delete(s.hidden, b)
		s.shown++
		s.joined = append(s.joined, b)
		s.stir()
	}
}

// leave says that b has finished. The last bar of a screen waits until all
// closing lines are out.
func (s *screen) leave(b *Bar) {
	s.out.mu.Lock()
	_, hidden := s.hidden[b]
	delete(s.hidden, b)
	if !hidden || len(s.left) < maxWaiting {
		s.left = append(s.left, b)
	}
	s.live--
	over := s.live == 0
	if over {
		s.out.screen = nil // the next bar needs a new one
	}
	s.stir()
	s.out.mu.Unlock()
	if over {
		s.last.wait()
	}
}

func (s *screen) stir() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take empties the lists. Once over is true nothing will be added to them.
func (s *screen) take() (joined, left []*Bar, over bool) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	joined, left = s.joined, s.left
	s.joined, s.left = nil, nil
	return joined, left, s.live == 0
}

// release makes room for n more bars.
func (s *screen) release(n int) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.shown -= n
	s.admit()
}

// run is the goroutine of a screen. It ends after mpb's goroutines.
func (s *screen) run() {
	defer s.last.finish()
	if s.before != nil {
		<-s.before // two containers would overwrite each other's lines
	}
	c := newCanvas(s.out)
	for range s.wake {
		joined, left, over := s.take()
		c.show(joined)
		closing := c.close(left)
		if over {
			break
		}
		for _, bar := range closing {
			bar.Wait() // drawn for the last time
		}
		s.release(len(closing))
	}
	c.end()
}
