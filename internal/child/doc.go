// Package child runs this program again as a worker process: it starts the
// process, hands it what it needs, notices its end, takes its output into the
// log, and makes sure that it does not outlive its parent. What the two then
// say to each other, over a connection of their own, is not its business.
//
//	func main() {
//		if c, ok := child.Role(); ok { // this is what remote.Main does
//			work(c)
//			return
//		}
//		p, err := child.Start(ctx, child.Config{Bootstrap: secrets})
//		...
//		addr, err := p.Ready(ctx)
//		...
//		err = p.Stop(ctx)
//	}
//
//	func work(c *child.Child) {
//		secrets, err := c.Bootstrap()
//		... // listen, and serve on other goroutines
//		err = c.Ready(addr)
//		<-c.Orphaned()
//	}
//
// # How a child is made
//
// [Start] executes the file of this program, found when the program began,
// with the arguments that this process has, so that its flags parse as here.
// Its environment is that of this process, Config.Env, and the mark
// TROUPE_CHILD, by which [Role] knows; the mark is gone before main begins,
// so that nothing that the child executes takes itself for one. Under
// "go test" the program is the test binary: call Role first in TestMain.
//
// Five pipes connect the two. stdin carries nothing: its end says that the
// parent is gone. stdout and stderr go to Config.Log. One takes the bootstrap
// to the child, and one takes its claim and its ready message back; nothing
// else has these, so no print can disturb them. They are closed as soon as
// they have served. In the child, Role replaces stdin by an empty one.
// Whatever the child executes inherits its stdout and stderr as usual, and
// none of the others.
//
// # Guarantees
//
//   - Start in a child that has not called Role starts nothing; it returns
//     [ErrMainMissing], and the parent kills that child and says the same. A
//     chain of children of children ends at the fourth.
//   - The end of a child is noticed by waiting for it, not by asking; no
//     zombie is left. Done is closed within milliseconds, or 50 ms later
//     if a process that the child has started still holds its pipes open.
//     One operating system thread and four goroutines wait per child.
//   - What the child has printed is logged to its end, in order per stream,
//     unless Log takes nothing for a second while 1 MiB waits. The last
//     4 KiB of stderr are in the [ExitError] in any case.
//   - The reason of an end is the first one there was: a kill that came when
//     the child had crashed already is a crash.
//   - After Wait, and Stop, no goroutine, thread, file or timer is left of the
//     Process, unless Log does not return.
//   - Nothing secret is in environment, arguments or files.
//
// # Death of the parent, and what else depends on the platform
//
// linux: the kernel kills the child at once when its parent ends, by kill -9
// too (PR_SET_PDEATHSIG; children are started from one thread that lives as
// long as any of them). Elsewhere, and on linux as well, the child sees the end of stdin:
// Orphaned is closed, and a process that is still there KillGrace and a
// second later ends itself. That needs a process that runs: one that has not
// called Role, or is suspended, stays on outside of linux.
//
// linux and other unixes: a child has a process group of its own. Ctrl-C
// reaches the parent only, which decides what becomes of its children; and
// Kill kills what the child has started too, unless it has left the group.
// On linux this happens however the child ends, unless it ends because the
// parent did. On windows what it has started lives on.
//
// MemoryLimit makes the garbage collector work harder everywhere; only on
// linux is a child above it killed, up to 100 ms later, so that a fast one can
// exceed it for that long.
//
// If the file of the program was replaced or deleted since it began, linux
// still starts the running program; elsewhere Start fails, and says why. (A
// process started that way shows as "exe" in ps.)
//
// windows has no signals: ExitError.Signal is nil, and a process that ends
// with code 1 right after a kill was sent counts as killed.
//
// # Not guaranteed
//
//   - A process that leaves its group, as daemons do, outlives the child.
//   - A program that changes its user or gains capabilities when executed is
//     not killed with its parent by the kernel; the end of stdin remains.
//   - Code of package init functions, and of main before Role, runs in the
//     child too.
//   - A program that calls Role and hangs before Ready is noticed after
//     ReadyTimeout only; so is one that forgot Role and neither ends nor
//     starts children.
//   - If the program asks the kernel to ignore SIGCHLD, or waits for
//     processes that it did not start, how a child has ended is unknown:
//     exit code -1.
package child
