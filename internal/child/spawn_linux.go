package child

import (
	"context"
	"runtime"
	"sync"
)

// spawner runs what starts processes on one operating system thread, which it
// keeps for as long as any child lives: the kernel takes the exit of the
// thread that started a child for the death of its parent. The goroutine on
// that thread begins with the first user and is gone when the last one has
// released it.
type spawner struct {
	mu    sync.Mutex
	users int
	jobs  chan func()
	ended chan struct{}
}

var spawning spawner

func (s *spawner) acquire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
	if s.users > 1 {
		return
	}
	s.jobs, s.ended = make(chan func()), make(chan struct{})
	go serveJobs(s.jobs, s.ended)
}

func serveJobs(jobs <-chan func(), ended chan<- struct{}) {
	defer close(ended)
	runtime.LockOSThread()
	// Unlocking instead of ending the thread: it may be the main one.
	defer runtime.UnlockOSThread()
	for job := range jobs {
		job()
	}
}

// release gives one acquire back. After the last one the goroutine has ended.
func (s *spawner) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.users > 0 {
		return
	}
	close(s.jobs) // nobody is in run: who is has not released yet
	<-s.ended
}

// run runs job on the thread and waits for it, unless ctx ends before it
// began. It is called between acquire and release.
func (s *spawner) run(ctx context.Context, job func()) error {
	s.mu.Lock()
	jobs := s.jobs
	s.mu.Unlock()
	done := make(chan struct{})
	select {
	case jobs <- func() { defer close(done); job() }:
		<-done
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
