// Package actor is the runtime under troupe: a [System] that owns or joins a
// protoactor-go actor system, and the [Future] by which every call is answered.
//
// Most programs need only package task; this package is for those who share a
// system between several tasks, look at it, or mix tasks with actors of their
// own.
//
//	sys := actor.NewSystem(actor.Name("numbers"))
//	squares := task.MustNew(square, task.System(sys))
//	answer := squares.Submit(ctx, 12)
//	fmt.Println(answer.Result())
//	err := sys.Stop(ctx)
//
// # Systems
//
// A System has an ActorSystem of its own ([NewSystem]), made when the first task
// starts, or lives in one that the program has already ([Wrap]). [Default] is
// there for those who do not care. [System.Stop] ends what was started in it.
//
// # Futures and actors
//
// A Future completes exactly once. It has a PID when one is asked for
// ([Future.PID]), so that any actor can complete it by a message or answer a
// request in its name, and it can be piped to actors ([Future.PipeTo]), each of
// which receives a [Result] by value. [FromProto] makes a Future of one of
// protoactor's own.
//
// # Looking at it
//
// [System.Snapshot] describes all tasks, workers, limits and trees as plain
// data. [MeterProvider] reports the same as OpenTelemetry metrics, and
// [TracerProvider] makes a span of every attempt of a call:
//
//	troupe.task.submitted       counter, calls accepted
//	troupe.task.calls           counter, calls ended by troupe.outcome: finished,
//	                            failed, panicked, cancelled, timed_out
//	troupe.task.rejected        counter, calls refused by a full queue
//	troupe.task.retries         counter, attempts after the first
//	troupe.task.restarts        counter, restarts of workers
//	troupe.task.queue.length    level
//	troupe.task.workers         level, by troupe.state: busy, idle
//	troupe.task.wait, .run      gauges in seconds, by quantile: 0.5, 0.9, 0.99, 1
//	troupe.limit.granted, .refused, .used, .capacity, .waiting
//
// All carry troupe.system and troupe.task, or troupe.limits and troupe.limit.
//
// # Guarantees
//
//   - A Future is completed once; every waiter sees the same outcome.
//   - Waiting holds no goroutine of ours, and nothing polls.
//   - A panic in a callback is contained and logged; runtime.Goexit in one does
//     not keep the others from running.
//   - [System.Stop] never shuts down an ActorSystem that it did not make, nor
//     one that it made: actors of the user's that live there go on.
//   - The engine's own log is passed on from Warn up, to the System's logger.
//
// # Not guaranteed
//
//   - The order in which several waiters of one Future are woken.
//   - That the parts of a Snapshot are of the same instant.
//   - That a message reaches a Future in another process: that is up to whatever
//     links the two.
package actor
