package child

import (
	"sync"
	"time"
)

const memoryPeriod = 100 * time.Millisecond

// memoryWatch looks at the resident sets of all children with a MemoryLimit,
// with one timer that runs while there are any. Nothing tells when a process
// grows, so this is looked at periodically.
type memoryWatch struct {
	mu    sync.Mutex
	procs map[*Process]struct{}
	timer *time.Timer // of the running period; nil if procs is empty
}

var watching memoryWatch

func (w *memoryWatch) add(p *Process) {
	if p.cfg.MemoryLimit == 0 || !watchesMemory {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.procs == nil {
		w.procs = make(map[*Process]struct{})
	}
	w.procs[p] = struct{}{}
	if w.timer == nil {
		w.timer = time.AfterFunc(memoryPeriod, w.look)
	}
}

func (w *memoryWatch) remove(p *Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.procs, p)
	if len(w.procs) == 0 && w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// look may still be called once after the last remove.
func (w *memoryWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.procs {
		if used, ok := residentSet(p.pid); ok && used > p.cfg.MemoryLimit {
			p.Kill(Memory)
		}
	}
	if w.timer != nil {
		w.timer.Reset(memoryPeriod)
	}
}
