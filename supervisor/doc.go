// Package supervisor says what happens to a child that failed: whether it is
// restarted, how often and after which delay, which siblings share its fate,
// and when to give up.
//
// A [Policy] is a plain value that decides and does nothing else. It can be
// given to a pool of this module, to any protoactor actor by
// [Policy.Strategy], or be asked directly by [Policy.Next].
//
//	policy := supervisor.Policy{
//		MaxRestarts: 5,
//		Within:      time.Minute,
//		Backoff:     supervisor.Backoff{Initial: 100 * time.Millisecond, Max: 10 * time.Second, Jitter: 0.2},
//	}
//	parent := proto.PropsFromProducer(newParent, policy.Option())
//
// # Budget
//
// Restarting helps against passing faults. Against lasting ones it only
// burns time, so restarts are limited: any stretch of Within holds at most
// MaxRestarts of them. The failure after that is the supervisor's own and goes
// to its parent, which may restart the supervisor with all that is below it.
// The budget belongs to the supervisor, not to each child, and so does the
// row of restarts that lengthens the backoff.
//
// # Directives
//
// [Policy.Decide] chooses by the error: [Restart] (spends budget), [Resume]
// (does not), [Stop], or [Escalate].
//
// # Trees
//
// A [Tree] starts children in order, supervises them by a Policy and stops them
// in reverse order. Children are pools, services, actors and other trees.
//
//	tree, err := supervisor.New("app", policy, store, supervisor.Service("feed", feed))
//	if err != nil {
//		return err
//	}
//	if err := tree.Start(system); err != nil {
//		return err
//	}
//	defer tree.Stop(ctx)
//	return tree.Wait(ctx)
//
// Children of a nested tree are spawned, as far as that succeeds, before the
// next child of the outer one is. If a spawn fails in a tree that nobody has
// called Start of, those after it wait for its restart.
//
// A child that fails alone is restarted in place: it keeps its name and its
// mail; a pool has ended its calls before, when it gave up. With [OneForAll]
// and [RestForOne] those in scope go down in reverse order, each gone before
// the next, then the failed one; after the delay they start in order. A child
// whose owner stops it, by its own Stop, stays stopped.
//
// A pool in scope is not stopped for that: it lets its workers go, and keeps the
// calls that wait. Calls that run have five seconds to end. Then the pool is
// stopped after all, with all its calls, and spawned anew in its turn: a call
// could be waiting for another pool in scope, which takes up work only
// afterwards. A tree in scope is stopped in reverse order, without draining: all
// calls of pools in it end.
//
// What a tree does is told as an [Event] and in the log, and shown by
// [Tree.Snapshot].
//
// # Guarantees
//
//   - Until it escalates, a supervisor begins at most MaxRestarts restarts in
//     any stretch of Within. A restart of several children counts once.
//   - No delay is longer than Backoff.Max, and the delays of a row grow
//     exponentially up to it.
//   - A failure ends in a restart, a resumed child, a reported stop or an
//     escalation, never in the end of the process, also at a root or under a
//     guardian.
//   - A child that is being stopped is not brought back by a failure in its
//     Stopping handler, and its parent does not wait for it in vain.
//   - A tree that gives up reports it by [Tree.Wait], an [Event] and the log; one
//     below another hands it to its parent. It waits at most five seconds for
//     each child. So does the restart of a scope for the calls of each pool.
//   - [Tree.Stop] returns when its ctx ends, whatever children do, and names
//     those that still run. When it returns nil, nothing of the tree is left.
//   - A child is spawned again under its name only when the one before is gone.
//   - Memory is bounded by MaxRestarts for each supervisor that lives.
//   - Waiting for a restart holds a timer, no goroutine.
//
// # Not guaranteed
//
//   - The message that an actor panicked at is lost. Whoever waits for an
//     answer to it is not told; the pools of this module do tell.
//   - Under [Policy.Strategy], children of one scope are restarted side by side,
//     not in order. A tree spawns in order, but does not wait until a child has
//     handled its Started message.
//   - A child that ignores its stop holds up the restart of its scope: a
//     goroutine cannot be ended from outside. (A pool leaves such a function
//     behind.)
//   - Do not send to a child by name while it is spawned: the engine registers
//     an actor before it can take messages. Such a sender panics, and the actor
//     takes no message any more. A restart in place does not spawn.
//   - A child of anybody's that calls runtime.Goexit in its Receive is stuck; a
//     [Service] may call it.
//   - When a supervisor stops, the timer of a restart that was due later stays
//     until then and does nothing.
package supervisor
