package remote_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

func TestInfoTellsTheFunctionWhereItRuns(t *testing.T) {
	b := serving(t, remote.Config{}, "where", func(ctx context.Context, fails int) (task.CallInfo, error) {
		i := task.Info(ctx)
		if i.Attempt <= fails {
			return i, errSoldOut
		}
		return i, nil
	})
	a := newSite(t, remote.Config{})
	far := placed[int, task.CallInfo](a, "where", []task.Option{task.Retries(task.RetryPolicy{Max: 3, Backoff: task.Constant(0)})}, b)
	value(t, far.Submit(t.Context(), 0))
	i := value(t, far.Submit(t.Context(), 1))
	want := task.CallInfo{Task: "where", Call: 2, Attempt: 2, Worker: b.node.Addr(), Node: b.node.Addr()}
	if i != want {
		t.Errorf("got %+v, want %+v", i, want)
	}
}

func TestTheEndOfACallReachesItsFunction(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 4}, "wait", l.pass)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "wait", nil, b)
	begin := func(ctx context.Context, view *task.Task[int, int]) *task.Future[int] {
		f := view.Submit(ctx, 1)
		await(t, "the function", l.began)
		return f
	}

	f := begin(t.Context(), far)
	f.Cancel()
	if err := await(t, "the cancel", l.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Cancel: the function got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	f = begin(ctx, far)
	cancel(errSoldOut)
	if err := await(t, "the end of ctx", l.ended); err != errSoldOut { //nolint:errorlint // the very one
		t.Errorf("ctx: the function got %v", err)
	}
	if err := fault(t, f); err != errSoldOut { //nolint:errorlint // the very one
		t.Errorf("ctx: the call got %v", err)
	}
	f = begin(t.Context(), far.With(task.Timeout(50*time.Millisecond)))
	if err := await(t, "the timeout", l.ended); !errors.As(err, new(*task.TimeoutError)) {
		t.Errorf("Timeout: the function got %v", err)
	}
	if late := as[*task.TimeoutError](t, fault(t, f)); late.Kind != task.AttemptRun || late.After != 50*time.Millisecond {
		t.Errorf("Timeout: the call got %v", late)
	}
	f = begin(t.Context(), far)
	far.Stop()
	if err := await(t, "the stop", l.ended); !errors.Is(err, task.ErrStopped) {
		t.Errorf("Stop: the function got %v", err)
	}
	if err := fault(t, f); !errors.Is(err, task.ErrStopped) || !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: the call got %v", err)
	}
}

func TestADeadlineTravels(t *testing.T) {
	b := serving(t, remote.Config{}, "left", func(ctx context.Context, _ int) (time.Duration, error) {
		at, ok := ctx.Deadline()
		if !ok {
			return -1, nil
		}
		return time.Until(at), nil
	})
	far := placed[int, time.Duration](newSite(t, remote.Config{}), "left", nil, b)
	if d := value(t, far.Submit(context.Background(), 0)); d != -1 {
		t.Errorf("a deadline out of nowhere: %v", d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if d := value(t, far.Submit(ctx, 0)); d > time.Minute || d < time.Minute/2 {
		t.Errorf("left of a minute: %v", d)
	}
	if d := value(t, far.With(task.Timeout(time.Hour)).Submit(context.Background(), 0)); d > time.Hour || d < time.Hour/2 {
		t.Errorf("left of an hour: %v", d)
	}
}

func TestAFunctionSeesItsDeadlinePass(t *testing.T) {
	saw := make(chan [2]error, 2)
	b := serving(t, remote.Config{}, "wait", func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		saw <- [2]error{ctx.Err(), context.Cause(ctx)}
		return 0, ctx.Err()
	})
	far := placed[int, int](newSite(t, remote.Config{}), "wait", nil, b)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errSoldOut)
	defer cancel()
	if err := fault(t, far.Submit(ctx, 0)); err != errSoldOut { //nolint:errorlint // the very one
		t.Errorf("the call got %v", err)
	}
	if s := await(t, "the end", saw); s[1] != errSoldOut { //nolint:errorlint // the very one
		t.Errorf("the function got %v", s)
	}
	late := as[*task.TimeoutError](t, fault(t, far.With(task.Timeout(50*time.Millisecond)).Submit(t.Context(), 0)))
	if s := await(t, "the end", saw); s[0] != context.DeadlineExceeded || s[1].Error() != late.Error() { //nolint:errorlint // the very one
		t.Errorf("the function got %v", s)
	}
}

// A stranger may forget its calls; their deadlines pass all the same.
func TestADeadlinePassesWithoutItsOwner(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{}, "wait", l.pass)
	s := intrude(t, b.node.Addr(), link.Config{}, intTask("wait"))
	s.conn.AddCall(&wire.Call{Id: 1, Attempt: 1, Remaining: int64(10 * time.Millisecond)}, wire.Names{Task: "wait"})
	s.conn.Flush()
	if err := await(t, "the end", l.ended); err != context.DeadlineExceeded { //nolint:errorlint // the very one
		t.Errorf("the function got %v", err)
	}
	if err := wire.DecodeError(s.answer(1).GetFailure()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the answer is %v", err)
	}
}

// A call that waits at the node counts its time there, too.
func TestADeadlineCountsFromTheSending(t *testing.T) {
	l := newLatch()
	at := make(chan time.Time, 2)
	b := serving(t, remote.Config{Capacity: 1}, "wait", func(ctx context.Context, x int) (int, error) {
		d, _ := ctx.Deadline()
		at <- d
		return l.pass(ctx, x)
	})
	far := placed[int, int](newSite(t, remote.Config{}), "wait", nil, b)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	f := far.Submit(ctx, 1)
	await(t, "the first", l.began)
	g := far.Submit(ctx, 2) // is sent ahead
	l.open <- struct{}{}
	close(l.open)
	value(t, f)
	value(t, g)
	want, _ := ctx.Deadline()
	for range 2 {
		if d := await(t, "a deadline", at).Sub(want).Abs(); d > 500*time.Millisecond {
			t.Errorf("the deadline is off by %v", d)
		}
	}
}

func TestPriorityDecidesWhichCallIsSentFirst(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 1}, "wait", l.pass)
	far := placed[int, int](newSite(t, remote.Config{}), "wait", []task.Option{
		task.Workers(1), task.Priority(func(x int) int { return x }),
	}, b)
	var fs []*task.Future[int]
	fs = append(fs, far.Submit(t.Context(), 0))
	order := []int{await(t, "the first", l.began)}
	for _, x := range []int{1, 3, 2} {
		fs = append(fs, far.Submit(t.Context(), x))
	}
	close(l.open)
	for _, f := range fs {
		value(t, f)
	}
	for range 3 {
		order = append(order, await(t, "another", l.began))
	}
	if !slices.Equal(order, []int{0, 3, 2, 1}) {
		t.Errorf("ran %v", order)
	}
}

func TestAFullQueueOfAPlacedTask(t *testing.T) {
	l := newLatch()
	b := serving(t, remote.Config{Capacity: 1}, "wait", l.pass)
	a := newSite(t, remote.Config{})
	far := placed[int, int](a, "wait", []task.Option{task.Workers(1), task.Queue(1), task.Reject()}, b)
	f := far.Submit(t.Context(), 1)
	await(t, "the first", l.began)
	g := far.Submit(t.Context(), 2)
	if err := fault(t, far.Submit(t.Context(), 3)); !errors.Is(err, task.ErrQueueFull) {
		t.Errorf("got %v", err)
	}
	if _, ok := far.TrySubmit(t.Context(), 3); ok {
		t.Error("TrySubmit = true")
	}
	if s := far.Stats(); s.Rejected != 2 || s.Busy != 1 || s.Queued != 1 {
		t.Errorf("Stats = %+v", s)
	}
	close(l.open)
	value(t, f)
	value(t, g)
	h, ok := far.TrySubmit(t.Context(), 4)
	if !ok || value(t, h) != 4 {
		t.Errorf("TrySubmit = %v", ok)
	}
}

func TestWorkersBoundTheCallsInFlightOverAllNodes(t *testing.T) {
	var now, most atomic.Int32
	l := newLatch()
	count := func(ctx context.Context, x int) (int, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return l.pass(ctx, x)
	}
	b, c := serving(t, remote.Config{Capacity: 8}, "count", count), serving(t, remote.Config{Capacity: 8}, "count", count)
	far := placed[int, int](newSite(t, remote.Config{}), "count", []task.Option{task.Workers(3)}, b, c)
	ready(t, far)
	fs := make([]*task.Future[int], 50)
	for i := range fs {
		fs[i] = far.Submit(t.Context(), i)
	}
	for range 3 {
		await(t, "a call", l.began)
	}
	if n := now.Load(); n != 3 {
		t.Errorf("%d run at once, want 3", n)
	}
	close(l.open)
	for _, f := range fs {
		value(t, f)
	}
	if m := most.Load(); m != 3 {
		t.Errorf("%d ran at once, want 3", m)
	}
}

func TestCapacityBoundsWhatANodeRuns(t *testing.T) {
	var now, most atomic.Int32
	count := func(context.Context, int) (int, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return int(n), nil
	}
	b := serving(t, remote.Config{Capacity: 3}, "count", count)
	var fs []*task.Future[int]
	for range 3 { // owners that know nothing of each other
		far := placed[int, int](newSite(t, remote.Config{}), "count", nil, b)
		for range 500 {
			fs = append(fs, far.Submit(t.Context(), 0))
		}
	}
	for _, f := range fs {
		value(t, f)
	}
	if m := most.Load(); m > 3 {
		t.Errorf("%d ran at once, want at most 3", m)
	}
}

func TestMapsRunOnNodes(t *testing.T) {
	b, c := serving(t, remote.Config{}, "square", square), serving(t, remote.Config{}, "square", square)
	far := placed[int, int](newSite(t, remote.Config{}), "square", nil, b, c)
	in := make([]int, 2000)
	for i := range in {
		in[i] = i
	}
	out, err := far.MapSlice(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range out {
		if v != i*i {
			t.Fatalf("MapSlice: %d at %d", v, i)
		}
	}
	i := 0
	for v, err := range far.Map(t.Context(), slices.Values(in)) {
		if err != nil || v != i*i {
			t.Fatalf("Map: %d, %v at %d", v, err, i)
		}
		i++
	}
	if i != len(in) {
		t.Errorf("Map gave %d of %d", i, len(in))
	}
	fourth := far.SubmitFuture(t.Context(), far.Submit(t.Context(), 3))
	if v := value(t, fourth); v != 81 {
		t.Errorf("SubmitFuture = %d", v)
	}
}
