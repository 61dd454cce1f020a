// Command bench measures troupe against what one would use instead, all doing
// the same work, and prints one markdown table.
//
//	go run . [-rounds N] [-only REGEXP] [-peer REGEXP] [-scale F] [-v]
//
// Every competitor runs the same function, func(context.Context, int) (int,
// error), and hands back a value and an error for every single call; how it
// does that is its own best idiom: a reply channel, a future, a slot in a slice.
// Unless a row says otherwise a cell is the time relative to a pool of plain
// goroutines that read from an unbuffered channel, so 0.50 is twice as fast as
// that pool. It answers on a fresh channel per call where calls are awaited one
// by one, and into slots where they are collected together, which is cheaper.
// Package harness says how rounds are interleaved and ratios taken.
//
// # Rows
//
// One call at a time: four workers, one caller that waits for each result.
//
// 1,000,000 tiny calls: four workers, all calls submitted before the first
// result is looked at, results in order. The slices for handles and results
// belong to the workload: 16 of the bytes per call, whoever competes.
//
// 64 goroutines: four workers, each caller waits for each result.
//
// Sleeps of 1 ms: the ideal is calls / workers × 1 ms. No timer is that exact,
// so nobody reaches 1.00.
//
// 1 in 100 calls 100 times longer: 1 ms and 100 ms of sleep, which eight
// workers can do on any number of cores; the places of the long ones are drawn
// once. Each call notes how long it really took, and the ideal is what a
// perfect queue would have made of exactly these durations: the next call, in
// order, to whichever worker is free first. What remains is the pool's doing:
// calls that wait behind a long one while another worker is idle.
//
// Pool of 1000: made, given 1000 tiny calls, stopped. An idle worker's bytes are
// heap and stacks together, after all workers were there at once and a
// collection; a pool that lets its workers go holds next to nothing.
//
// Queued calls: one worker, blocked. Bytes are what stays allocated per
// waiting call, with the handle its result will come through.
//
// Rate grants and semaphores: limits that never run out, and a semaphore that is
// contended; each grant is given back. A cell is the time for one, in ns. Peers
// take several rates one after the other, troupe takes all or none. A freed
// permit is timed from its release by one goroutine until another, asleep, has
// it; in a task, until the function of the call that waited for it runs.
//
// Stateful: members that own a state each, one of them or four that share a
// queue, against the same call to a task with as many workers, which is 1.00.
// Peers own the same states: a goroutine each behind one channel, a mutex each,
// an actor each. A mutex has no handle and no queue, and is a lower bound.
// AskKey uses a thousand keys in turn; peers and Ask let any member serve.
//
// 100,000 workers of one member: bytes are heap and stacks together, after a
// collection. They are made and stopped one after another, and called all at
// once. Protoactor's are children of one parent, which stops them.
//
// Panic to next call served: from just before the panic to the method of the
// next call, which finds a fresh state; the policy has no backoff and no bound.
// In the rows where that call waits, it was made right behind the one that
// panics. Protoactor tells no caller of a panic, so it is not in the others.
//
// Remote: a server in another process of this program, reached over loopback,
// sends back what it was given; each call has its own payload, and each answer
// is compared with it. Both processes share the cores. So many goroutines each
// wait for their call; the stream of gRPC and "troupe Submit" keep as many in
// flight from one goroutine, which takes the answers in order. Protoactor has a
// node on either side and asks with its own RequestFuture. In the row of
// 10 MB (of a million bytes) a cell is the time of one call, there and back.
//
// Child processes: the same, placed in children that run one call at a time.
// Peers start the processes themselves, call them in turn, and let them run
// whatever comes at the same time.
//
// Killed and frozen: kill -9 and SIGSTOP, until the last of the calls that the
// process was running has failed. A frozen one is noticed after three missed
// heartbeats of 500 ms; no peer notices it without more configuration, and a
// request of protoactor's notices neither, so they are not there. A child process
// is replaced by troupe, and by the peer's row itself.
//
// 10,000,000 items: a lazy sequence in, results in order, out of one loop. The
// cell is by how much the heap, dead objects included, was larger at most than
// before.
package main
