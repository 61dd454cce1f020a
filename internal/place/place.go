// Package place is the seam between the pools of package task and the places
// where their calls run if that is not this process. Package remote makes the
// places; task gives them calls, and tells how this process runs the calls of
// others.
package place

import (
	"context"
	"reflect"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/supervisor"
)

// A Placement makes the Site of a pool. It neither blocks nor connects.
type Placement interface {
	// Place returns where the calls of job run, or what is wrong with it.
	Place(job Job) (Site, error)
	// String names the kind of place for people, such as "nodes".
	String() string
}

// Kinds of a Job and of a Function.
const (
	KindTask   = "task"
	KindWorker = "worker"
)

// Job is a pool as its Site needs to know it.
type Job struct {
	Name       string
	Kind       string
	In, Out    reflect.Type // of a task
	State      reflect.Type // of a worker
	Workers    int          // calls in flight over all places, members of a worker; 0: not said
	Balance    int          // a task.Balancing
	OnDemand   bool
	Idempotent bool
	Concurrent int               // calls of a member at once; 0: one
	Policy     supervisor.Policy // for lost places, where the Site has to replace them
	Limiter    limits.Limiter    // that the functions ask; nil: none
	System     *actor.System
}

// Pool is what a Site tells its pool. The methods may be called with the Site's
// locks held: they call nothing back on the same goroutine.
type Pool interface {
	// Allow sets how many calls of a task may be in flight.
	Allow(n int)
	// Decline fails the calls that wait and those that come with err, until
	// it is called with nil.
	Decline(err error)
	// Lost says that what [Site.Open] returned is gone.
	Lost(member Member, err error)
	// Restarted counts the restart of a place.
	Restarted()
	// Fail gives up on the pool: its policy has no restart left.
	Fail(err error)
}

// Site is where the calls of one pool run. All methods but Start and Stop are
// safe for concurrent use.
type Site interface {
	// Start is called when pool begins, under its lock: it must not block or
	// call the pool on the same goroutine. A pool may begin again after Stop.
	Start(pool Pool)
	// Stop is called when the pool has ended and returns when nothing of the
	// Site is left. What still runs is given up.
	Stop()
	// Rest says that the pool has been idle for its IdleTimeout: nothing need be
	// there until Wake, which says that calls come, or, with anew, that the
	// parent of the pool has restarted it, and what was given up is to come
	// back. Both are called under the pool's lock, as Start is.
	Rest()
	Wake(anew bool)
	// Run runs one attempt and returns when its function has returned there,
	// also if ctx ends, which the function is told. The error is the
	// function's, an *[Undone] or a *[Lost].
	Run(ctx context.Context, c *Call) error
	// Cancel tells the function of a Watched call that its ctx has ended;
	// Halt tells all of them.
	Cancel(call uint64, cause error)
	Halt(cause error)
	// Open makes a member of a worker, waiting for a place if there is none.
	Open(ctx context.Context) (Member, error)
	// Ready waits until calls can run; its error, when ctx ends, says what is
	// missing.
	Ready(ctx context.Context) error
	// Refused is why places that answered will never run calls of the pool; nil
	// if there are none.
	Refused() error
	// Missing says what a pool that waits is waiting for; "" if nothing.
	Missing() string
	// Stats returns the places there are now.
	Stats() []Stat
}

// Member is the state of a worker, somewhere else.
type Member interface {
	Run(ctx context.Context, c *Call) error
	Close() error
}

// Stat is one place: a node or a child process.
type Stat struct {
	Name     string
	Capacity int // calls that it runs at once
	Active   int // calls that were sent there and not answered
	Total    uint64
}

// Call is one attempt of a call.
type Call struct {
	ID      uint64 // the number of the call in its pool
	Attempt int    // from 1
	In, Out any    // pointers to argument and result; In is nil if there is none
	Method  *Method
	Permit  *limits.Permit // taken for the attempt; nil: none
	Watched bool           // the pool tells when ctx ends after Run has begun
	Timed   bool           // ctx ends with the attempt's timeout, which runs from Run on
}

// Undone is the error of an attempt that never reached a place: the call goes
// back to the queue.
type Undone struct{ Err error }

func (e *Undone) Error() string { return "not sent: " + e.Err.Error() }

// Unwrap returns why.
func (e *Undone) Unwrap() error { return e.Err }

// Lost is the error of an attempt whose place was lost.
type Lost struct {
	Err   error // what the call ends with
	Again bool  // it may be run again
	Loss  *Loss // what the member that ran it is told; nil: Err
}

func (e *Lost) Error() string { return e.Err.Error() }

// Unwrap returns what the call ends with.
func (e *Lost) Unwrap() error { return e.Err }

// Loss is the failure of all members that lived at a place. To the policy of
// their pool it is one failure, and none if the place has only asked them to
// leave.
type Loss struct {
	Err  error
	Free bool // it costs no restart
}

func (e *Loss) Error() string { return e.Err.Error() }

// Unwrap returns what was noticed.
func (e *Loss) Unwrap() error { return e.Err }
