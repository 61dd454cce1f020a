package remote

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/troupe-go/troupe/internal/child"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

// Processes places a task in n child processes of this program, which are
// started when the pool is and end with it, also if this process is killed. The
// program's main must begin with [Main], as must TestMain in tests; if it does
// not, or has no such task in a variable of a package, Ready and calls fail and
// say so.
//
// A child runs one call at a time. If it ends, by a crash, os.Exit or a signal,
// the call that it was running fails with a [*task.CrashError], or with
// [task.Idempotent] is tried once more; calls that were sent ahead go to others.
// No call ends more than two children, whatever [task.Retries] says. The child is
// replaced, within the budget of [task.Supervise]: 10 in 10 s by default, and if
// that is spent the pool ends with [task.ErrFailed]. Its Decide is asked about a
// CrashError; Resume replaces the child, too, and spends no budget. Its Scope
// concerns the members of a worker only.
//
// A call whose ctx or [task.Timeout] ends is over at once for its caller; if its
// function goes on for [KillGrace], the child is killed and replaced, which
// spends no budget and is no crash to anybody else.
//
// A worker has one member in each child, n of them unless [task.Workers] says
// fewer; with [task.Concurrent], calls that run together are lost together. With
// [task.IdleTimeout] the children of an idle pool end, and the next call starts
// them. task.OnDemand is an error. What children print goes to the log of the
// System, line by line, with the attributes task, process, pid and stream.
func Processes(n int, opts ...ProcessOption) task.Placement {
	p := &processes{n: n, grace: time.Second}
	if n < 1 {
		p.faults = append(p.faults, fmt.Errorf("remote: Processes(%d): want at least 1", n))
	}
	for _, opt := range opts {
		if opt == nil {
			p.faults = append(p.faults, errors.New("remote: Processes: nil option"))
			continue
		}
		if err := opt(p); err != nil {
			p.faults = append(p.faults, err)
		}
	}
	return p
}

// ProcessOption configures [Processes].
type ProcessOption func(*processes) error

type processes struct {
	n       int
	memory  int64
	recycle int
	grace   time.Duration
	env     []string
	faults  []error
}

// MemoryLimit bounds the memory of each child in bytes; it must be positive. The
// garbage collector is told to keep below it; on Linux a child above it is killed,
// at most 100 ms later, which fails the call that it runs with a
// [*task.CrashError]. Default: no bound.
func MemoryLimit(bytes int64) ProcessOption {
	return func(p *processes) error {
		if bytes < 1 {
			return fmt.Errorf("remote: MemoryLimit(%d): want a positive number of bytes", bytes)
		}
		p.memory = bytes
		return nil
	}
}

// RecycleAfter replaces a child that has run so many calls by a fresh one,
// between two calls; it must be at least 1. A worker's member is closed and made
// anew with it. Default: never.
func RecycleAfter(calls int) ProcessOption {
	return func(p *processes) error {
		if calls < 1 {
			return fmt.Errorf("remote: RecycleAfter(%d): want at least 1 call", calls)
		}
		p.recycle = calls
		return nil
	}
}

// KillGrace is how long a call may go on in a child after its ctx has ended, and
// a child after its pool has stopped, until the child is killed; it must be
// positive. Default 1 s.
func KillGrace(d time.Duration) ProcessOption {
	return func(p *processes) error {
		if d <= 0 {
			return fmt.Errorf("remote: KillGrace(%v): want a positive duration", d)
		}
		p.grace = d
		return nil
	}
}

// Env adds to the environment of the children, which is otherwise that of this
// process; each entry is "key=value", and of a key that occurs twice the last
// one counts.
func Env(entries ...string) ProcessOption {
	return func(p *processes) error {
		for _, e := range entries {
			if err := (child.Config{Env: []string{e}}).Check(); err != nil {
				return fmt.Errorf("remote: Env(%q): %w", e, err)
			}
		}
		p.env = append(p.env, entries...)
		return nil
	}
}

func (p *processes) String() string { return "processes" }

// Members is how many members a worker has by default.
func (p *processes) Members() int { return p.n }

const childBeat = time.Second // they share a machine: a busy one is late rather than frozen

// lastWordsArrive tells whether what a process has written arrives although it
// died with unread data in its connection. Without that it is not known which
// of the calls that were sent ahead had begun, so none are.
const lastWordsArrive = runtime.GOOS == "linux"

// Place implements place.Placement.
func (p *processes) Place(job place.Job) (place.Site, error) {
	faults := p.faults
	if job.OnDemand {
		faults = append(faults, errors.New("remote: Processes: OnDemand would start a process for each call: want RecycleAfter(1) if that is meant"))
	}
	if job.Kind == place.KindWorker && job.Workers > p.n {
		faults = append(faults, fmt.Errorf("remote: Processes(%d): Workers(%d): want at most one member in each child", p.n, job.Workers))
	}
	names := make([]string, max(p.n, 0))
	for i := range names {
		names[i] = fmt.Sprintf("child-%d", i+1)
	}
	c, err := newCrew(job, names)
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	if c.codecs, err = knownCodecs(); err != nil {
		return nil, err
	}
	c.maxPayload, c.perSeat = defaultMaxPayload, 1
	c.link = Config{MaxPayload: defaultMaxPayload, Heartbeat: childBeat}.link("parent", "", wire.NewIncarnation())
	rearing := &nursery{crew: c, cfg: child.Config{Env: p.env, KillGrace: p.grace, MemoryLimit: p.memory}}
	c.man = rearing.man
	for _, s := range c.seats {
		s.grace, s.recycle, s.alone = p.grace, p.recycle, !lastWordsArrive
	}
	return &nursed{crew: c, nursery: rearing}, nil
}
