// Package remote runs tasks and workers of package task in child processes and
// on other machines.
//
// A function that crashes the process, leaks memory or cannot be stopped wants a
// process of its own; work that is too much for one machine wants several. Both
// usually mean a protocol, a server, a client, reconnecting, timeouts and a way
// to tell a failed call from a lost one. Here it is a placement: the same task,
// the same futures, options and errors, and one line that says where.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"slices"
//
//		"github.com/troupe-go/troupe/remote"
//		"github.com/troupe-go/troupe/task"
//	)
//
//	var square = task.MustNew(func(_ context.Context, x int) (int, error) { return x * x, nil }, task.Name("square"))
//
//	func main() {
//		remote.Main() // a child process goes no further
//		far := square.On(remote.Processes(4))
//		defer far.Stop()
//		for v, err := range far.Map(context.Background(), slices.Values([]int{1, 2, 3})) {
//			fmt.Println(v, err)
//		}
//	}
//
// # Placements
//
// [Processes] and [Nodes] are placements, for [task.Task.On], [task.Worker.On]
// and the option [task.On]. What is placed is a pool of its own: it has its own
// queue, here, and is stopped on its own. The queue, retries, timeouts, limits
// and what Supervise says are the business of this side; the other one runs the
// functions. It finds them by the name that [task.Name] gave, or by that of a
// top-level function.
//
// [task.Workers] bounds the calls that are under way over all places, by default
// what these take. Calls wait here while all places are busy or none is there:
// [task.QueueTimeout] and the caller's ctx bound that, and Ready says what is
// missing. Calls that are quick are sent ahead, about a millisecond's worth for
// each place, so that none waits for the next; from a place that gets stuck they
// are called back.
//
// # Nodes
//
// A [Node] is this process among others. [Start] makes one; where calls are to
// run, [Node.Serve] offers every named task and worker of its System:
//
//	node, err := remote.Start(remote.Config{Listen: ":7000", Token: token})
//	...
//	err = node.Serve(ctx) // until ctx ends; then it finishes what runs
//
// and where they are made, a node is what reaches the others:
//
//	node, err := remote.Start(remote.Config{Token: token})
//	...
//	far := square.On(remote.Nodes(node, "alpha:7000", "beta:7000"))
//
// One program may do both, or two different programs one each. If they disagree
// about the types of a task's argument and result, or the other one has no such
// task, Ready says so in a [*SchemaError] or an [*UnknownTaskError].
//
// A node runs up to [Config.Capacity] calls at once, in the order in which they
// come, whoever sent them. The least loaded node gets the next call, unless
// [task.Balance] says otherwise. One that drains gives back what it has not begun
// and finishes the rest. One that cannot be reached, or is lost, is tried again
// for as long as the pool lives; if it comes back, as the same process or as a
// new one at the same address, it takes calls again. [Node.Members] tells what
// goes on.
//
// # Child processes
//
// Children run the program of this process again; [Main], the first line of
// main, makes it a worker. In tests, so does
//
//	func TestMain(m *testing.M) {
//		remote.Main()
//		os.Exit(m.Run())
//	}
//
// A child runs one call at a time, and its answer is sent before it begins the
// next, so that a crash costs the call that has caused it and no other. The call
// has a [*task.CrashError] with the signal or exit code and the end of stderr,
// and the child is replaced. [MemoryLimit], [RecycleAfter], [KillGrace] and [Env]
// are its options. What children print goes to the log.
//
// # Loss
//
// A process that dies is noticed at once, a frozen or unreachable one after three
// beats of [Config.Heartbeat]. What has not been sent goes elsewhere. What has
// may have been run:
//
//   - By default such a call fails, with a [*task.LostError] or a
//     [*task.CrashError]; both are [task.ErrLost]. It is run at most once.
//   - With [task.Idempotent] it is sent again, until it has lost three nodes or
//     killed two children; then it fails.
//   - A member of a worker is made anew elsewhere, with a fresh state, and calls
//     of its keys follow it there.
//
// # Cancelling
//
// Future.Cancel, the end of the caller's ctx and [task.Timeout] end the ctx of
// the function there. The Future does not wait for it. A child that goes on for
// longer than [KillGrace] is killed and replaced; on a node the function stays
// behind and counts towards its Capacity until it returns.
//
// # What travels
//
// Arguments and results: protobuf messages as protobuf, all else as CBOR, of
// structs the exported fields; package wire has the details, and [Config.Codec]
// changes it. A task whose types cannot travel is refused when it is placed. What
// is larger than [Config.MaxPayload] is a [*PayloadError] and not sent.
//
// Errors keep their text and structure: errors.Is finds those of this module, of
// context, io, io/fs and what [RegisterError] names, errors.As those of this
// module and some of the standard library. A panic there is a [*task.PanicError]
// here, with the stack of there and its value as text. Of the caller's ctx, the
// end and the trace travel, and no values. [task.Info] tells a function where it
// runs. Of a worker, methods are found by their names: method expressions of
// exported methods, such as (*Counter).Add, and no function literals.
//
// # Limits
//
// Limits stay with their owner. Those of a pool are taken here before a call is
// sent; functions made with [task.NewLimited] ask from there, through the
// connection. [ShareLimits] offers a Set to other nodes, and [LimitsAt] is the
// Limiter that asks for it. What a lost node or child held comes back when the
// loss is noticed.
//
// # Security
//
// Whoever can place calls on a node can run its tasks, with any argument. A node
// therefore refuses to listen off the loopback interface unless it has a
// [Config.Token], TLS that asks for certificates, or AllowInsecure. A token is
// proved and never sent, but protects nothing that is said afterwards: where the
// network is not trusted, use mutual TLS. Who has neither gets no further than
// the handshake, which takes a bounded time and 64 KiB at most of a bounded
// number of connections. A peer can have tasks run that are offered by name, and
// nothing else: it cannot stop anything, nor list what there is. Children accept
// their parent only, by certificates that are made for each.
//
// # Guarantees
//
//   - Every Future completes exactly once, whatever dies: function, child, node,
//     connection, this side's pool or System.
//   - No call is run twice, unless it is Idempotent, or Retries say so. No call
//     that waits here is begun after its Future was completed.
//   - Answers of a connection that was lost are dropped: they reach no other call.
//   - A call that was not sent, or not begun at a node that drains, is not lost.
//   - Calls of one member run in the order of submission, each after the one
//     before, for as long as that member lives.
//   - Malformed, oversized, repeated or forged input ends a connection, and
//     nothing else.
//   - After Stop of a pool no connection, goroutine, permit or child of it is
//     left; after Stop of a Node, none of that.
//   - No child outlives this process, where the platform allows.
//
// # Not guaranteed
//
//   - Whether a call that ended with [task.ErrLost] has been run, in whole or in
//     part; and with Idempotent, how often.
//   - That a call which was sent ahead is not begun in the moment that the word
//     of its end takes to get there. What was sent counts as started: QueueTimeout
//     ends with it.
//   - What a lost member's state held.
//   - That a function on a node stops which ignores its ctx.
//   - The order in which calls begin that were sent to several places, or again.
//   - That a node which serves several callers serves them fairly: it takes calls
//     as they come.
//
// # Platforms
//
// Outside of Linux no call is sent ahead to a child, which costs throughput.
// On Linux the kernel kills children with their parent, also at kill -9, and a
// child above its MemoryLimit is killed within 100 ms. Elsewhere a child sees the
// end of its stdin and ends itself, a KillGrace and a second later at most, which
// one that is suspended cannot; and MemoryLimit is only advice to the garbage
// collector. On Unix, what a child has started is killed with it, unless it left
// its process group; on Windows it lives on, and a crash has no signal, only an
// exit code. If the program's file was replaced since it began, Linux starts what
// is running; elsewhere children cannot be started any more.
package remote
