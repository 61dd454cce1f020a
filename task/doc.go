// Package task puts any Go function behind a supervised pool of workers.
//
// A loop that waits for the network or keeps one core busy wants to be
// concurrent: with a bound on what runs at once, in order, with the failures
// where they belong, stoppable, and without a channel, a WaitGroup and a
// semaphore for each such loop. Here that is one line, and the loop stays a
// loop:
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"slices"
//
//		"github.com/troupe-go/troupe/task"
//	)
//
//	var square = task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Workers(4))
//
//	func main() {
//		ctx := context.Background()
//		defer square.Stop()
//		for v, err := range square.Map(ctx, slices.Values([]int{1, 2, 3})) {
//			fmt.Println(v, err)
//		}
//	}
//
// # Tasks
//
// [New] takes a function of the shape
//
//	func(ctx context.Context, in In) (Out, error)
//
// and returns a [Task]. [Func], [FuncErr] and [Action] adapt shorter functions;
// two arguments are a struct. New checks the options and starts nothing, so a
// task can be a package-level variable: workers come with the first calls, and
// go with [Task.Stop] or [Task.Drain]. All methods are safe for concurrent use,
// also inside the functions.
//
// # Calls and futures
//
// [Task.Call] runs one call and waits for it. [Task.Submit] returns a [Future]
// at once: wait for it with Await, ask it with Poll, end it with Cancel, or do
// none of that; a Future that nobody waits for holds no goroutine.
// [Task.TrySubmit] says no where Submit would block, and [Task.SubmitFuture]
// takes its argument from another Future. [Gather], [Settle], [AsCompleted] and
// [Wait] wait for several, [Then] goes on with a value. None of them polls.
//
// The ctx given with a call bounds the call: when it ends, the Future has its
// cause at once, a call that waits is never run, and a running function sees
// its own ctx end, which is below the caller's. That ctx also ends when the
// call is over.
//
// # Loops
//
// [Task.Map] turns an iterator of inputs into an iterator of results: lazily, in
// order, at most [Window] inputs ahead. A failure is yielded in its place.
// [Unordered] yields what is ready first, [Progress] shows a bar.
// [Task.MapSlice] is for a slice whose results are wanted all or not at all.
//
// # Pools
//
// [Workers] says how many calls run at once. All workers pull from one queue;
// [Balance] gives each its own. [Queue] bounds what waits: Submit then blocks
// while it is full, or fails with [Reject]. [Priority] lets some calls go
// first. [OnDemand] keeps no worker between calls, [IdleTimeout] lets idle ones
// go, [Task.Resize] changes their number. [Inline] is for debugging: it runs
// every call in its caller.
//
// # Outcomes
//
// Every call ends in exactly one way; tell them apart with errors.Is and
// errors.As:
//
//   - the function's own error: that very error
//   - a panic: [*PanicError], which is [ErrPanicked] and unwraps a panicked error
//   - runtime.Goexit, as in a test's FailNow: [ErrGoexit]
//   - Future.Cancel: context.Canceled; the end of ctx: context.Cause(ctx)
//   - [Timeout] and [QueueTimeout]: [*TimeoutError], which is context.DeadlineExceeded
//   - a task that is stopped: [ErrStopped]; a full queue: [ErrQueueFull]
//   - a pool that gave up restarting its workers, see [Supervise]: [ErrFailed]
//
// [Retries] tries failed attempts again; the last error then comes in a
// [*RetryError] that unwraps to it. [Until] makes a refused result a failed
// attempt, [Permanent] ends retrying, [RetryAfter] says when to come back.
//
// # Settings of single calls
//
// [Task.With] returns a view on the same pool with other [CallOption] settings:
//
//	square.With(task.Timeout(time.Second)).Call(ctx, 3)
//
// # Limits
//
// [Limits] makes every attempt take a permit first: of rates and resources that
// tasks can share, see package limits. [Cost] says how much a call takes. A
// function that knows better takes its permits itself: [NewLimited].
//
// # Stateful workers
//
// [NewWorker] makes members that own a state each: a connection, a cache, an
// account. [Ask] calls a method with it, written as a method expression, so that
// the compiler checks it:
//
//	counter := task.MustNewWorker(func(context.Context) (*Counter, error) { return &Counter{}, nil })
//	f := task.Ask(ctx, counter, (*Counter).Add, 5)
//
// The calls of one member run one after another in the order of submission, so
// the state needs no lock. It is made before the first call and closed once,
// however the member ends. A call that panics fails alone: its member goes on
// with a fresh state. With several members, any free one takes a call of Ask;
// [AskKey] gives all calls of a key to the same one. [Do] is for methods without
// argument, [Message] asks by message, [Concurrent] lets calls of a member
// interleave. All else is as for tasks: one engine runs both.
//
// # Looking at it
//
// [Task.Stats] has counters and quantiles, [Info] tells a running function what
// call it serves.
//
// # Actors
//
// A task is a router actor with worker actors as its children, in a System of
// package actor. [Task.PID] is its address: it takes In as a message and answers
// with a [Result]; [WithContext] bounds a call that is asked for by message.
// [Task.Props] lets one's own actor spawn the pool as a child: when that stops,
// so does the pool, and when it is restarted and spawns the Props again, the same
// handle goes on. A PoisonPill drains the pool. One that has spent its restart
// budget ends its calls with [ErrFailed] and escalates to its parent; without a
// parent it has failed for good. Programs that do not care about actors never
// meet them.
//
// # Guarantees
//
//   - Every Future completes exactly once, whatever dies: the function, its
//     worker, the pool, the System.
//   - No call is run twice, unless it failed and [Retries] say so. No call is
//     begun after its Future was completed by Stop, Cancel or QueueTimeout.
//   - At most [Workers] functions run at once. Two things are not counted: a
//     function that waits, with the ctx it was given, for calls of its own task
//     lends them its place; and so does a caller that runs a quick call itself,
//     in the place of an idle worker.
//   - A task with one worker runs its calls in the order of submission, and so
//     does each member of a stateful worker.
//   - A state is used by one call at a time, unless [Concurrent] says otherwise
//     or a method waits for another call of its own member, which then runs in
//     its place.
//   - A state that was opened is closed exactly once, when no call uses it.
//   - Waiting inside a function for calls of the same task, which were submitted
//     with the ctx that the function was given, never hangs, however full the
//     pool is. Waiting means Await, Result, Done, Call and the combinators; not
//     a callback, a pipe or a loop around Poll, of which the pool cannot know. It
//     does wait if [Limits] have nothing left because the function itself holds
//     it. Members of one worker that wait for each other by key end with
//     [ErrWouldDeadlock].
//   - Stop returns when no function of the task runs any more, or after
//     [StopGrace]; then no goroutine, timer or registration of the task is left.
//   - No function or callback of the user runs under a lock of the package, and
//     a panic in a callback is contained and logged.
//
// # Not guaranteed
//
//   - The order in which calls of several workers begin and end.
//   - That a function stops when its ctx ends: it has to look. Until it returns,
//     it keeps its worker, though its Future is complete.
//   - Which goroutine runs a call. A quick one may run on that of the caller who
//     waits for it, if ctx cannot end the wait; runtime.Goexit then ends that
//     goroutine.
//   - That quick items of one Map or MapSlice run at the same time: a few may be
//     run one after another by one worker. Items must not wait for each other.
//   - Progress of calls that wait for each other in a circle through several
//     tasks, each of them full.
//   - What a member knew before it was restarted, or moved with its key.
//   - Calls that wait or run survive neither the process nor Stop.
package task
